/// \file
/// Lesson 4: level-triggered and edge-triggered pollers.

#include <cerrno>
#include <unistd.h>

#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"

namespace ngx::lesson {

namespace {

struct {
    int reports;
    int bytes_per_read;
    std::string text;  // the data that was read
} seen;

std::string conf_of(const std::string& poller)
{
    return "master_process off; events { use " + poller + "; worker_connections 16; }";
}

/// Reads once. Right with a level-triggered poller, an error with an edge-triggered one.
void read_once(Event& rev) noexcept
{
    char buf[64];
    const ssize_t n = ::read(connection_of(rev).fd, buf, static_cast<size_t>(seen.bytes_per_read));
    seen.reports++;
    say("  report %d: reads %zd", seen.reports, n);
}

/// Reads as nginx's handlers do: while the event is ready, by recv(), which updates `ready`.
void read_while_ready(Event& rev) noexcept
{
    Connection& c = connection_of(rev);
    seen.reports++;
    while (rev.ready) {
        char buf[2];
        const ssize_t n = c.recv(c, buf, sizeof(buf));
        say("  report %d: recv() returns %zd, ready %d", seen.reports, n, unsigned{rev.ready});
    }
    (void)handle_read_event(rev, 0);
}

/// Makes four turns after five bytes have arrived at once.
int run_four_turns(const char* poller, EventHandler handler)
{
    Loop loop(conf_of(poller));
    seen = {.reports = 0, .bytes_per_read = 2, .text = {}};
    const Pair pair = open_pair(handler);
    (void)handle_read_event(*pair.c->read, 0);
    send_text(pair.peer, "bytes");
    for (int i = 0; i < 4; i++) {
        loop.turn(0);
    }
    ::close(pair.peer);
    return seen.reports;
}

void show()
{
    say("Level-triggered (poll), two bytes per report:");
    say("  %d reports in four turns", run_four_turns("poll", read_once));

    say("Edge-triggered (epoll), two bytes per report; three bytes remain unread:");
    say("  %d report in four turns", run_four_turns("epoll", read_once));

    say("Edge-triggered (epoll), until ready is 0:");
    say("  %d report in four turns", run_four_turns("epoll", read_while_ready));

    say("A level-triggered poller must not watch an event that is ready and not handled:");
    Loop loop(conf_of("poll"));
    const Pair pair = open_pair([](Event& rev) noexcept {
        say("  report: the handler does not read, and handle_read_event() deletes the event");
        (void)handle_read_event(rev, 0);
    });
    Event& rev = *pair.c->read;
    (void)handle_read_event(rev, 0);
    send_text(pair.peer, "x");
    loop.turn();
    say("  ready %d, active %d: the next turn reports nothing", unsigned{rev.ready},
        unsigned{rev.active});
    loop.turn(0);
    ::close(pair.peer);
}

int count_reports(const char* poller, int bytes, int per_read)
{
    Loop loop(conf_of(poller));
    seen = {.reports = 0, .bytes_per_read = per_read, .text = {}};
    const Pair pair = open_pair([](Event& rev) noexcept {
        char buf[64];
        seen.reports++;
        (void)!::read(connection_of(rev).fd, buf, static_cast<size_t>(seen.bytes_per_read));
    });
    (void)handle_read_event(*pair.c->read, 0);
    send_text(pair.peer, std::string(static_cast<std::size_t>(bytes), 'x'));
    for (int i = 0; i < bytes + 1; i++) {
        loop.turn(0);
    }
    ::close(pair.peer);
    return seen.reports;
}

void check(Checker& checker)
{
    for (const bool edge : {false, true}) {
        for (const int per_read : {2, 3, 7, 20}) {
            const std::string text = std::string(edge ? "edge" : "level") + ", 14 bytes, " +
                                     std::to_string(per_read) + " per read";
            checker.same(1, text, count_reports(edge ? "epoll" : "poll", 14, per_read),
                         exercise::reports(edge, 14, per_read));
        }
    }

    Loop loop(conf_of("epoll"));
    seen = {};
    const Pair pair = open_pair(
        [](Event& rev) noexcept { exercise::take_all(connection_of(rev).fd, seen.text); });
    (void)handle_read_event(*pair.c->read, 0);
    for (const std::size_t size : {std::size_t{1}, std::size_t{20'000}}) {
        seen.text.clear();
        send_text(pair.peer, std::string(size, 'x'));
        loop.turn(0);
        checker.same(2, std::to_string(size) + " bytes arrived, and one report",
                     static_cast<long long>(size), static_cast<long long>(seen.text.size()));
    }
    ::close(pair.peer);
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
