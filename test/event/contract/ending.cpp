#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>

#include "event/event.hpp"
#include "test/event/contract/bench.hpp"

namespace ngx::contract {

namespace {

void shut_down(const Link& link)
{
    ::shutdown(link.peer.get(), SHUT_WR);
}

void the_peers_end_of_data_is_reported_to_the_read_event(Bench& b)
{
    for (Ends (*ends)() : {socket_pair, tcp_pair}) {
        Link& link = b.open(ends());
        b.watch(link.read());
        b.settle();
        shut_down(link);
        b.reported("the end of data", link.reads);
        b.same("what recv returns", link.receive().end, 0);
        b.same("eof", static_cast<bool>(link.read().eof), true);
    }
}

void data_before_the_end_is_read_first(Bench& b)
{
    Link& link = b.open();
    Received received;
    link.on_read = [&](Link& l) { received = l.receive(); };
    b.watch(link.read());
    link.send("last words");
    shut_down(link);
    b.reported("data and its end", link.reads);
    b.same("the data", received.text, "last words");
    b.same("what recv returns after the data", received.end, 0);
}

void an_end_that_comes_after_the_data_was_read_is_reported(Bench& b)
{
    Link& link = b.open();
    Received received;
    link.on_read = [&](Link& l) { received = l.receive(); };
    b.watch(link.read());
    link.send("x");
    b.reported("data", link.reads);
    b.same("what recv returns after the data", received.end, io_again);

    shut_down(link);
    b.reported("the end of data", link.reads, 2);
    b.same("what recv returns at the end", received.end, 0);
}

void the_end_of_data_is_pending_when_it_is_reported(Bench& b)
{
    Link& link = b.open();
    bool with_data = true;
    link.on_read = [&](Link& l) {
        with_data = l.read().pending_eof;
        (void)l.receive();
    };
    b.watch(link.read());
    link.send("x");
    b.reported("data", link.reads);
    b.same("pending_eof while the peer may send more", with_data, false);

    bool at_end = false;
    link.on_read = [&](Link& l) { at_end = l.read().pending_eof; };
    link.send("y");
    shut_down(link);
    b.reported("the end of data", link.reads, 2);
    b.settle();  // the end may have a report of its own
    b.same("pending_eof at the end", at_end, true);
}

void the_end_of_data_is_not_reported_to_a_write_event(Bench& b)
{
    Link& link = b.open();
    link.fill();
    b.watch(link.write());
    shut_down(link);
    b.settle();
    b.same("reports to the write event of a full socket", link.writes, 0);
}

void a_reset_reaches_a_read_event_that_is_alone(Bench& b)
{
    Link& link = b.open(tcp_pair());
    b.watch(link.read());
    reset(link.peer);
    b.reported("the reset", link.reads);
    b.same("what recv returns", link.receive().end, io_error);
}

void a_reset_reaches_a_write_event_that_is_alone(Bench& b)
{
    Link& link = b.open(tcp_pair());
    int error = 0;
    link.on_write = [&](Link& l) { error = pending_error(l.fd()); };
    link.fill();
    b.watch(link.write());
    // A late acknowledgement of the peer makes room, which is reported before the error.
    reset(link.peer);
    b.until([&] { return error != 0; });
    b.same("the error", error, ECONNRESET);
}

void a_reset_reaches_a_connection_that_closes_at_once(Bench& b)
{
    Link& link = b.open(tcp_pair());
    link.fill();
    b.watch(link.read());
    b.watch(link.write());
    int calls = 0;
    link.on_read = link.on_write = [&](Link& l) {
        calls++;
        b.close(l);
    };
    reset(link.peer);
    b.expect(b.until([&] { return calls > 0; }), "the reset is reported");
    b.settle();
    b.same("handlers run", calls, 1);
}

void a_hang_up_reaches_an_event_that_is_alone(Bench& b)
{
    Link& reads = b.open();
    b.watch(reads.read());
    reads.peer.close();
    b.reported("the hang-up, to the read event", reads.reads);
    b.same("reports to the write event, which was not added", reads.writes, 0);

    Link& writes = b.open();
    writes.fill();
    b.watch(writes.write());
    writes.peer.close();
    b.reported("the hang-up, to the write event", writes.writes);
    b.same("reports to the read event, which was not added", writes.reads, 0);
}

void the_close_of_a_pipe_is_reported_to_its_other_end(Bench& b)
{
    Link& reads = b.open(pipe_to_read());
    b.watch(reads.read());
    b.settle();
    reads.peer.close();
    b.reported("a pipe without writer", reads.reads);

    Link& writes = b.open(pipe_to_write());
    char block[4096] = {};
    while (::write(writes.fd(), block, sizeof(block)) > 0) {}
    b.watch(writes.write());
    b.settle();
    b.same("reports of a full pipe", writes.writes, 0);
    writes.peer.close();
    b.reported("a pipe without reader", writes.writes);
}

void a_connect_is_reported_to_the_write_event(Bench& b)
{
    const test::Fd listening(listener());
    Link& link = b.open({connect_to(listening.get()), test::Fd()});
    b.watch(link.write());
    b.reported("the connection", link.writes);
    b.same("the error", pending_error(link.fd()), 0);
}

void a_refused_connect_is_reported_to_the_write_event(Bench& b)
{
    Link& link = b.open({connect_to_nobody(), test::Fd()});
    b.watch(link.write());
    b.reported("the refusal", link.writes);
    b.same("the error", pending_error(link.fd()), ECONNREFUSED);
}

void urgent_data_is_not_reported(Bench& b)
{
    Link& link = b.open(tcp_pair());
    b.watch(link.read());
    b.watch(link.write());
    b.reported("room", link.writes);
    b.unwatch(link.write(), Bench::natural_flags() | disable_event);
    if (::send(link.peer.get(), "!", 1, MSG_OOB) != 1) {
        b.expect(false, "the peer sends urgent data");
    }
    constexpr Msec timeout = 20;
    b.expect(b.turn(timeout).took.count() >= static_cast<std::int64_t>(timeout),
             "urgent data does not end the wait");
    b.same("reports to the read event", link.reads, 0);
}

void a_descriptor_closed_without_del_does_not_spin(Bench& b)
{
    b.alerts_are_expected();
    Link& neighbour = b.open();
    b.watch(neighbour.read());

    Link& link = b.open();
    const int number = link.fd();
    link.on_read = [&](Link& l) {
        b.same("what recv returns", l.receive().end, io_error);
        b.unwatch(l.read(), close_event);
    };
    b.watch(link.read());
    ::close(number);

    bool noticed = false;
    for (int i = 0; i < 3; i++) {
        noticed |= b.turn().rc == Rc::error || link.reads > 0;
    }
    constexpr Msec timeout = 20;
    b.expect(b.turn(timeout).took.count() >= static_cast<std::int64_t>(timeout),
             "the loop waits again");
    b.expect(!noticed || !b.alerts().empty(),
             "the poller logs an alert for the descriptor that it has removed");

    // Restores the number, so that the connection closes its own descriptor.
    move_to(::dup(neighbour.fd()), number);
    b.close(link);
    neighbour.send("x");
    b.reported("data at another connection", neighbour.reads);
}

/// Reads as the server's modules do: while the event is ready, and not until EAGAIN.
void read_while_ready(Bench& b, const Link& link, std::string& text)
{
    Event& rev = link.read();
    std::array<char, 64> buf;
    while (rev.ready && !rev.eof) {
        const ssize_t n = link.connection->recv(*link.connection, buf.data(), buf.size());
        if (n > 0) {
            text.append(buf.data(), static_cast<std::size_t>(n));
        }
    }
    b.same("handle_read_event", handle_read_event(rev, rev.eof ? close_event : 0), Rc::ok);
}

void data_and_an_end_that_come_together_are_both_seen(Bench& b)
{
    for (const auto ends : {socket_pair, tcp_pair}) {
        Link& link = b.open(ends());
        std::string text;
        link.on_read = [&](Link& l) { read_while_ready(b, l, text); };
        b.same("handle_read_event", handle_read_event(link.read(), 0), Rc::ok);
        b.settle();
        link.send("hello");
        ::shutdown(link.peer.get(), SHUT_WR);
        b.expect(b.until([&] { return link.read().eof != 0; }), "the end is seen");
        b.same("the data before the end", text, "hello");
        b.close(link);
    }
}

constexpr Promise table[] = {
    {
        .name = "data_and_an_end_that_come_together_are_both_seen",
        .explanation = "If one report brings data and the end of data, a reader that stops when "
                       "its event is not ready any more finds both.",
        .keep = data_and_an_end_that_come_together_are_both_seen,
    },
    {
        .name = "the_peers_end_of_data_is_reported_to_the_read_event",
        .explanation = "When the peer shuts down its side, the read event is reported and recv "
                       "returns 0.",
        .keep = the_peers_end_of_data_is_reported_to_the_read_event,
    },
    {
        .name = "data_before_the_end_is_read_first",
        .explanation = "If data and the end of data are reported together, one handler reads the "
                       "data and then the end.",
        .keep = data_before_the_end_is_read_first,
    },
    {
        .name = "an_end_that_comes_after_the_data_was_read_is_reported",
        .explanation = "An end of data that arrives after the data was reported and read is "
                       "reported as well.",
        .keep = an_end_that_comes_after_the_data_was_read_is_reported,
    },
    {
        .name = "the_end_of_data_is_pending_when_it_is_reported",
        .explanation = "`pending_eof` is set by the report that brings the end of data, and not "
                       "before.",
        .keep = the_end_of_data_is_pending_when_it_is_reported,
        .needs = capability::rdhup,
    },
    {
        .name = "the_end_of_data_is_not_reported_to_a_write_event",
        .explanation = "When the peer shuts down its side, a write event is not reported.",
        .keep = the_end_of_data_is_not_reported_to_a_write_event,
    },
    {
        .name = "a_reset_reaches_a_read_event_that_is_alone",
        .explanation = "A reset is reported if only the read event was added.",
        .keep = a_reset_reaches_a_read_event_that_is_alone,
    },
    {
        .name = "a_reset_reaches_a_write_event_that_is_alone",
        .explanation = "A reset is reported if only the write event of a full socket was added.",
        .keep = a_reset_reaches_a_write_event_that_is_alone,
    },
    {
        .name = "a_reset_reaches_a_connection_that_closes_at_once",
        .explanation = "A reset is reported to one handler, and to no second one if the first "
                       "closes the connection.",
        .keep = a_reset_reaches_a_connection_that_closes_at_once,
    },
    {
        .name = "a_hang_up_reaches_an_event_that_is_alone",
        .explanation = "When the peer is closed, an event that was added alone is reported, and "
                       "the other event of the connection is not.",
        .keep = a_hang_up_reaches_an_event_that_is_alone,
    },
    {
        .name = "the_close_of_a_pipe_is_reported_to_its_other_end",
        .explanation = "When one end of a pipe is closed, this is reported to the other end, the "
                       "reading or the writing one.",
        .keep = the_close_of_a_pipe_is_reported_to_its_other_end,
    },
    {
        .name = "a_connect_is_reported_to_the_write_event",
        .explanation = "A nonblocking connect is reported to the write event when it is "
                       "established.",
        .keep = a_connect_is_reported_to_the_write_event,
    },
    {
        .name = "a_refused_connect_is_reported_to_the_write_event",
        .explanation = "A connect that is refused is reported to the write event.",
        .keep = a_refused_connect_is_reported_to_the_write_event,
    },
    {
        .name = "urgent_data_is_not_reported",
        .explanation = "Out-of-band data is not reported, and does not end the wait, not even "
                       "after del with disable_event.",
        .keep = urgent_data_is_not_reported,
    },
    {
        .name = "a_descriptor_closed_without_del_does_not_spin",
        .explanation = "A descriptor that was closed without del ends at most a few waits, with an "
                       "alert if the poller notices it, and affects no other descriptor.",
        .keep = a_descriptor_closed_without_del_does_not_spin,
    },
};

}  // namespace

constinit const std::span<const Promise> ending_promises = table;

}  // namespace ngx::contract
