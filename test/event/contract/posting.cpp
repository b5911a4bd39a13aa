#include <algorithm>

#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "test/event/contract/bench.hpp"

namespace ngx::contract {

namespace {

constexpr unsigned posting = update_time | post_events;

/// Waits until the event is posted, without running handlers.
void wait_until_posted(Bench& b, const Event& ev)
{
    b.until([&] { return ev.posted(); }, [&] { b.process(Bench::step_timeout, posting); });
    b.same("posted", ev.posted(), true);
}

bool is_in(const PostedQueue& queue, const Event& ev)
{
    return std::ranges::any_of(queue, [&](const Event& e) { return &e == &ev; });
}

void posted_events_run_when_their_queue_is_processed(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    b.watch(link.write());
    link.send("x");
    wait_until_posted(b, link.read());
    wait_until_posted(b, link.write());
    b.same("reads before the queue is processed", link.reads, 0);
    b.same("writes before the queue is processed", link.writes, 0);
    b.same("ready of the posted read event", static_cast<bool>(link.read().ready), true);
    b.same("ready of the posted write event", static_cast<bool>(link.write().ready), true);

    Bench::run_posted(b.cycle());
    b.same("reads", link.reads, 1);
    b.same("writes", link.writes, 1);
}

void listeners_are_posted_to_a_queue_of_their_own(Bench& b)
{
    Link& listening = b.open({listener(), test::Fd()});
    listening.read().accept = 1;
    b.watch(listening.read(), level_event);
    const test::Fd client(connect_to(listening.fd()));
    Link& link = b.open();
    b.watch(link.read());
    link.send("x");

    wait_until_posted(b, listening.read());
    wait_until_posted(b, link.read());
    b.same("the listener is in posted_accept_events", is_in(posted_accept_events, listening.read()),
           true);
    b.same("the connection is in posted_events", is_in(posted_events, link.read()), true);

    event_process_posted(b.cycle(), posted_accept_events);
    b.same("reports to the listener", listening.reads, 1);
    b.same("reports to the connection", link.reads, 0);
}

void an_event_is_posted_once_though_reported_twice(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    link.send("x");
    wait_until_posted(b, link.read());
    link.send("x");
    b.process(0, posting);
    b.process(0, posting);
    Bench::run_posted(b.cycle());
    b.same("reports", link.reads, 1);
}

void del_does_not_take_back_what_is_posted(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    link.send("x");
    wait_until_posted(b, link.read());

    b.unwatch(link.read());
    b.same("posted after del", link.read().posted(), true);
    Bench::run_posted(b.cycle());
    b.same("reports", link.reads, 1);
    b.settle();
    b.same("reports after the posted one", link.reads, 1);
}

void a_posted_event_of_a_closed_connection_does_not_run(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    b.watch(link.write());
    link.send("x");
    wait_until_posted(b, link.read());
    wait_until_posted(b, link.write());
    b.close(link);
    Bench::run_posted(b.cycle());
    b.same("reads", link.reads, 0);
    b.same("writes", link.writes, 0);
}

constexpr Promise table[] = {
    {
        .name = "posted_events_run_when_their_queue_is_processed",
        .explanation = "With post_events, ready events are posted, and no handler runs until the "
                       "queue is processed.",
        .keep = posted_events_run_when_their_queue_is_processed,
    },
    {
        .name = "listeners_are_posted_to_a_queue_of_their_own",
        .explanation = "Events with `accept` set are posted to posted_accept_events, all others to "
                       "posted_events.",
        .keep = listeners_are_posted_to_a_queue_of_their_own,
    },
    {
        .name = "an_event_is_posted_once_though_reported_twice",
        .explanation = "An event that is posted already keeps its place in the queue.",
        .keep = an_event_is_posted_once_though_reported_twice,
    },
    {
        .name = "del_does_not_take_back_what_is_posted",
        .explanation = "An event that is deleted while it is posted still runs once, and not "
                       "again.",
        .keep = del_does_not_take_back_what_is_posted,
    },
    {
        .name = "a_posted_event_of_a_closed_connection_does_not_run",
        .explanation = "close_connection() removes the events of the connection from any queue to "
                       "which the poller has posted them.",
        .keep = a_posted_event_of_a_closed_connection_does_not_run,
    },
};

}  // namespace

constinit const std::span<const Promise> posting_promises = table;

}  // namespace ngx::contract
