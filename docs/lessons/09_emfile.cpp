/// \file
/// Lesson 9: a client waits, and this process cannot open another descriptor.

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/times.hpp"
#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "event/event_accept.hpp"
#include "event/event_timer.hpp"

namespace ngx::lesson {

namespace {

constexpr const char* conf = "master_process off; events { use epoll; worker_connections 16; "
                             "accept_mutex_delay 1h; }"
                             "stream { server { listen unix:DIR/s; return x; } }";

int accepted;

/// During its lifetime no descriptor is free.
class NoDescriptors {
public:
    NoDescriptors()
    {
        ::getrlimit(RLIMIT_NOFILE, &limit_);
        rlimit none = limit_;
        const int lowest = checked(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open");
        ::close(lowest);
        none.rlim_cur = static_cast<rlim_t>(lowest);
        checked(::setrlimit(RLIMIT_NOFILE, &none), "setrlimit");
    }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;
    ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &limit_); }

private:
    rlimit limit_{};
};

void accept_handler(Connection& c) noexcept
{
    accepted++;
    close_accepted(c);
}

/// Makes the listener's timer expire in the next turn instead of in an hour.
void end_delay(Loop& loop, Event& ev)
{
    del_timer(ev);
    add_timer(ev, 0);
    loop.turn();
}

void show_listener(const Event& ev)
{
    say("  accepted %d; the listener is watched: %s, has a timer: %s", accepted, yes_no(ev.active),
        yes_no(ev.timer_set()));
}

/// Makes a turn that does not wait, to show that nothing happens.
void show_idle_turn(Loop& loop, const Event& ev)
{
    const int before = accepted;
    loop.turn(0);
    say("  a turn before the timer expires: accepted %d more, watched: %s", accepted - before,
        yes_no(ev.active));
}

void show()
{
    Loop loop(conf);
    loop->listening[0].handler = accept_handler;
    Event& ev = *loop->listening[0].connection->read;
    say("At the start:");
    show_listener(ev);

    const int client = connect_to(loop.path("s"));
    say("A client connects when no descriptor is free:");
    {
        const NoDescriptors limit;
        loop.turn();
    }
    show_listener(ev);
    say("  the timer is set to %lu ms", static_cast<unsigned long>(ev.timer_key - current_msec));
    say("%s", loop.log().c_str());

    say("Descriptors are free again, but the worker is not notified:");
    show_idle_turn(loop, ev);

    say("The timer expires (the lesson does not wait for an hour):");
    end_delay(loop, ev);
    show_listener(ev);
    ::close(client);
}

void check(Checker& checker)
{
    for (const int err : {EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, ECONNABORTED, EINVAL}) {
        checker.same(1, std::strerror(err), static_cast<long long>(is_shortage(err)),
                     static_cast<long long>(exercise::stops_accepting(err)));
    }

    Loop loop(conf);
    loop->listening[0].handler = accept_handler;
    Event& ev = *loop->listening[0].connection->read;
    const auto compare = [&](int step, const char* text) {
        checker.same(2, text, ev.active, static_cast<long long>(exercise::is_watched(step)));
    };
    compare(0, "0, at the start");
    accepted = 0;
    const int client = connect_to(loop.path("s"));
    {
        const NoDescriptors limit;
        loop.turn();
        compare(1, "1, accept() has failed");
        end_delay(loop, ev);
        compare(2, "2, accept() was tried again after the delay, and failed again");
    }
    end_delay(loop, ev);
    compare(3, "3, the client was accepted");
    ::close(client);
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
