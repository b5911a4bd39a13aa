/// \file
/// Lesson 9: a client waits, and this process may open no more descriptors.

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/times.hpp"
#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "event/event_timer.hpp"

namespace ngx::lesson {

namespace {

constexpr const char* conf = "master_process off; events { use epoll; worker_connections 16; "
                             "accept_mutex_delay 1h; }"
                             "stream { server { listen unix:DIR/s; return x; } }";

int accepted;

/// While it lives, no descriptor is to be had.
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

/// Has the listener's timer expire in a turn, instead of in an hour.
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

/// A turn whose only purpose is that nothing happens: it does not wait.
void show_idle_turn(Loop& loop, const Event& ev)
{
    const int before = accepted;
    loop.turn(0);
    say("  a turn in the meantime: accepted %d more, watched: %s", accepted - before,
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
    say("A client comes when no descriptor is left:");
    {
        const NoDescriptors limit;
        loop.turn();
    }
    show_listener(ev);
    say("  the timer is of %lu ms", static_cast<unsigned long>(ev.timer_key - current_msec));
    say("%s", loop.log().c_str());

    say("There are descriptors again, but nobody tells the worker:");
    show_idle_turn(loop, ev);

    say("The hour is over (the lesson cuts it short):");
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
        compare(2, "2, it was tried again after the delay, and failed again");
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
