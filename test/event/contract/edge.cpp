#include "test/event/contract/bench.hpp"

#include "event/event.hpp"

namespace ngx::contract {

namespace {

void an_arrival_is_reported_once(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    link.send("x");
    b.reported("data", link.reads);
    b.settle();
    b.settle();
    b.same("reports of one arrival", link.reads, 1);
}

void new_data_is_reported_although_the_old_is_unread(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    for (int arrivals = 1; arrivals <= 3; arrivals++) {
        link.send("x");
        b.reported("new data", link.reads, arrivals);
        b.settle();
        b.same("reports", link.reads, arrivals);
    }
}

void what_a_partial_read_leaves_is_not_reported_again(Bench& b)
{
    Link& link = b.open();
    char buf[3];
    link.on_read = [&](Link& l) { (void)l.connection->recv(*l.connection, buf, sizeof(buf)); };
    b.watch(link.read());
    link.send("12345678");
    b.reported("data", link.reads);
    b.settle();
    b.same("reports of one arrival", link.reads, 1);
    b.same("what is left", link.receive().text, "45678");
}

void room_is_reported_once_until_the_socket_was_full(Bench& b)
{
    Link& link = b.open();
    b.watch(link.write());
    b.reported("room", link.writes);
    b.settle();
    b.same("reports of room", link.writes, 1);

    link.fill();
    b.settle();
    b.same("reports of a full socket", link.writes, 1);

    link.drain();
    b.reported("room after the peer has read", link.writes, 2);
    b.settle();
    b.same("reports of room after the second time", link.writes, 2);
}

void handle_read_event_adds_an_edge_once(Bench& b)
{
    Link& link = b.open();
    b.same("handle_read_event", handle_read_event(link.read(), 0), Rc::ok);
    b.same("active", static_cast<bool>(link.read().active), true);
    b.same("the second handle_read_event", handle_read_event(link.read(), 0), Rc::ok);

    link.send("x");
    b.reported("data", link.reads);
    b.same("handle_read_event of a ready event", handle_read_event(link.read(), 0), Rc::ok);
    b.same("active of a ready event", static_cast<bool>(link.read().active), true);
    b.settle();
    b.same("reports", link.reads, 1);

    (void)link.receive();
    b.same("handle_read_event of a drained event", handle_read_event(link.read(), 0), Rc::ok);
    link.send("x");
    b.reported("new data", link.reads, 2);
}

void handle_write_event_adds_an_edge_once(Bench& b)
{
    Link& link = b.open();
    link.fill();
    b.same("handle_write_event", handle_write_event(link.write(), 0), Rc::ok);
    b.same("active", static_cast<bool>(link.write().active), true);
    link.drain();
    b.reported("room", link.writes);
    b.same("handle_write_event of a ready event", handle_write_event(link.write(), 0), Rc::ok);
    b.same("active of a ready event", static_cast<bool>(link.write().active), true);

    link.fill();
    b.same("handle_write_event of a full socket", handle_write_event(link.write(), 0), Rc::ok);
    link.drain();
    b.reported("room", link.writes, 2);
    b.settle();
    b.same("reports", link.writes, 2);
}

void the_direction_that_stays_keeps_its_edge(Bench& b)
{
    Link& reads = b.open();
    b.watch(reads.read());
    b.watch(reads.write());
    b.reported("room", reads.writes);
    b.unwatch(reads.write(), clear_event);
    for (int arrivals = 1; arrivals <= 2; arrivals++) {
        reads.send("x");
        b.reported("data after del of the write event", reads.reads, arrivals);
        b.settle();
        b.same("reports after del of the write event", reads.reads, arrivals);
    }

    Link& writes = b.open();
    writes.fill();
    b.watch(writes.write());
    b.watch(writes.read());
    b.unwatch(writes.read(), clear_event);
    writes.drain();
    b.reported("room after del of the read event", writes.writes);
    b.settle();
    b.same("reports of room after del of the read event", writes.writes, 1);
}

constexpr Promise table[] = {
    {
        .name = "an_arrival_is_reported_once",
        .explanation = "Data that is not read is reported once.",
        .keep = an_arrival_is_reported_once,
        .needs = capability::clear,
    },
    {
        .name = "new_data_is_reported_although_the_old_is_unread",
        .explanation = "Each arrival of data is reported, even if earlier data is unread.",
        .keep = new_data_is_reported_although_the_old_is_unread,
        .needs = capability::clear,
    },
    {
        .name = "what_a_partial_read_leaves_is_not_reported_again",
        .explanation = "After a read of a part of the data, the rest is not reported again.",
        .keep = what_a_partial_read_leaves_is_not_reported_again,
        .needs = capability::clear,
    },
    {
        .name = "room_is_reported_once_until_the_socket_was_full",
        .explanation = "Room is reported once, and again only after the socket was full.",
        .keep = room_is_reported_once_until_the_socket_was_full,
        .needs = capability::clear,
    },
    {
        .name = "handle_read_event_adds_an_edge_once",
        .explanation = "handle_read_event() adds an event that is neither active nor ready, and "
                       "leaves any other as it is.",
        .keep = handle_read_event_adds_an_edge_once,
        .needs = capability::clear,
    },
    {
        .name = "handle_write_event_adds_an_edge_once",
        .explanation = "handle_write_event() adds an event that is neither active nor ready, and "
                       "leaves any other as it is.",
        .keep = handle_write_event_adds_an_edge_once,
        .needs = capability::clear,
    },
    {
        .name = "the_direction_that_stays_keeps_its_edge",
        .explanation = "After del of one direction with clear_event, each edge of the other is "
                       "still reported once.",
        .keep = the_direction_that_stays_keeps_its_edge,
        .needs = capability::clear,
    },
};

}  // namespace

constinit const std::span<const Promise> edge_promises = table;

}  // namespace ngx::contract
