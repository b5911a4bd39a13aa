#include <sys/socket.h>

#include "test/event/contract/bench.hpp"

namespace ngx::contract {

namespace {

/// Opens a listener like those of the cycle, but with the promise's own handler.
Link& open_listener(Bench& b)
{
    Link& link = b.open({listener(), test::Fd()});
    link.read().accept = 1;
    return link;
}

/// Accepts one connection, as the accept handler does without multi_accept.
void accept_one(Link& link)
{
    const test::Fd accepted(::accept4(link.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    link.read().ready = 0;
}

void a_waiting_connection_is_reported_to_its_listener(Bench& b)
{
    Link& listening = open_listener(b);
    b.watch(listening.read(), level_event);
    b.settle();
    b.same("reports before a connection", listening.reads, 0);

    const test::Fd client(connect_to(listening.fd()));
    b.reported("a connection that waits", listening.reads);
}

void a_listener_is_reported_until_nothing_waits(Bench& b)
{
    Link& listening = open_listener(b);
    listening.on_read = accept_one;
    b.watch(listening.read(), level_event);

    const test::Fd clients[] = {
        test::Fd(connect_to(listening.fd())),
        test::Fd(connect_to(listening.fd())),
        test::Fd(connect_to(listening.fd())),
    };
    b.reported("connections, one accepted for each report", listening.reads, 3);
    b.settle();
    b.same("reports", listening.reads, 3);
}

void a_listener_can_be_disabled_and_added_again(Bench& b)
{
    Link& listening = open_listener(b);
    listening.on_read = accept_one;
    b.watch(listening.read(), level_event);
    b.unwatch(listening.read(), disable_event);
    const test::Fd client(connect_to(listening.fd()));
    b.settle();
    b.same("reports after del", listening.reads, 0);

    b.watch(listening.read(), level_event);
    b.reported("a connection that arrived meanwhile", listening.reads);
    b.settle();
    b.same("reports of one connection", listening.reads, 1);
}

void a_deleted_listener_does_not_end_the_wait(Bench& b)
{
    Link& listening = open_listener(b);
    const test::Fd client(connect_to(listening.fd()));
    b.watch(listening.read(), level_event);
    b.unwatch(listening.read(), 0);
    constexpr Msec timeout = 20;
    const Wait wait = b.turn(timeout);
    b.expect(wait.took.count() >= static_cast<std::int64_t>(timeout),
             "a connection at a deleted listener does not end the wait");
    b.same("reports", listening.reads, 0);
}

void a_listener_with_exclusive_event_is_reported(Bench& b)
{
    Link& listening = open_listener(b);
    listening.on_read = [&](Link& l) {
        accept_one(l);
        b.unwatch(l.read(), disable_event);
        b.watch(l.read(), exclusive_event);
    };
    b.watch(listening.read(), exclusive_event);
    const test::Fd one(connect_to(listening.fd()));
    const test::Fd two(connect_to(listening.fd()));
    b.reported("connections, the listener added again after each", listening.reads, 2);
    b.settle();
    b.same("reports", listening.reads, 2);
}

constexpr Promise table[] = {
    {
        .name = "a_waiting_connection_is_reported_to_its_listener",
        .explanation = "The read event of a listener is reported when a connection waits.",
        .keep = a_waiting_connection_is_reported_to_its_listener,
    },
    {
        .name = "a_listener_is_reported_until_nothing_waits",
        .explanation = "A listener that was added without clear_event is reported as long as a "
                       "connection waits, so that a handler may accept one at a time.",
        .keep = a_listener_is_reported_until_nothing_waits,
    },
    {
        .name = "a_listener_can_be_disabled_and_added_again",
        .explanation = "del with disable_event stops the reports of a listener; a later add "
                       "reports the connections that wait.",
        .keep = a_listener_can_be_disabled_and_added_again,
    },
    {
        .name = "a_deleted_listener_does_not_end_the_wait",
        .explanation = "After del without close_event, connections that wait at an open listener "
                       "do not end the wait.",
        .keep = a_deleted_listener_does_not_end_the_wait,
    },
    {
        .name = "a_listener_with_exclusive_event_is_reported",
        .explanation = "exclusive_event changes nothing in a single process; the handler may "
                       "delete and add the listener, which puts it last in the kernel's queue.",
        .keep = a_listener_with_exclusive_event_is_reported,
        .needs = capability::epoll,
    },
};

}  // namespace

constinit const std::span<const Promise> accept_promises = table;

}  // namespace ngx::contract
