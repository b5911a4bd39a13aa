/// \file
/// Lesson 5: the timer tree, and why changes below 300 ms are ignored. Only the lesson changes the
/// clock.

#include "core/times.hpp"
#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "event/event_timer.hpp"

namespace ngx::lesson {

namespace {

constexpr const char* conf = "master_process off; events { worker_connections 16; }";

/// An event that is only a timer. The debug log needs its connection.
struct Timer {
    explicit Timer(const char* its_name) : name(its_name)
    {
        ev.data = &c;
        ev.log = ngx_cycle->log;
        ev.handler = fires;
    }

    static void fires(Event& ev) noexcept;

    Event ev{};
    Connection c{};
    const char* name;
};

Timer* known[4];
Msec start;

const char* name_of(const Event& ev)
{
    for (const Timer* timer : known) {
        if (timer && &timer->ev == &ev) {
            return timer->name;
        }
    }
    return "?";
}

void Timer::fires(Event& ev) noexcept
{
    say("  expires: %s, timedout %d, still in the tree: %s", name_of(ev), unsigned{ev.timedout},
        yes_no(ev.timer_set()));
    ev.timedout = 0;
}

void show_tree()
{
    std::string text;
    for (const Event& ev : event_timer_rbtree) {
        text += std::string(" ") + name_of(ev) + " +" + std::to_string(ev.timer_key - start);
    }
    say("  the tree:%s", text.c_str());
}

void expire_at(Msec time)
{
    current_msec = start + time;
    say("At +%d:", static_cast<int>(time));
    event_expire_timers();
}

void show_tree_and_laziness(Timer& a, Timer& b, Timer& c)
{
    say("At +0 three timers are set: a 500, b 100, c 300 ms");
    add_timer(a.ev, 500);
    add_timer(b.ev, 100);
    add_timer(c.ev, 300);
    show_tree();
    say("  event_find_timer(): %d", static_cast<int>(event_find_timer()));

    constexpr Msec timers[] = {700, 799, 800};
    for (const Msec timer : timers) {
        add_timer(a.ev, timer);
        say("a is set again, to %d ms:", static_cast<int>(timer));
        show_tree();
    }
}

void show()
{
    const Loop loop(conf);
    Timer a("a");
    Timer b("b");
    Timer c("c");
    known[0] = &a;
    known[1] = &b;
    known[2] = &c;
    start = current_msec = 1'000'000;
    show_tree_and_laziness(a, b, c);

    expire_at(99);
    expire_at(350);
    say("  event_find_timer(): %d", static_cast<int>(event_find_timer()));
    say("b is set to the same time as a:");
    add_timer(b.ev, 450);
    show_tree();
    expire_at(800);

    say("The clock is 100 ms before it wraps; a is set to 50, b to 200 ms:");
    start = current_msec = static_cast<Msec>(-100);
    add_timer(b.ev, 200);
    add_timer(a.ev, 50);
    show_tree();
    say("  as plain numbers, b's key is smaller: %s", yes_no(b.ev.timer_key < a.ev.timer_key));
    expire_at(60);
    expire_at(200);
}

void check(Checker& checker)
{
    const Loop loop(conf);
    Timer a("a");
    constexpr Msec now = 5'000'000;
    constexpr Msec timers[] = {1000, 1299, 1300, 701, 700, 0};
    for (const Msec timer : timers) {
        current_msec = now;
        add_timer(a.ev, 1000);
        const Msec key = a.ev.timer_key;
        add_timer(a.ev, timer);
        checker.same(1, "1000 ms, set again to " + std::to_string(timer),
                     static_cast<long long>(a.ev.timer_key),
                     static_cast<long long>(exercise::key_after(key, now, timer)));
        del_timer(a.ev);
    }

    Timer b("b");
    constexpr Msec keys[] = {0, 1, 50, static_cast<Msec>(-1), static_cast<Msec>(-50)};
    for (const Msec one : keys) {
        for (const Msec other : keys) {
            a.ev.timer_key = one;
            b.ev.timer_key = other;
            checker.same(2, std::to_string(one) + " before " + std::to_string(other),
                         static_cast<long long>(TimerBefore{}(a.ev, b.ev)),
                         static_cast<long long>(exercise::is_earlier(one, other)));
        }
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
