/// \file
/// Lesson 6: the order of a turn, and its queues.

#include <unistd.h>

#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "event/event_accept.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "os/unix/process.hpp"

namespace ngx::lesson {

namespace {

std::string order;  // the letters of the handlers that ran
bool quiet = false;

std::string conf_of(bool with_mutex)
{
    return std::string("worker_processes 2; events { use epoll; worker_connections 16; ") +
           (with_mutex ? "accept_mutex on;" : "") +
           "} stream { server { listen unix:DIR/s; return x; } }";
}

void ran(char letter, const char* what)
{
    order += letter;
    if (!quiet) {
        const bool held = accept_mutex_ptr->load() == static_cast<unsigned>(pid);
        say("  %s%s", what, held ? ", the mutex is held" : "");
    }
}

void read_handler(Event& rev) noexcept
{
    ran('r', "read handler");
    rev.ready = 0;
}

void timer_handler(Event&) noexcept
{
    ran('t', "timer handler");
}

void accepted(Connection& c) noexcept
{
    ran('a', "accepted");
    close_accepted(c);
}

/// Runs a turn in which data arrives first, then a client, and a timer is due.
void run_turn(bool with_mutex)
{
    Loop loop(conf_of(with_mutex));
    loop->listening[0].handler = accepted;
    loop.turn(0);  // a worker with the mutex now watches its listeners

    const Pair pair = open_pair(read_handler);
    (void)handle_read_event(*pair.c->read, 0);
    pair.c->write->handler = timer_handler;
    add_timer(*pair.c->write, 0);
    send_text(pair.peer, "x");
    const int client = connect_to(loop.path("s"));

    order.clear();
    loop.turn();
    ::close(client);
    ::close(pair.peer);
}

int times_left;

void posts_itself(Event& ev) noexcept
{
    order += 'p';
    if (times_left-- > 0) {
        post_event(ev, posted_events);
    }
}

/// Returns how often a handler runs in one turn.
int count_runs(int posted, int by_itself)
{
    Loop loop(conf_of(false));
    const Pair pair = open_pair(posts_itself);
    times_left = by_itself;
    order.clear();
    for (int i = 0; i < posted; i++) {
        post_event(*pair.c->read, posted_events);
    }
    loop.turn(0);
    ::close(pair.peer);
    return static_cast<int>(order.size());
}

void show_next()
{
    Loop loop(conf_of(false));
    const Pair pair = open_pair([](Event& ev) noexcept {
        say("  handler, ready %d", unsigned{ev.ready});
        if (times_left-- > 0) {
            post_event(ev, posted_next_events);
        }
    });
    times_left = 1;
    post_event(*pair.c->read, posted_next_events);
    for (int turn = 1; turn <= 3; turn++) {
        say("  turn %d, the event is posted for it: %s", turn, yes_no(!posted_next_events.empty()));
        loop.turn(0);
    }
    ::close(pair.peer);
}

void show()
{
    say("Data, a client and a timer in one turn, without the accept mutex:");
    run_turn(false);
    say("The same with the accept mutex:");
    run_turn(true);

    say("The handler of an event that is posted three times runs %d time.", count_runs(3, 0));
    say("A handler that posts its event twice more runs %d times, all in one turn.",
        count_runs(1, 2));

    say("Posted for the next turn, twice:");
    show_next();
}

void check(Checker& checker)
{
    quiet = true;
    for (const bool with_mutex : {false, true}) {
        run_turn(with_mutex);
        checker.same(1, with_mutex ? "with the mutex" : "without the mutex", order,
                     exercise::order_of_turn(with_mutex));
    }
    for (const int posted : {0, 1, 3}) {
        for (const int by_itself : {0, 4}) {
            checker.same(2,
                         "posted " + std::to_string(posted) + " times, by its handler " +
                             std::to_string(by_itself),
                         count_runs(posted, by_itself), exercise::runs(posted, by_itself));
        }
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
