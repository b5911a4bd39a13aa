#include <csignal>
#include <cstdint>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "event/event.hpp"
#include "event/event_wake.hpp"
#include "os/unix/channel.hpp"
#include "test/event/contract/bench.hpp"

namespace ngx::contract {

namespace {

/// Recorded by a channel's read handler. Its write event has no handler, as in the server.
struct Channels {
    int calls = 0;
    int messages = 0;
    Rc last = Rc::ok;
};
Channels seen;

/// The handler of a worker's channel: reads until there are no more messages.
void channel_handler(Event& ev) noexcept
{
    seen.calls++;
    Channel ch;
    while ((seen.last = read_channel(connection_of(ev).fd, ch, ev.log)) == Rc::ok) {
        seen.messages++;
    }
    ev.ready = 0;
}

/// The handler of a channel in a process without a master.
void counter_handler(Event& ev) noexcept
{
    std::uint64_t count = 0;
    seen.calls++;
    if (::read(connection_of(ev).fd, &count, sizeof(count)) == sizeof(count)) {
        seen.messages += static_cast<int>(count);
    }
}

void signal_handler(Event& ev) noexcept
{
    signalfd_siginfo info{};
    seen.calls++;
    while (::read(connection_of(ev).fd, &info, sizeof(info)) == sizeof(info)) {
        seen.messages++;
    }
}

/// Adds a channel. The returned connection owns the descriptor.
Connection* watch_channel(Bench& b, int fd, EventHandler handler)
{
    seen = {};
    const bool added =
        b.same("add_channel_event", add_channel_event(b.cycle(), fd, read_event, handler), Rc::ok);
    for (std::size_t i = 0; added && i < b.cycle().connection_n; i++) {
        if (b.cycle().connections[i].fd == fd) {
            return &b.cycle().connections[i];
        }
    }
    throw std::runtime_error("there is no connection of the channel");
}

void waits(Bench& b, std::string_view while_what)
{
    constexpr Msec timeout = 20;
    const Wait wait = b.turn(timeout);
    b.expect(wait.took.count() >= static_cast<std::int64_t>(timeout),
             std::string("the loop waits ").append(while_what));
}

void a_channel_reports_messages_and_never_room(Bench& b)
{
    Ends ends = socket_pair();
    Connection* const c = watch_channel(b, ends.own, channel_handler);
    waits(b, "while the channel is silent");
    b.same("reports of a silent channel", seen.calls, 0);

    for (int n = 1; n <= 3; n++) {
        (void)write_channel(ends.peer.get(), {.command = cmd_reopen}, b.cycle().log);
        b.reported("a message", seen.messages, n);
    }
    waits(b, "when all messages are read");
    b.same("write is active", static_cast<bool>(c->write->active), false);
    close_connection(*c);
}

void the_end_of_a_channel_is_reported(Bench& b)
{
    Ends ends = socket_pair();
    Connection* const c = watch_channel(b, ends.own, channel_handler);
    ends.peer.close();
    b.reported("the end of a channel", seen.calls);
    b.same("read_channel", seen.last, Rc::error);

    // As in a worker whose master has ended.
    if ((event_flags & use_epoll_event) != 0) {
        b.same("del_conn", event_actions.del_conn(*c, 0), Rc::ok);
    }
    close_connection(*c);
    waits(b, "when the channel is closed");
}

void each_count_of_an_eventfd_ends_a_wait(Bench& b)
{
    const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    Connection* const c = watch_channel(b, fd, counter_handler);
    waits(b, "while nothing is counted");
    for (int n = 1; n <= 3; n++) {
        constexpr std::uint64_t one = 1;
        (void)!::write(fd, &one, sizeof(one));
        b.reported("a count", seen.messages, n);
    }
    waits(b, "when the count is read");
    b.same("reports", seen.calls, 3);
    close_connection(*c);
}

void a_count_that_is_not_read_is_reported_again(Bench& b)
{
    const int fd = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    Connection* const c = watch_channel(b, fd, [](Event&) noexcept { seen.calls++; });
    b.reported("a count, without clear_event", seen.calls, 3);
    close_connection(*c);
}

/// The eventfd is added as connections are: as an edge if the poller has edges.
void an_eventfd_that_is_left_unread_lets_the_loop_wait(Bench& b)
{
    Link& link = b.open({::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), test::Fd()});
    link.on_read = [](Link& l) { (void)handle_read_event(l.read(), 0); };
    b.same("handle_read_event", handle_read_event(link.read(), 0), Rc::ok);
    b.same("active after handle_read_event", static_cast<bool>(link.read().active), true);
    waits(b, "while nothing is counted");
    for (int n = 1; n <= 3; n++) {
        std::uint64_t count = 1;
        (void)!::write(link.fd(), &count, sizeof(count));
        b.reported("a count", link.reads, n);
        waits(b, "while the count is left unread");
        b.same("reports of one count", link.reads, n);

        (void)!::read(link.fd(), &count, sizeof(count));
        link.read().ready = 0;
        b.same("handle_read_event when the count is read", handle_read_event(link.read(), 0),
               Rc::ok);
        waits(b, "when the count is read");
    }
    b.close(link);
}

/// Blocks a signal, so that it can be read from a descriptor. The destructor ignores the signal for
/// a moment, which discards one that was not read.
class Blocked {
public:
    explicit Blocked(int signo) : signo_(signo)
    {
        sigemptyset(&set_);
        sigaddset(&set_, signo);
        ::pthread_sigmask(SIG_BLOCK, &set_, &mask_before_);
    }
    Blocked(const Blocked&) = delete;
    Blocked& operator=(const Blocked&) = delete;
    ~Blocked()
    {
        const auto handler_before = std::signal(signo_, SIG_IGN);
        ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
        std::signal(signo_, handler_before);
    }

