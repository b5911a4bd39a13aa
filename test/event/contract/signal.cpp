#include "core/times.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "test/event/contract/bench.hpp"
#include "test/event/contract/ticker.hpp"

namespace ngx::contract {

namespace {

using std::chrono::milliseconds;

constexpr Msec long_wait = 60'000;
constexpr milliseconds tick{5};

void a_signal_ends_the_wait_without_alert(Bench& b)
{
    const Ticker ticker(
        SIGUSR1, [](int) {}, tick);
    const Wait wait = b.process(long_wait);
    b.same("process_events", wait.rc, Rc::error);
    b.expect(wait.took < milliseconds(long_wait), "the wait ends before its timeout");
    b.expect(b.log().find("[info]") != std::string::npos &&
                 b.log().find("Interrupted system call") != std::string::npos,
             "the interruption is logged at level info");
}

void the_alarm_ends_the_wait_without_error(Bench& b)
{
    static volatile std::sig_atomic_t rung;
    rung = 0;
    current_msec = 1;
    const Ticker ticker(
        SIGUSR1,
        [](int) {
            event_timer_alarm = rung ? event_timer_alarm : 1;
            rung = 1;
        },
        tick);
    const Wait wait = b.process(long_wait, 0);
    b.same("process_events", wait.rc, Rc::ok);
    b.same("event_timer_alarm", static_cast<int>(event_timer_alarm), 0);
    b.expect(current_msec != 1, "the time is updated");
    b.expect(b.log().find("Interrupted") == std::string::npos, "the alarm is not logged");
}

void timer_resolution_keeps_the_time(Bench& b)
{
    Link& link = b.open();
    bool timed_out = false;
    link.on_read = [&](Link& l) { timed_out = l.read().timedout; };
    b.watch(link.read());

    // On a busy machine the first alarm may come after the timer is due. Then there is another try.
    Msec due = 0;
    int turns = 0;
    b.until([&] { return turns > 1; },
            [&] {
                timed_out = false;
                turns = 0;
                add_timer(link.read(), 50);
                due = link.read().timer_key;
                b.until([&] { return timed_out; },
                        [&] {
                            process_events_and_timers(b.cycle());
                            turns++;
                        });
            });
    b.same("the timer has expired", timed_out, true);
    b.expect(current_msec >= due, "the timer has expired when it was due");
    b.expect(turns > 1, "the time was updated before the timer was due");
    b.expect(turns <= 50, "the loop does not spin");
}

constexpr Promise table[] = {
    {
        .name = "a_signal_ends_the_wait_without_alert",
        .explanation = "If a signal interrupts the wait, process_events returns an error that is "
                       "logged at level info.",
        .keep = a_signal_ends_the_wait_without_alert,
    },
    {
        .name = "the_alarm_ends_the_wait_without_error",
        .explanation = "If the wait is interrupted with event_timer_alarm set, process_events "
                       "updates the time, clears the alarm, and returns ok.",
        .keep = the_alarm_ends_the_wait_without_error,
    },
    {
        .name = "timer_resolution_keeps_the_time",
        .explanation = "Under timer_resolution the loop waits without a limit; the alarm updates "
                       "the time, and timers expire.",
        .keep = timer_resolution_keeps_the_time,
        .main_conf = "timer_resolution 10ms;",
    },
};

}  // namespace

constinit const std::span<const Promise> signal_promises = table;

}  // namespace ngx::contract
