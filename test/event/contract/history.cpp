#include <array>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "core/buf.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "os/unix/os.hpp"
#include "test/event/contract/bench.hpp"

/// Bugs that other event loops had, above all nginx's. Each promise names the loop that had its
/// bug. What other chapters promise already is not repeated.
namespace ngx::contract {

namespace {

/// Checks that nothing is left to report, so that the wait lasts until its timeout.
void expect_rest(Bench& b, std::string_view sentence)
{
    constexpr Msec timeout = 20;
    b.settle();
    const Wait wait = b.turn(timeout);
    b.expect(wait.took.count() >= static_cast<std::int64_t>(timeout), sentence);
}

void expect_read(Bench& b, Event& rev, unsigned flags = 0)
{
    b.same("handle_read_event", handle_read_event(rev, flags), Rc::ok);
}

void expect_write(Bench& b, Event& wev)
{
    b.same("handle_write_event", handle_write_event(wev, 0), Rc::ok);
}

/// Waits with poll(), for a descriptor that is not watched yet, or must not be reported yet.
void wait_until_ready(Bench& b, int fd)
{
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    b.expect(::poll(&entry, 1, static_cast<int>(b.patience().count())) == 1,
             "the descriptor becomes ready");
}

/// Sends a byte, which causes the error.
void provoke(Bench& b, const Link& link)
{
    b.same("bytes sent", ::send(link.fd(), "x", 1, 0), 1);
}

void an_error_is_reported_to_added_events_only(Bench& b)
{
    Link& link = b.open(refused_datagrams());
    int error = 0;
    link.on_read = [&](Link& l) { error = pending_error(l.fd()); };
    b.watch(link.read());
    provoke(b, link);
    b.reported("the refusal", link.reads);
    b.same("the error", error, ECONNREFUSED);
    b.settle();
    b.same("reports to the write event, which was not added", link.writes, 0);
}

void an_error_with_room_is_reported_to_the_reader(Bench& b)
{
    Link& link = b.open(refused_datagrams());
    int error = 0;
    link.on_read = [&](Link& l) { error = pending_error(l.fd()); };
    b.watch(link.read());
    b.watch(link.write());
    b.reported("room", link.writes);
    provoke(b, link);
    b.reported("the refusal, to the read event", link.reads);
    b.same("the error", error, ECONNREFUSED);
}

/// Reads what has arrived. After the peer's end it stops reading, as a proxy does.
void read_to_the_end(Bench& b, Link& link)
{
    (void)link.receive();
    expect_read(b, link.read(), link.read().eof ? close_event : 0);
}

void an_end_that_was_read_does_not_spin(Bench& b)
{
    Link& link = b.open();
    link.on_read = [&](Link& l) { read_to_the_end(b, l); };
    expect_read(b, link.read());
    link.send("last words");
    ::shutdown(link.peer.get(), SHUT_WR);
    b.expect(b.until([&] { return link.read().eof; }), "the end of data is read");
    expect_rest(b, "the end of data, once read, does not end the wait");

    link.fill();
    expect_write(b, link.write());
    link.drain();
    b.reported("room, after the peer has ended", link.writes);
}

void a_reset_after_the_end_is_reported_to_the_writer(Bench& b)
{
    Link& link = b.open(tcp_pair());
    int error = 0;
    link.on_read = [&](Link& l) { read_to_the_end(b, l); };
    link.on_write = [&](Link& l) { error = pending_error(l.fd()); };
    expect_read(b, link.read());
    link.fill();
    b.watch(link.write());
    ::shutdown(link.peer.get(), SHUT_WR);
    b.expect(b.until([&] { return link.read().eof; }), "the end of data is read");

    reset(link.peer);
    b.expect(b.until([&] { return error != 0; }), "the write event is told of the reset");
}

void an_end_that_came_before_the_add_is_reported(Bench& b)
{
    Link& ended = b.open();
    ::shutdown(ended.peer.get(), SHUT_WR);
    Link& gone = b.open();
    gone.peer.close();
    Link& failed = b.open(tcp_pair());
    reset(failed.peer);
    b.settle();

    for (const auto& [link, end] :
         {std::pair{&ended, ssize_t{0}}, {&gone, ssize_t{0}}, {&failed, ssize_t{io_error}}}) {
        b.watch(link->read());
        b.reported("an end that occurred before the add", link->reads);
        b.same("what recv returns", link->receive().end, end);
    }
}

void an_end_after_a_shutdown_is_reported(Bench& b)
{
    Link& link = b.open(tcp_pair());
    std::string text;
    link.on_read = [&](Link& l) {
        text += l.receive().text;
        expect_read(b, l.read(), l.read().eof ? close_event : 0);
    };
    expect_read(b, link.read());
    ::shutdown(link.fd(), SHUT_WR);
    expect_rest(b, "a shutdown of the own side does not end the wait");
    b.same("reports of a shutdown of the own side", link.reads, 0);

    link.send("still here");
    b.until([&] { return !text.empty(); });
    b.same("data after the shutdown", text, "still here");
    link.peer.close();
    b.expect(b.until([&] { return link.read().eof; }), "the peer's end is read, too");
    b.same("reports to the write event, which was not added", link.writes, 0);
    expect_rest(b, "a connection that both have ended does not end the wait");
}

void a_hang_up_of_a_deleted_event_does_not_end_the_wait(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    b.watch(link.write());
    b.reported("room", link.writes);
    b.unwatch(link.read(), disable_event);
    b.unwatch(link.write(), disable_event);
    const int before = link.writes;

    link.peer.close();
    constexpr Msec timeout = 20;
    b.expect(b.turn(timeout).took.count() >= static_cast<std::int64_t>(timeout),
             "a hang-up of deleted events does not end the wait");
    b.same("reports to the read event", link.reads, 0);
    b.same("reports to the write event", link.writes, before);
    b.watch(link.read());
    b.reported("the hang-up, once the read event is added again", link.reads);
}

void a_hang_up_that_is_not_acted_on_does_not_spin(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    b.watch(link.write());
    link.peer.close();
    b.reported("the hang-up", link.reads);
    expect_rest(b, "the hang-up, once told, does not end the wait");
}

/// Opens a connection whose handlers request their events again after each report, though nothing
/// was read or sent.
Link& open_resting(Bench& b)
{
    Link& link = b.open();
    link.on_read = [&](Link& l) { expect_read(b, l.read()); };
    link.on_write = [&](Link& l) { expect_write(b, l.write()); };
    expect_read(b, link.read());
    expect_write(b, link.write());
    link.send("x");
    b.reported("room", link.writes);
    b.reported("data", link.reads);
    return link;
}

void a_connection_that_rests_does_not_spin(Bench& b)
{
    Link& link = open_resting(b);
    expect_rest(b, "what a resting connection leaves unread does not end the wait");

    b.same("the data", link.receive().text, "x");
    expect_read(b, link.read());
    const int before = link.reads;
    link.send("y");
    b.reported("data after the pause", link.reads, before + 1);
}

void ready_stays_set_until_a_call_would_block(Bench& b)
{
    Link& link = open_resting(b);
    b.settle();
    b.same("ready of the read event", static_cast<bool>(link.read().ready), true);
    b.same("ready of the write event", static_cast<bool>(link.write().ready), true);

    ::shutdown(link.peer.get(), SHUT_WR);
    b.settle();
    b.same("ready of the read event after the end", static_cast<bool>(link.read().ready), true);
    const Received received = link.receive();
    b.same("the data", received.text, "x");
    b.same("what recv returns after the data", received.end, 0);
}

void a_report_without_data_is_not_the_last(Bench& b)
{
    Link& link = b.open();
    Received received;
    link.on_read = [&](Link& l) {
        received = l.receive();
        expect_read(b, l.read());
    };
    expect_read(b, link.read());
    link.send("x");
    b.until([&] { return link.read().posted(); },
            [&] { b.process(Bench::step_timeout, update_time | post_events); });

    // Another owner of the socket reads the data first.
    char c = 0;
    (void)!::read(link.fd(), &c, 1);
    Bench::run_posted(b.cycle());
    b.same("reports", link.reads, 1);
    b.same("what recv returns", received.end, io_again);
    link.send("y");
    b.reported("data after a report without data", link.reads, 2);
    b.same("the data", received.text, "y");
}

/// Two connections that pass all data on to each other, and request all four events again after
/// each report.
struct Relay {
    Bench& b;
    Link& one;
    Link& other;