    [[nodiscard]] int descriptor() const
    {
        return ::signalfd(-1, &set_, SFD_NONBLOCK | SFD_CLOEXEC);
    }

private:
    int signo_;
    sigset_t set_{};
    sigset_t mask_before_{};
};

void a_signal_is_read_from_its_descriptor(Bench& b)
{
    const Blocked signal(SIGUSR2);
    Connection* const c = watch_channel(b, signal.descriptor(), signal_handler);
    waits(b, "while no signal came");
    for (int n = 1; n <= 3; n++) {
        std::raise(SIGUSR2);
        b.reported("a signal", seen.messages, n);
    }
    close_connection(*c);
}

void a_thread_wakes_the_loop(Bench& b)
{
    int wakes = 0;
    EventWaker waker;
    waker.data = &wakes;
    waker.handler = [](EventWaker& w) noexcept { ++*static_cast<int*>(w.data); };
    b.same("event_waker_init", event_waker_init(waker, b.cycle()), Rc::ok);
    for (int n = 1; n <= 3; n++) {
        std::thread thread([&] { event_wake(waker); });
        b.reported("a thread's call", wakes, n);
        thread.join();
    }
    waits(b, "when nobody calls");
    event_waker_done(waker);
}

constexpr Promise table[] = {
    {
        .name = "a_channel_reports_messages_and_never_room",
        .explanation = "A channel that add_channel_event() has added is reported when a message "
                       "arrives. Its write event, which has no handler, is never reported.",
        .keep = a_channel_reports_messages_and_never_room,
    },
    {
        .name = "the_end_of_a_channel_is_reported",
        .explanation = "When the master has exited, its channel is reported and can be closed.",
        .keep = the_end_of_a_channel_is_reported,
    },
    {
        .name = "each_count_of_an_eventfd_ends_a_wait",
        .explanation = "An eventfd such as signal handlers use is reported after each write.",
        .keep = each_count_of_an_eventfd_ends_a_wait,
    },
    {
        .name = "a_count_that_is_not_read_is_reported_again",
        .explanation = "An eventfd that was added without clear_event is level-triggered with "
                       "every poller.",
        .keep = a_count_that_is_not_read_is_reported_again,
    },
    {
        .name = "an_eventfd_that_is_left_unread_lets_the_loop_wait",
        .explanation = "An eventfd that was added by handle_read_event() and is not read is "
                       "reported once; after a read and a write it is reported again. A poller "
                       "that cannot watch it as an edge reports it as a one-shot event.",
        .keep = an_eventfd_that_is_left_unread_lets_the_loop_wait,
    },
    {
        .name = "a_signal_is_read_from_its_descriptor",
        .explanation = "A signalfd is reported for each signal.",
        .keep = a_signal_is_read_from_its_descriptor,
    },
    {
        .name = "a_thread_wakes_the_loop",
        .explanation = "An EventWaker, whose eventfd is added as connections are, is reported each "
                       "time that a thread wakes the loop, also where edges make it leave the "
                       "eventfd unread.",
        .keep = a_thread_wakes_the_loop,
    },
};

}  // namespace

constinit const std::span<const Promise> channel_promises = table;

}  // namespace ngx::contract
