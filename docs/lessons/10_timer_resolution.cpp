/// \file
/// Lesson 10: the time is read once in a turn, or when an alarm signal arrives.

#include <chrono>
#include <csignal>
#include <thread>
#include <unistd.h>

#include "core/times.hpp"
#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"

namespace ngx::lesson {

namespace {

Msec asked;  // the timeout of the turn

std::string conf_of(const std::string& resolution)
{
    return (resolution.empty() ? "" : "timer_resolution " + resolution + "; ") +
           "master_process off; events { use epoll; worker_connections 16; }";
}

/// Makes a turn that records its timeout and does not wait.
void ask(Loop& loop)
{
    TurnHook hook;
    hook.before = [](TurnHook&, Msec timer) noexcept {
        asked = timer;
        return Msec{0};
    };
    add_turn_hook(hook);
    loop.turn(timer_infinite);
    del_turn_hook(hook);
}

std::string asked_text()
{
    return asked == timer_infinite ? "none" : std::to_string(asked) + " ms";
}

/// Returns whether a turn some ms after the last one updates the time.
bool time_moves(Loop& loop)
{
    time_update();
    const Msec before = current_msec;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    loop.turn(0);
    return current_msec != before;
}

void show_turns(Loop& loop)
{
    ask(loop);
    say("  timeout without timers: %s", asked_text().c_str());

    const Pair pair = open_pair([](Event& rev) noexcept {
        rev.ready = 0;
        rev.timedout = 0;
    });
    add_timer(*pair.c->read, 50);
    ask(loop);
    say("  timeout with a timer of 50 ms: %s", asked_text().c_str());
    say("  a turn 5 ms later updates the time: %s", yes_no(time_moves(loop)));
    ::close(pair.peer);
}

void show_alarm()
{
    Loop loop(conf_of("1h"));
    show_turns(loop);
    std::raise(SIGALRM);
    say("  the alarm signal arrives: event_timer_alarm %d", static_cast<int>(event_timer_alarm));
    say("  a turn 5 ms later updates the time: %s", yes_no(time_moves(loop)));
    say("  event_timer_alarm is still %d: no wait was interrupted",
        static_cast<int>(event_timer_alarm));
}

void show()
{
    say("Without timer_resolution:");
    {
        Loop loop(conf_of(""));
        show_turns(loop);
    }
    say("With timer_resolution 1h:");
    show_alarm();

    say("With timer_resolution 100ms, a turn that only the alarm ends:");
    Loop loop(conf_of("100ms"));
    const Msec before = current_msec;
    loop.turn(timer_infinite);
    say("  it ends, the time is updated: %s, event_timer_alarm %d", yes_no(current_msec != before),
        static_cast<int>(event_timer_alarm));
    say("  it is not an error: %s", loop.log().empty() ? "nothing is logged" : "it is logged");
}

void check(Checker& checker)
{
    for (const long resolution : {0L, 3'600'000L}) {
        Loop loop(conf_of(resolution == 0 ? "" : "1h"));
        const std::string text = "timer_resolution " + std::to_string(resolution);
        const Pair pair = open_pair([](Event&) noexcept {});
        for (const long timer : {-1L, 0L, 50L}) {
            if (timer >= 0) {
                add_timer(*pair.c->read, static_cast<Msec>(timer));
            }
            ask(loop);
            checker.same(1, text + ", next timer " + std::to_string(timer),
                         static_cast<long long>(asked), exercise::wait_of_turn(resolution, timer));
            if (pair.c->read->timer_set()) {
                del_timer(*pair.c->read);
            }
        }
        for (const bool rang : {false, true}) {
            event_timer_alarm = rang ? 1 : 0;
            checker.same(2, text + ", the alarm has arrived: " + yes_no(rang), time_moves(loop),
                         static_cast<long long>(exercise::updates_the_time(resolution, rang)));
        }
        ::close(pair.peer);
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