    static void pass_on(Link& from, Link& to)
    {
        const std::string text = from.receive().text;
        if (!text.empty()) {
            (void)to.connection->send(*to.connection, text.data(), text.size());
        }
    }

    void go()
    {
        pass_on(one, other);
        pass_on(other, one);
        for (Link* link : {&one, &other}) {
            expect_read(b, link->read());
            expect_write(b, link->write());
        }
    }

    void expect_passed(Link& from, Link& to)
    {
        char c = 0;
        from.send("x");
        b.expect(b.until([&] { return ::read(to.peer.get(), &c, 1) == 1; }),
                 "what one peer sends reaches the other");
    }
};

void a_report_leaves_the_other_half_of_a_proxy_alone(Bench& b)
{
    Relay relay{b, b.open(tcp_pair()), b.open(tcp_pair())};
    for (Link* link : {&relay.one, &relay.other}) {
        link->on_read = link->on_write = [&](Link&) { relay.go(); };
    }
    relay.go();
    for (int i = 0; i < 3; i++) {
        relay.expect_passed(relay.one, relay.other);
        relay.expect_passed(relay.one, relay.other);
        relay.expect_passed(relay.other, relay.one);
    }
}

void a_one_shot_report_keeps_the_other_direction(Bench& b)
{
    Link& reads = b.open();
    reads.fill();
    b.watch(reads.read(), oneshot_event);
    b.watch(reads.write(), oneshot_event);
    reads.send("x");
    b.reported("data", reads.reads);
    b.same("active of the write event", static_cast<bool>(reads.write().active), true);
    reads.drain();
    b.reported("room after the report of data", reads.writes);

    Link& writes = b.open();
    b.watch(writes.read(), oneshot_event);
    b.watch(writes.write(), oneshot_event);
    b.reported("room", writes.writes);
    b.same("active of the read event", static_cast<bool>(writes.read().active), true);
    writes.send("x");
    b.reported("data after the report of room", writes.reads);
}

void a_reported_one_shot_event_may_be_deleted(Bench& b)
{
    Link& link = b.open();
    link.on_read = [&](Link& l) {
        (void)l.receive();
        b.unwatch(l.read());
    };
    for (int i = 1; i <= 2; i++) {
        b.watch(link.read(), oneshot_event);
        link.send("x");
        b.reported("data", link.reads, i);
    }
}

/// While it exists, the server behaves as if epoll did not support EPOLLRDHUP.
class WithoutRdhup {
public:
    WithoutRdhup() { use_epoll_rdhup = false; }
    WithoutRdhup(const WithoutRdhup&) = delete;
    WithoutRdhup& operator=(const WithoutRdhup&) = delete;
    ~WithoutRdhup() { use_epoll_rdhup = known_; }

private:
    bool known_ = use_epoll_rdhup;
};

/// Sends data that fills the buffer exactly, twice, and the end, all in one report.
template <bool told>
void expect_end_behind_full_buffers(Bench& b)
{
    Link& link = b.open();
    std::array<char, 4> buf;
    std::string text;
    bool ended = false;
    link.on_read = [&](Link& l) {
        l.read().pending_eof &= told;
        ssize_t n = 0;
        do {
            n = l.connection->recv(*l.connection, buf.data(), buf.size());
            text.append(buf.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
        } while (n > 0 && l.read().ready);
        ended = n == 0;
        expect_read(b, l.read(), ended ? close_event : 0);
    };
    link.send("12345678");
    ::shutdown(link.peer.get(), SHUT_WR);
    expect_read(b, link.read());
    b.expect(b.until([&] { return ended; }), "the end of data is found");
    b.same("the data", text, "12345678");
}

void an_end_behind_a_full_buffer_is_found(Bench& b)
{
    expect_end_behind_full_buffers<true>(b);
}

void an_end_without_epollrdhup_is_found(Bench& b)
{
    const WithoutRdhup without;
    expect_end_behind_full_buffers<false>(b);
}

ssize_t recv_into_chain(Connection& c, char* data, std::size_t size) noexcept
{
    Buf buf;
    buf.pos = buf.last = data;
    buf.end = data + size;
    Chain in{.buf = &buf};
    return io.recv_chain(c, &in, 0);
}

void a_read_to_the_last_byte_waits_for_more(Bench& b)
{
    for (ssize_t (*recv)(Connection&, char*, std::size_t) noexcept : {io.recv, recv_into_chain}) {
        Link& link = b.open();
        std::array<char, 4> buf;
        std::size_t got = 0;
        link.on_read = [&](Link& l) {
            ssize_t n = 0;
            while ((n = recv(*l.connection, buf.data(), buf.size())) > 0) {
                got += static_cast<std::size_t>(n);
            }
            b.same("what the last call returns", n, io_again);
            b.same("ready after it", static_cast<bool>(l.read().ready), false);
            expect_read(b, l.read());
        };
        expect_read(b, link.read());
        for (const std::size_t sent : {8U, 16U}) {
            link.send("12345678");
            b.until([&] { return got >= sent; });
            b.same("bytes received", got, sent);
        }
    }
}

void a_connection_accepted_with_data_reports_the_rest(Bench& b)
{
    Link& link = b.open();
    link.send("head ");
    // As the accept handler sets it for a listener with deferred accept.
    link.read().ready = 1;
    link.read().available = 1;
    std::string text = link.receive().text;
    b.same("data that arrived before accept", text, "head ");

    link.on_read = [&](Link& l) { text += l.receive().text; };
    link.send("and body");
    expect_read(b, link.read());
    b.reported("the rest", link.reads);
    b.same("the text", text, "head and body");
}

void a_timer_that_is_always_due_does_not_delay_events(Bench& b)
{
    Link& ticking = b.open();
    int expirations = 0;
    ticking.on_read = [&](Link& l) {
        expirations += static_cast<int>(l.read().timedout);
        l.read().timedout = 0;
    };
    Link& link = b.open();
    b.watch(link.read());
    link.send("x");

    int turns = 0;
    b.until([&] { return link.reads > 0; },
            [&] {
                add_timer(ticking.read(), 0);
                process_events_and_timers(b.cycle());
                turns++;
            });
    b.expect(link.reads > 0, "data is reported though a timer is due in each turn");
    b.same("expirations in as many turns", expirations, turns);
}

std::atomic<int> notified;

void a_notification_that_meets_the_wait_is_not_lost(Bench& b)
{
    constexpr int rounds = 200;
    std::atomic<bool> go_on = true;
    notified = 0;
    std::thread notifier([&go_on] {
        for (int i = 0; i < rounds && go_on; i++) {
            (void)event_actions.notify([](Event&) noexcept { notified++; });
            while (notified == i && go_on) {
                std::this_thread::yield();
            }
        }
    });
    // Each notification arrives between the handling of the last one and the next wait.
    while (go_on && notified < rounds) {
        const Wait wait = b.turn(static_cast<Msec>(b.patience().count()));
        go_on = b.expect(wait.took < b.patience(), "each notification ends the wait");
    }
    go_on = false;
    notifier.join();
}

void what_stays_ready_is_reported_after_each_add(Bench& b)
{
    Link& link = b.open({::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), {}});
    for (int i = 0; i < 5; i++) {
        const int before = link.reads;
        b.watch(link.read());
        b.reported("unread data", link.reads, before + 1);
        b.unwatch(link.read(), disable_event);
    }
}

void a_change_keeps_what_is_ready_but_not_yet_reported(Bench& b)
{
    Link& grows = b.open();
    b.watch(grows.read());
    grows.send("x");
    b.watch(grows.write());

    Link& shrinks = b.open();
    b.watch(shrinks.read());
    b.watch(shrinks.write());
    shrinks.send("x");
    b.unwatch(shrinks.write(), Bench::natural_flags() | disable_event);

    b.reported("data that arrived before the write event was added", grows.reads);
    b.reported("room", grows.writes);
    b.reported("data that arrived before the write event was deleted", shrinks.reads);
}

void copies_of_a_descriptor_are_told_apart(Bench& b)
{
    Link& one = b.open();
    Link& copy = b.open({::fcntl(one.fd(), F_DUPFD_CLOEXEC, 0), test::Fd()});
    one.on_read = copy.on_read = [](Link& l) { l.read().ready = 0; };
    b.watch(one.read());
    b.watch(copy.read());
    one.send("x");
    b.reported("data, at the first descriptor", one.reads);
    b.reported("data, at its copy", copy.reads);

    b.unwatch(copy.read(), 0);
    b.close(copy);
    (void)one.receive();
    const int before = one.reads;
    one.send("y");
    b.reported("data after the copy was closed", one.reads, before + 1);
}

void a_copy_that_outlives_its_connection_does_not_spin(Bench& b)
{
    Link& link = b.open();
    const test::Fd copy(::fcntl(link.fd(), F_DUPFD_CLOEXEC, 0));
    b.watch(link.read());
    b.close(link);
    link.send("x");
    expect_rest(b, "data at the copy ends no more than one wait");
}

void a_connection_closed_before_a_turn_leaves_nothing(Bench& b)
{
    for (int i = 0; i < 20; i++) {
        Link& link = b.open();
        link.send("x");
        b.watch(link.read());
        b.watch(link.write());
        b.close(link);
    }
    Link& next = b.open();
    b.watch(next.read());
    expect_rest(b, "connections that are gone do not end the wait");
    b.same("reports to the next connection's read event", next.reads, 0);
    b.same("reports to its write event, which was not added", next.writes, 0);
}

void a_listener_that_was_closed_does_not_accept(Bench& b)
{
    for (const unsigned flags : {update_time, update_time | post_events}) {
        Link& listening = b.open({listener(), test::Fd()});
        listening.read().accept = 1;
        Link& link = b.open();
        int calls = 0;
        listening.on_read = link.on_read = [&](Link& l) {
            calls++;
            b.close(&l == &link ? listening : link);
            b.unwatch(l.read());
        };
        b.watch(listening.read(), level_event);
        b.watch(link.read());
        const test::Fd client(connect_to(listening.fd()));
        wait_until_ready(b, listening.fd());
        link.send("x");
        b.until([&] { return calls > 0; }, [&] { b.turn(Bench::step_timeout, flags); });
        b.settle();
        b.same("handlers run", calls, 1);
    }
}

/// Fills the listener's queue until it accepts no more. Returns the clients.
std::vector<test::Fd> crowd(int listening)
{
    constexpr std::size_t enough = 32;
    std::vector<test::Fd> clients;
    ::listen(listening, 0);
    while (clients.size() < enough && (clients.empty() || !is_connecting(clients.back().get()))) {
        clients.emplace_back(connect_to(listening));
    }
    return clients;
}

void a_connect_under_way_is_not_reported(Bench& b)
{
    const test::Fd listening(listener());
    const std::vector<test::Fd> clients = crowd(listening.get());
    Link& link = b.open({tcp_socket(), test::Fd()});

    // A poller with add_conn gets the socket before it is being connected.
    if (event_actions.add_conn) {
        b.same("add_conn", event_actions.add_conn(*link.connection), Rc::ok);
    }
    start_connect(link.fd(), listening.get());
    if (!event_actions.add_conn) {
        b.watch(link.read());
        b.watch(link.write());
    }

    expect_rest(b, "a connect under way does not end the wait");
    b.same("the connect is in progress", is_connecting(link.fd()), true);
    b.same("reports to the read event", link.reads, 0);
    b.same("reports to the write event", link.writes, 0);
    b.close(link);
    expect_rest(b, "a connect that was given up does not end the wait");
}

void what_init_opens_is_closed_by_exec(Bench& b)
{
    constexpr int limit = 1024;
    std::vector<bool> was_open(limit);
    b.done();
    for (int fd = 0; fd < limit; fd++) {
        was_open[static_cast<std::size_t>(fd)] = ::fcntl(fd, F_GETFD) != -1;
    }
    b.same("init", b.init(), Rc::ok);
    for (int fd = 0; fd < limit; fd++) {
        const int flags = ::fcntl(fd, F_GETFD);
        if (flags != -1 && !was_open[static_cast<std::size_t>(fd)]) {
            b.expect((flags & FD_CLOEXEC) != 0, "a descriptor of the poller has FD_CLOEXEC");
        }
    }
}

void done_in_a_forked_process_keeps_the_parents_poller(Bench& b)
{
    Link& link = b.open();
    link.fill();
    b.watch(link.read());
    b.watch(link.write());
    const pid_t child = ::fork();
    if (child == 0) {
        // The child would log an alert if it cannot release what it does not inherit.
        b.cycle().log->log_level = 0;
        b.done();
        ::_exit(0);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    b.same("status of the child", status, 0);

    link.send("x");
    link.drain();
    b.reported("data after the child's done", link.reads);
    b.reported("room after the child's done", link.writes);
}

constexpr Promise table[] = {
    {
        .name = "an_error_is_reported_to_added_events_only",
        .explanation = "An error without data runs the handlers of added events only: under poll, "
                       "a resolver had no write handler to run (nginx 1.3.12).",
        .keep = an_error_is_reported_to_added_events_only,
    },
    {
        .name = "an_error_with_room_is_reported_to_the_reader",
        .explanation = "An error that is reported together with room reaches the read event, too: "
                       "a writer with nothing to send would not notice it (nginx 1.11.7).",
        .keep = an_error_with_room_is_reported_to_the_reader,
    },
    {
        .name = "an_end_that_was_read_does_not_spin",
        .explanation = "handle_read_event() with close_event stops the reports of an end of data "
                       "at once, although the descriptor stays open for sending (nginx 1.9.0, "
                       "1.17.2).",
        .keep = an_end_that_was_read_does_not_spin,
    },
    {
        .name = "a_reset_after_the_end_is_reported_to_the_writer",
        .explanation = "If a peer resets the connection after its end of data was read, the writer "
                       "is notified and does not wait for its send timeout (nginx 0.5.13).",
        .keep = a_reset_after_the_end_is_reported_to_the_writer,
    },
    {
        .name = "an_end_that_came_before_the_add_is_reported",
        .explanation = "An end of data, a hang-up or a reset that occurred before the read event "
                       "was added is reported (nginx 1.19.9, HAProxy).",
        .keep = an_end_that_came_before_the_add_is_reported,
    },
    {
        .name = "an_end_after_a_shutdown_is_reported",
        .explanation = "A connection that was shut down and lingers still gets data and the peer's "
                       "end, which the kernel reports as a hang-up (nginx 1.11.0, Bun).",
        .keep = an_end_after_a_shutdown_is_reported,
    },
    {
        .name = "a_hang_up_of_a_deleted_event_does_not_end_the_wait",
        .explanation = "When both events are deleted, a hang-up does not end the wait, although "
                       "the kernel reports hang-ups for an empty set of events, too (h2o, CUPS).",
        .keep = a_hang_up_of_a_deleted_event_does_not_end_the_wait,
    },
    {
        .name = "a_hang_up_that_is_not_acted_on_does_not_spin",
        .explanation = "With edges, a hang-up that no handler acts on is not reported repeatedly "
                       "(Seastar, Bun).",
        .keep = a_hang_up_that_is_not_acted_on_does_not_spin,
        .needs = capability::clear,
    },
    {
        .name = "a_connection_that_rests_does_not_spin",
        .explanation = "After handle_read_event() and handle_write_event(), unread data and unused "
                       "room do not end the wait (nginx 0.4.10, 1.3.12).",
        .keep = a_connection_that_rests_does_not_spin,
    },
    {
        .name = "ready_stays_set_until_a_call_would_block",
        .explanation = "`ready` stays set until a call would block: a connection that is used "
                       "again later gets no second report (nginx 1.5.9, 1.21.2).",
        .keep = ready_stays_set_until_a_call_would_block,
    },
    {
        .name = "a_report_without_data_is_not_the_last",
        .explanation = "A handler that found nothing to read, because another reader was faster, "
                       "is called again when more data arrives (nginx 0.1.12).",
        .keep = a_report_without_data_is_not_the_last,
    },
    {
        .name = "a_report_leaves_the_other_half_of_a_proxy_alone",
        .explanation = "A report for one connection of a proxied pair, after which all four events "
                       "are added again, loses no event of the other connection (nginx 1.19.8).",
        .keep = a_report_leaves_the_other_half_of_a_proxy_alone,
    },
    {
        .name = "a_one_shot_report_keeps_the_other_direction",
        .explanation = "The report of a one-shot event keeps the other event of the connection, "
                       "although the kernel removes both (nginx's eventport and devpoll).",
        .keep = a_one_shot_report_keeps_the_other_direction,
        .needs = capability::oneshot,
    },
    {
        .name = "a_reported_one_shot_event_may_be_deleted",
        .explanation = "del of a one-shot event that was reported already returns ok and logs no "
                       "alert (nginx 1.19.9).",
        .keep = a_reported_one_shot_event_may_be_deleted,
        .needs = capability::oneshot,
    },
    {
        .name = "an_end_behind_a_full_buffer_is_found",
        .explanation = "An end of data that is reported together with data that exactly fills the "
                       "buffer is found without another report (nginx 1.23.0).",
        .keep = an_end_behind_a_full_buffer_is_found,
    },
    {
        .name = "an_end_without_epollrdhup_is_found",
        .explanation = "The same if epoll does not support EPOLLRDHUP although the headers have "
                       "it, as on emulations of Linux (nginx 1.23.0).",
        .keep = an_end_without_epollrdhup_is_found,
        .needs = capability::epoll,
    },
    {
        .name = "a_read_to_the_last_byte_waits_for_more",
        .explanation = "After a read of exactly the data that had arrived, recv and recv_chain "
                       "clear `ready`; new data is reported and can be read (nginx 1.23.1).",
        .keep = a_read_to_the_last_byte_waits_for_more,
    },
    {
        .name = "a_connection_accepted_with_data_reports_the_rest",
        .explanation = "Data that arrives after a connection was accepted with its first data, and "
                       "before its event is added, is reported (nginx 0.4.13, 1.13.1).",
        .keep = a_connection_accepted_with_data_reports_the_rest,
    },
    {
        .name = "a_timer_that_is_always_due_does_not_delay_events",
        .explanation = "With a timer that is due in each turn, so that no turn waits, events are "
                       "still reported, and the timer runs in each turn (nginx 1.19.9, libuv).",
        .keep = a_timer_that_is_always_due_does_not_delay_events,
    },
    {
        .name = "a_notification_that_meets_the_wait_is_not_lost",
        .explanation = "A notification that arrives just when the loop begins to wait ends the "
                       "wait (asio on Linux 5.3).",
        .keep = a_notification_that_meets_the_wait_is_not_lost,
        .needs = capability::notify,
    },
    {
        .name = "what_stays_ready_is_reported_after_each_add",
        .explanation = "A descriptor that is always ready is reported after each add, with edges, "
                       "too (asio).",
        .keep = what_stays_ready_is_reported_after_each_add,
    },
    {
        .name = "a_change_keeps_what_is_ready_but_not_yet_reported",
        .explanation = "An add or del of one direction does not lose an event of the other "
                       "direction that is ready and not reported yet (Unikraft's and StarryOS's "
                       "epoll).",
        .keep = a_change_keeps_what_is_ready_but_not_yet_reported,
    },
    {
        .name = "copies_of_a_descriptor_are_told_apart",
        .explanation = "Two descriptors of one socket are both reported; the second still is after "
                       "the first was deleted and closed (libevent, libuv).",
        .keep = copies_of_a_descriptor_are_told_apart,
    },
    {
        .name = "a_copy_that_outlives_its_connection_does_not_spin",
        .explanation = "A closed connection whose socket another process still has open may end "
                       "one more wait, but no others (libuv).",
        .keep = a_copy_that_outlives_its_connection_does_not_spin,
    },
    {
        .name = "a_connection_closed_before_a_turn_leaves_nothing",
        .explanation = "Connections that were added and closed between two turns are not reported "
                       "and cause no later failure (libuv, libevent's change list).",
        .keep = a_connection_closed_before_a_turn_leaves_nothing,
    },
    {
        .name = "a_listener_that_was_closed_does_not_accept",
        .explanation = "If a listener and a connection are ready and each closes the other, only "
                       "one handler runs (libuv).",
        .keep = a_listener_that_was_closed_does_not_accept,
    },
    {
        .name = "a_connect_under_way_is_not_reported",
        .explanation = "A socket that was added before connect is neither ready nor hung up while "
                       "it connects, and can be closed (HAProxy, libuv).",
        .keep = a_connect_under_way_is_not_reported,
    },
    {
        .name = "what_init_opens_is_closed_by_exec",
        .explanation = "The program that a binary upgrade starts inherits no descriptor of the "
                       "poller (OpenResty).",
        .keep = what_init_opens_is_closed_by_exec,
    },
    {
        .name = "done_in_a_forked_process_keeps_the_parents_poller",
        .explanation = "done in a forked process removes nothing from its parent's poller, "
                       "although both share the kernel's object (libuv).",
        .keep = done_in_a_forked_process_keeps_the_parents_poller,
    },
};

}  // namespace

constinit const std::span<const Promise> history_promises = table;

}  // namespace ngx::contract
