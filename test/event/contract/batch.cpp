#include <vector>

#include "test/event/contract/bench.hpp"

/// A handler may act on connections whose events are still to be handled in the same turn. No
/// promise relies on the order of the events: each handler would do the same to the other
/// connections, and the first that is called does it.
namespace ngx::contract {

namespace {

constexpr unsigned direct = update_time;
constexpr unsigned posted = update_time | post_events;

/// Takes turns with these flags until some handler has run.
void turn_until(Bench& b, unsigned flags, const int& count)
{
    b.expect(b.until([&] { return count > 0; }, [&] { b.turn(Bench::step_timeout, flags); }),
             "some handler runs");
}

/// Watches two connections, each ready in the directions that are watched. The handler that runs
/// first does `act` to the other connection; after that no event of its own connection is reported.
template <unsigned flags, typename Act>
int first_acts_on_other(Bench& b, Link& one, Link& other, Act act)
{
    int calls = 0;
    const auto handler = [&](Link& link) {
        if (++calls == 1) {
            Link& victim = &link == &one ? other : one;
            act(victim);
        }
        for (Event* ev : {&link.read(), &link.write()}) {
            if (ev->active) {
                b.unwatch(*ev);
            }
        }
    };
    one.on_read = one.on_write = other.on_read = other.on_write = handler;
    turn_until(b, flags, calls);
    one.on_read = one.on_write = other.on_read = other.on_write = nullptr;
    b.settle();
    return calls;
}

template <unsigned flags>
void a_connection_closed_by_a_read_handler_is_not_read(Bench& b)
{
    Link& one = b.open();
    Link& other = b.open();
    for (Link* link : {&one, &other}) {
        link->send("x");
        b.watch(link->read());
    }
    b.same("handlers run", first_acts_on_other<flags>(b, one, other, [&](Link& l) { b.close(l); }),
           1);
}

template <unsigned flags>
void a_connection_closed_by_a_write_handler_is_not_written(Bench& b)
{
    Link& one = b.open();
    Link& other = b.open();
    b.watch(one.write());
    b.watch(other.write());
    b.same("handlers run", first_acts_on_other<flags>(b, one, other, [&](Link& l) { b.close(l); }),
           1);
}

template <unsigned flags>
void reading_and_writing_connections_may_close_each_other(Bench& b)
{
    for (const bool reader_first : {true, false}) {
        Link& one = b.open();
        Link& other = b.open();
        Link& reader = reader_first ? one : other;
        Link& writer = reader_first ? other : one;
        reader.send("x");
        b.watch(reader_first ? reader.read() : writer.write());
        b.watch(reader_first ? writer.write() : reader.read());
        b.same("handlers run",
               first_acts_on_other<flags>(b, one, other, [&](Link& l) { b.close(l); }), 1);
    }
}

/// Closes a connection and opens one that is not ready in its place, with both events watched.
Link& open_quiet_in_place_of(Bench& b, Link& closed)
{
    const Connection& slot = *closed.connection;
    const int number = closed.fd();
    b.close(closed);
    Link& link = b.open_in_place_of(slot, number);
    link.fill();
    b.watch(link.read());
    b.watch(link.write());
    return link;
}

/// Checks that the readiness of the old connection is not reported to the new one.
void expect_quiet(Bench& b, Link& fresh)
{
    b.same("reports to the new connection's read event", fresh.reads, 0);
    b.same("reports to the new connection's write event", fresh.writes, 0);
    b.same("ready of the new read event", static_cast<bool>(fresh.read().ready), false);
    b.same("ready of the new write event", static_cast<bool>(fresh.write().ready), false);

    fresh.send("x");
    fresh.drain();
    b.reported("data at the new connection", fresh.reads);
    b.reported("room at the new connection", fresh.writes);
}

template <unsigned flags>
void a_stale_read_event_does_not_reach_the_next_connection(Bench& b)
{
    Link& one = b.open();
    Link& other = b.open();
    for (Link* link : {&one, &other}) {
        link->send("x");
        b.watch(link->read());
    }
    Link* fresh = nullptr;
    b.same("handlers run",
           first_acts_on_other<flags>(b, one, other,
                                      [&](Link& l) { fresh = &open_quiet_in_place_of(b, l); }),
           1);
    expect_quiet(b, *fresh);
}

template <unsigned flags>
void a_stale_write_event_does_not_reach_the_next_connection(Bench& b)
{
    Link& one = b.open();
    Link& other = b.open();
    b.watch(one.write());
    b.watch(other.write());
    Link* fresh = nullptr;
    b.same("handlers run",
           first_acts_on_other<flags>(b, one, other,
                                      [&](Link& l) { fresh = &open_quiet_in_place_of(b, l); }),
           1);
    expect_quiet(b, *fresh);
}

template <unsigned flags>
void a_handler_may_close_its_own_connection(Bench& b)
{
    Link& link = b.open();
    link.send("x");
    b.watch(link.read());
    b.watch(link.write());
    int calls = 0;
    link.on_read = link.on_write = [&](Link& l) {
        calls++;
        b.close(l);
    };
    turn_until(b, flags, calls);
    b.settle();
    b.same("handlers run", calls, 1);
}

template <unsigned flags>
void the_rest_of_a_report_does_not_reach_the_next_connection(Bench& b)
{
    Link& link = b.open();
    link.send("x");
    b.watch(link.read());
    b.watch(link.write());
    int calls = 0;
    Link* fresh = nullptr;
    link.on_read = link.on_write = [&](Link& l) {
        calls++;
        fresh = &open_quiet_in_place_of(b, l);
    };
    turn_until(b, flags, calls);
    b.settle();
    b.same("handlers run", calls, 1);
    expect_quiet(b, *fresh);
}

template <unsigned flags>
void a_handler_may_close_all_others(Bench& b)
{
    std::vector<Link*> links;
    int calls = 0;
    for (int i = 0; i < 30; i++) {
        Link& link = b.open();
        links.push_back(&link);
        link.send("x");
        b.watch(link.read());
        b.watch(link.write());
        link.on_read = link.on_write = [&](Link& mine) {
            calls++;
            for (Link* other : links) {
                if (other != &mine && other->is_open()) {
                    b.close(*other);
                }
            }
            b.close(mine);
        };
    }
    turn_until(b, flags, calls);
    b.settle();
    b.same("handlers run", calls, 1);
}

template <unsigned flags>
void an_event_deleted_by_another_handler_runs_at_most_once(Bench& b)
{
    Link& one = b.open();
    Link& other = b.open();
    for (Link* link : {&one, &other}) {
        link->send("x");
        b.watch(link->read());
    }
    const int calls =
        first_acts_on_other<flags>(b, one, other, [&](Link& l) { b.unwatch(l.read()); });
    b.expect(calls <= 2, "no handler runs twice");
    b.expect(one.reads <= 1 && other.reads <= 1, "no handler runs again after its turn");
    b.same("active of the first", static_cast<bool>(one.read().active), false);
    b.same("active of the other", static_cast<bool>(other.read().active), false);
}

template <unsigned flags>
void a_handler_may_open_connections(Bench& b)
{
    std::vector<Link*> opened;
    Link& link = b.open();
    link.on_read = [&](Link& l) {
        (void)l.receive();
        for (int i = 0; i < 30; i++) {
            Link& fresh = b.open();
            fresh.on_read = [](Link& f) { (void)f.receive(); };
            fresh.send("x");
            b.watch(fresh.read());
            opened.push_back(&fresh);
        }
    };
    b.watch(link.read());
    link.send("x");
    turn_until(b, flags, link.reads);
    for (Link* fresh : opened) {
        b.reported("data at a connection that a handler has opened", fresh->reads);
        b.same("reports to the connection that a handler has opened", fresh->reads, 1);
    }
}

constexpr Promise table[] = {
    {
        .name = "a_connection_closed_by_a_read_handler_is_not_read",
        .explanation = "If a handler closes another connection whose read event is ready in the "
                       "same turn, that event's handler does not run.",
        .keep = a_connection_closed_by_a_read_handler_is_not_read<direct>,
    },
    {
        .name = "a_connection_closed_by_a_read_handler_is_not_read_when_posted",
        .explanation = "The same with post_events.",
        .keep = a_connection_closed_by_a_read_handler_is_not_read<posted>,
    },
    {
        .name = "a_connection_closed_by_a_write_handler_is_not_written",
        .explanation = "If a handler closes another connection whose write event is ready in the "
                       "same turn, that event's handler does not run.",
        .keep = a_connection_closed_by_a_write_handler_is_not_written<direct>,
    },
    {
        .name = "a_connection_closed_by_a_write_handler_is_not_written_when_posted",
        .explanation = "The same with post_events.",
        .keep = a_connection_closed_by_a_write_handler_is_not_written<posted>,
    },
    {
        .name = "reading_and_writing_connections_may_close_each_other",
        .explanation = "If a reading and a writing connection are ready and each closes the other, "
                       "only one handler runs.",
        .keep = reading_and_writing_connections_may_close_each_other<direct>,
    },
    {
        .name = "reading_and_writing_connections_may_close_each_other_when_posted",
        .explanation = "The same with post_events.",
        .keep = reading_and_writing_connections_may_close_each_other<posted>,
    },
    {
        .name = "a_stale_read_event_does_not_reach_the_next_connection",
        .explanation = "A handler closes a connection whose read event is ready, and opens one "
                       "with the same slot and descriptor number: the old event is not reported to "
                       "the new connection.",
        .keep = a_stale_read_event_does_not_reach_the_next_connection<direct>,
    },
    {
        .name = "a_stale_read_event_does_not_reach_the_next_connection_when_posted",
        .explanation = "The same with post_events.",
        .keep = a_stale_read_event_does_not_reach_the_next_connection<posted>,
    },
    {
        .name = "a_stale_write_event_does_not_reach_the_next_connection",
        .explanation = "A handler closes a connection whose write event is ready, and opens one "
                       "with the same slot and descriptor number: the old event is not reported to "
                       "the new connection.",
        .keep = a_stale_write_event_does_not_reach_the_next_connection<direct>,
    },
    {
        .name = "a_stale_write_event_does_not_reach_the_next_connection_when_posted",
        .explanation = "The same with post_events.",
        .keep = a_stale_write_event_does_not_reach_the_next_connection<posted>,
    },
    {
        .name = "a_handler_may_close_its_own_connection",
        .explanation = "After a handler has closed its own connection, the other event of the same "
                       "report is not handled.",
        .keep = a_handler_may_close_its_own_connection<direct>,
    },
    {
        .name = "a_handler_may_close_its_own_connection_when_posted",
        .explanation = "The same with post_events.",
        .keep = a_handler_may_close_its_own_connection<posted>,
    },
    {
        .name = "the_rest_of_a_report_does_not_reach_the_next_connection",
        .explanation = "A handler closes its own connection and opens a new one in its slot: the "
                       "other event of the report does not reach the new one.",
        .keep = the_rest_of_a_report_does_not_reach_the_next_connection<direct>,
    },
    {
        .name = "the_rest_of_a_report_does_not_reach_the_next_connection_when_posted",
        .explanation = "The same with post_events.",
        .keep = the_rest_of_a_report_does_not_reach_the_next_connection<posted>,
    },
    {
        .name = "a_handler_may_close_all_others",
        .explanation = "If thirty connections are ready, the first handler may close all of them, "
                       "its own included.",
        .keep = a_handler_may_close_all_others<direct>,
    },
    {
        .name = "a_handler_may_close_all_others_when_posted",
        .explanation = "The same with post_events.",
        .keep = a_handler_may_close_all_others<posted>,
    },
    {
        .name = "an_event_deleted_by_another_handler_runs_at_most_once",
        .explanation = "An event that is ready when another handler deletes it may still run in "
                       "this turn, if it was posted, but not in a later one.",
        .keep = an_event_deleted_by_another_handler_runs_at_most_once<direct>,
    },
    {
        .name = "an_event_deleted_by_another_handler_runs_at_most_once_when_posted",
        .explanation = "The same with post_events.",
        .keep = an_event_deleted_by_another_handler_runs_at_most_once<posted>,
    },
    {
        .name = "a_handler_may_open_connections",
        .explanation = "Any number of connections that a handler opens and adds are reported, each "
                       "once.",
        .keep = a_handler_may_open_connections<direct>,
    },
    {
        .name = "a_handler_may_open_connections_when_posted",
        .explanation = "The same with post_events.",
        .keep = a_handler_may_open_connections<posted>,
    },
};

}  // namespace

constinit const std::span<const Promise> batch_promises = table;

}  // namespace ngx::contract
