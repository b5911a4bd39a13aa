#include <string>
#include <unistd.h>

#include "test/event/contract/bench.hpp"

#include "event/event.hpp"

namespace ngx::contract {

namespace {

void add(Bench& b, const Link& link)
{
    b.same("add_conn", event_actions.add_conn(*link.connection), Rc::ok);
}

void del(Bench& b, const Link& link, unsigned flags)
{
    b.same("del_conn", event_actions.del_conn(*link.connection, flags), Rc::ok);
}

void both_are_active(Bench& b, const Link& link, std::string_view when, bool expected)
{
    b.same(std::string("read ").append(when), static_cast<bool>(link.read().active), expected);
    b.same(std::string("write ").append(when), static_cast<bool>(link.write().active), expected);
}

void add_conn_watches_both_directions(Bench& b)
{
    Link& link = b.open();
    both_are_active(b, link, "before add_conn", false);
    add(b, link);
    both_are_active(b, link, "after add_conn", true);
    b.reported("room", link.writes);
    b.same("reports to the read event before data", link.reads, 0);
    link.send("x");
    b.reported("data", link.reads);
}

void add_conn_reports_changes(Bench& b)
{
    Link& link = b.open();
    link.fill();
    add(b, link);
    for (int i = 1; i <= 2; i++) {
        link.send("x");
        b.reported("data", link.reads, i);
        b.settle();
        b.same("reports of data", link.reads, i);
    }
    b.same("reports of a full socket", link.writes, 0);
    link.drain();
    b.reported("room", link.writes);
    b.settle();
    b.same("reports of room", link.writes, 1);
}

void del_conn_ends_the_reports_of_both_directions(Bench& b)
{
    Link& link = b.open();
    link.fill();
    add(b, link);
    del(b, link, 0);
    both_are_active(b, link, "after del_conn", false);
    link.send("x");
    link.drain();
    b.settle();
    b.same("reports to the read event", link.reads, 0);
    b.same("reports to the write event", link.writes, 0);

    add(b, link);
    both_are_active(b, link, "after the second add_conn", true);
    b.reported("data that arrived meanwhile", link.reads);
    b.reported("room that appeared meanwhile", link.writes);
}

void del_conn_with_close_event_leaves_the_rest_to_the_close(Bench& b)
{
    Link& before = b.open();
    add(b, before);
    const Connection& slot = *before.connection;
    const int number = before.fd();
    del(b, before, close_event);
    both_are_active(b, before, "after del_conn", false);
    b.close(before);

    Link& after = b.open_in_place_of(slot, number);
    add(b, after);
    after.send("x");
    b.reported("data at the next connection", after.reads);
    b.reported("room at the next connection", after.writes);
}

void a_copy_is_not_reported_after_del_conn(Bench& b)
{
    Link& link = b.open();
    const test::Fd copy(::dup(link.fd()));
    add(b, link);
    b.reported("room", link.writes);
    del(b, link, 0);
    b.close(link);

    link.send("x");
    constexpr Msec timeout = 20;
    const Wait wait = b.turn(timeout);
    b.same("process_events", wait.rc, Rc::ok);
    b.expect(wait.took.count() >= static_cast<std::int64_t>(timeout),
             "data at the copy does not end the wait");
}

void one_direction_of_an_added_connection_can_be_deleted(Bench& b)
{
    Link& reads = b.open();
    add(b, reads);
    b.unwatch(reads.write());
    b.same("read after del of write", static_cast<bool>(reads.read().active), true);

    Link& writes = b.open();
    writes.fill();
    add(b, writes);
    b.unwatch(writes.read());
    b.same("write after del of read", static_cast<bool>(writes.write().active), true);

    reads.send("x");
    writes.send("x");
    writes.drain();
    b.reported("data after del of the write event", reads.reads);
    b.reported("room after del of the read event", writes.writes);
    b.settle();
    b.same("reports to the deleted write event", reads.writes, 0);
    b.same("reports to the deleted read event", writes.reads, 0);
}

constexpr Promise table[] = {
    {
        .name = "add_conn_watches_both_directions",
        .explanation = "add_conn makes both events of a connection active, and both are reported.",
        .keep = add_conn_watches_both_directions,
        .needs = capability::add_conn,
    },
    {
        .name = "add_conn_reports_changes",
        .explanation = "Events that add_conn has added are edge-triggered: each change is reported "
                       "once.",
        .keep = add_conn_reports_changes,
        .needs = capability::add_conn,
    },
    {
        .name = "del_conn_ends_the_reports_of_both_directions",
        .explanation = "After del_conn without close_event neither event is active or reported; a "
                       "later add_conn adds both again.",
        .keep = del_conn_ends_the_reports_of_both_directions,
        .needs = capability::add_conn,
    },
    {
        .name = "del_conn_with_close_event_leaves_the_rest_to_the_close",
        .explanation = "After del_conn with close_event and the close, the next connection can use "
                       "the descriptor number and the slot.",
        .keep = del_conn_with_close_event_leaves_the_rest_to_the_close,
        .needs = capability::add_conn,
    },
    {
        .name = "a_copy_is_not_reported_after_del_conn",
        .explanation = "After del_conn without close_event, a duplicate of the descriptor that "
                       "stays open does not end the wait.",
        .keep = a_copy_is_not_reported_after_del_conn,
        .needs = capability::add_conn,
    },
    {
        .name = "one_direction_of_an_added_connection_can_be_deleted",
        .explanation = "After add_conn, del of one event keeps the other.",
        .keep = one_direction_of_an_added_connection_can_be_deleted,
        .needs = capability::add_conn,
    },
};

}  // namespace

constinit const std::span<const Promise> connection_promises = table;

}  // namespace ngx::contract
