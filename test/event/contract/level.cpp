#include "test/event/contract/bench.hpp"

#include "event/event.hpp"

namespace ngx::contract {

namespace {

void unread_data_is_reported_again(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    link.send("x");
    b.reported("unread data", link.reads, 4);
}

void data_that_was_read_is_not_reported_again(Bench& b)
{
    Link& link = b.open();
    link.on_read = [](Link& l) { (void)l.receive(); };
    b.watch(link.read());
    link.send("x");
    b.reported("data", link.reads);
    b.settle();
    b.settle();
    b.same("reports", link.reads, 1);
}

void room_is_reported_again(Bench& b)
{
    Link& link = b.open();
    b.watch(link.write());
    b.reported("room", link.writes, 4);

    link.fill();
    b.settle();
    const int before = link.writes;
    b.settle();
    b.same("reports of a full socket", link.writes, before);
}

void handle_read_event_watches_only_what_is_not_ready(Bench& b)
{
    Link& link = b.open();
    b.same("handle_read_event", handle_read_event(link.read(), 0), Rc::ok);
    b.same("active", static_cast<bool>(link.read().active), true);
    link.send("x");
    b.reported("data", link.reads);

    b.same("handle_read_event of a ready event", handle_read_event(link.read(), 0), Rc::ok);
    b.same("active of a ready event", static_cast<bool>(link.read().active), false);
    const int before = link.reads;
    b.settle();
    b.same("reports of an event that is ready", link.reads, before);

    (void)link.receive();
    b.same("handle_read_event of a drained event", handle_read_event(link.read(), 0), Rc::ok);
    b.same("active of a drained event", static_cast<bool>(link.read().active), true);
    link.send("x");
    b.reported("new data", link.reads, before + 1);
}

void handle_write_event_watches_only_what_is_not_ready(Bench& b)
{
    Link& link = b.open();
    link.fill();
    b.same("handle_write_event", handle_write_event(link.write(), 0), Rc::ok);
    b.same("active", static_cast<bool>(link.write().active), true);
    link.drain();
    b.reported("room", link.writes);

    b.same("handle_write_event of a ready event", handle_write_event(link.write(), 0), Rc::ok);
    b.same("active of a ready event", static_cast<bool>(link.write().active), false);
    const int before = link.writes;
    b.settle();
    b.same("reports of an event that is ready", link.writes, before);

    link.fill();
    b.same("handle_write_event of a full socket", handle_write_event(link.write(), 0), Rc::ok);
    link.drain();
    b.reported("new room", link.writes, before + 1);
}

void handle_read_event_stops_watching_what_is_to_be_closed(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    b.same("handle_read_event", handle_read_event(link.read(), close_event), Rc::ok);
    b.same("active", static_cast<bool>(link.read().active), false);
    link.send("x");
    b.settle();
    b.same("reports", link.reads, 0);
}

constexpr Promise table[] = {
    {
        .name = "unread_data_is_reported_again",
        .explanation = "Data is reported in each turn until it is read.",
        .keep = unread_data_is_reported_again,
        .needs = capability::level,
    },
    {
        .name = "data_that_was_read_is_not_reported_again",
        .explanation = "After all data was read there are no more reports.",
        .keep = data_that_was_read_is_not_reported_again,
        .needs = capability::level,
    },
    {
        .name = "room_is_reported_again",
        .explanation = "Room is reported in each turn until the socket is full.",
        .keep = room_is_reported_again,
        .needs = capability::level,
    },
    {
        .name = "handle_read_event_watches_only_what_is_not_ready",
        .explanation = "handle_read_event() deletes an event that is ready, and adds it when the "
                       "data was read.",
        .keep = handle_read_event_watches_only_what_is_not_ready,
        .needs = capability::level,
    },
    {
        .name = "handle_write_event_watches_only_what_is_not_ready",
        .explanation = "handle_write_event() deletes an event that is ready, and adds it when the "
                       "socket was full.",
        .keep = handle_write_event_watches_only_what_is_not_ready,
        .needs = capability::level,
    },
    {
        .name = "handle_read_event_stops_watching_what_is_to_be_closed",
        .explanation = "handle_read_event() with close_event deletes an event that is not ready.",
        .keep = handle_read_event_stops_watching_what_is_to_be_closed,
        .needs = capability::level,
    },
};

}  // namespace

constinit const std::span<const Promise> level_promises = table;

}  // namespace ngx::contract
