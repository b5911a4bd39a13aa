#include <algorithm>
#include <string>

#include "test/event/contract/bench.hpp"

#include "event/event.hpp"

namespace ngx::contract {

namespace {

void arriving_data_is_reported_to_the_read_event(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    b.settle();
    b.same("reports before data", link.reads, 0);

    link.send("x");
    b.reported("arriving data", link.reads);
    b.same("reports to the write event", link.writes, 0);
}

void data_that_came_before_the_add_is_reported(Bench& b)
{
    Link& link = b.open();
    link.send("x");
    b.watch(link.read());
    b.reported("data that arrived before the add", link.reads);
}

void room_to_send_is_reported_to_the_write_event(Bench& b)
{
    Link& link = b.open();
    b.watch(link.write());
    b.reported("room", link.writes);
    b.same("reports to the read event", link.reads, 0);
}

void a_full_socket_is_reported_once_there_is_room(Bench& b)
{
    Link& link = b.open();
    link.fill();
    b.watch(link.write());
    b.settle();
    b.same("reports of a full socket", link.writes, 0);

    link.drain();
    b.reported("room after the peer has read", link.writes);
}

void a_read_event_that_was_not_added_is_not_reported(Bench& b)
{
    Link& link = b.open();
    b.watch(link.write());
    link.send("x");
    b.reported("room", link.writes);
    b.settle();
    b.same("reports to the read event", link.reads, 0);
    b.same("the read event is posted", link.read().posted(), false);
}

void a_write_event_that_was_not_added_is_not_reported(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    link.send("x");
    b.reported("data", link.reads);
    b.settle();
    b.same("reports to the write event", link.writes, 0);
    b.same("the write event is posted", link.write().posted(), false);
}

void both_directions_of_a_connection_are_reported(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    b.watch(link.write());
    link.send("x");
    b.reported("data", link.reads);
    b.reported("room", link.writes);
}

void a_reported_event_is_ready_when_its_handler_runs(Bench& b)
{
    Link& link = b.open();
    bool read_ready = false;
    bool write_ready = false;
    int available = 0;
    link.on_read = [&](Link& l) {
        read_ready = l.read().ready;
        available = l.read().available;
    };
    link.on_write = [&](Link& l) { write_ready = l.write().ready; };

    b.watch(link.read());
    b.watch(link.write());
    link.send("x");
    b.reported("data", link.reads);
    b.reported("room", link.writes);
    b.same("ready of the read event", read_ready, true);
    b.same("ready of the write event", write_ready, true);
    b.expect(available != 0, "`available` of the read event is the number of bytes, or -1");
}

void what_is_reported_can_be_received(Bench& b)
{
    Link& link = b.open();
    std::string text;
    link.on_read = [&](Link& l) { text += l.receive().text; };
    b.watch(link.read());

    link.send("one ");
    b.until([&] { return text.size() >= 4; });
    link.send("two");
    b.until([&] { return text.size() >= 7; });
    b.same("the text", text, "one two");
    b.same("ready after EAGAIN", static_cast<bool>(link.read().ready), false);
}

/// One end of a conversation. Each call sends and receives as much as possible.
struct Talker {
    static constexpr std::size_t size = 512 * 1024;

    const std::string& text;
    std::string received{};
    std::size_t sent = 0;

    void go(Bench& b, Link& link)
    {
        Connection& c = *link.connection;
        while (sent < size && c.write->ready) {
            const ssize_t n =
                c.send(c, text.data() + sent, std::min<std::size_t>(size - sent, 7000));
            sent += n > 0 ? static_cast<std::size_t>(n) : 0;
        }
        if (c.read->ready) {
            received += link.receive().text;
        }
        b.same("handle_read_event", handle_read_event(*c.read, 0), Rc::ok);
        if (sent < size || c.write->active) {
            b.same("handle_write_event", handle_write_event(*c.write, 0), Rc::ok);
        }
    }
};

void a_conversation_loses_nothing(Bench& b)
{
    std::string text(Talker::size, ' ');
    std::ranges::generate(text, [n = 0U]() mutable { return static_cast<char>(n++ * 31 >> 3); });

    Ends ends = tcp_pair();
    Link& one = b.open({ends.own, test::Fd()});
    Link& other = b.open({::dup(ends.peer.get()), test::Fd()});
    ends.peer.close();

    Talker talkers[2] = {{text}, {text}};
    for (const auto& pair : {std::pair{&one, &talkers[0]}, {&other, &talkers[1]}}) {
        Link* const link = pair.first;
        Talker* const talker = pair.second;
        link->on_read = link->on_write = [&b, talker](Link& l) { talker->go(b, l); };
        talker->go(b, *link);
    }
    b.expect(b.until([&] {
        return talkers[0].received.size() == text.size() &&
               talkers[1].received.size() == text.size();
    }),
             "all that was sent has arrived");
    b.expect(talkers[0].received == text && talkers[1].received == text,
             "the data received is the data sent");
}

constexpr Promise table[] = {
    {
        .name = "arriving_data_is_reported_to_the_read_event",
        .explanation = "A read event is reported when data arrives, and not before.",
        .keep = arriving_data_is_reported_to_the_read_event,
    },
    {
        .name = "data_that_came_before_the_add_is_reported",
        .explanation = "Data that arrived before the read event was added is reported.",
        .keep = data_that_came_before_the_add_is_reported,
    },
    {
        .name = "room_to_send_is_reported_to_the_write_event",
        .explanation = "A write event is reported when the socket has room for data.",
        .keep = room_to_send_is_reported_to_the_write_event,
    },
    {
        .name = "a_full_socket_is_reported_once_there_is_room",
        .explanation = "The write event of a full socket is reported when the peer has read, and "
                       "not before.",
        .keep = a_full_socket_is_reported_once_there_is_room,
    },
    {
        .name = "a_read_event_that_was_not_added_is_not_reported",
        .explanation = "Data is not reported if only the write event was added.",
        .keep = a_read_event_that_was_not_added_is_not_reported,
    },
    {
        .name = "a_write_event_that_was_not_added_is_not_reported",
        .explanation = "Room is not reported if only the read event was added.",
        .keep = a_write_event_that_was_not_added_is_not_reported,
    },
    {
        .name = "both_directions_of_a_connection_are_reported",
        .explanation = "If both events of a connection are added, both are reported.",
        .keep = both_directions_of_a_connection_are_reported,
    },
    {
        .name = "a_reported_event_is_ready_when_its_handler_runs",
        .explanation = "`ready` is set when the handler runs; `available` of a read event is the "
                       "number of bytes, or -1.",
        .keep = a_reported_event_is_ready_when_its_handler_runs,
    },
    {
        .name = "what_is_reported_can_be_received",
        .explanation = "The recv that init has set reads the data that was reported, and then its "
                       "end.",
        .keep = what_is_reported_can_be_received,
    },
    {
        .name = "a_conversation_loses_nothing",
        .explanation = "Two ends that send each other half a megabyte through small buffers, with "
                       "handle_read_event() and handle_write_event(), both receive all of it.",
        .keep = a_conversation_loses_nothing,
    },
};

}  // namespace

constinit const std::span<const Promise> readiness_promises = table;

}  // namespace ngx::contract
