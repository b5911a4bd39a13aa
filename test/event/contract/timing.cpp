#include <cstdint>
#include <limits>
#include <unistd.h>

#include "core/times.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "test/event/contract/bench.hpp"
#include "test/event/contract/ticker.hpp"

namespace ngx::contract {

namespace {

using std::chrono::milliseconds;

/// How late a wait may end on a busy machine.
constexpr milliseconds late{2000};

/// Opens a connection that becomes readable after the delay; its handler reads the data.
Link& open_timer(Bench& b, milliseconds delay)
{
    Link& link = b.open({timer_in(delay), test::Fd()});
    link.on_read = [](Link& l) {
        std::uint64_t expirations = 0;
        (void)!::read(l.fd(), &expirations, sizeof(expirations));
    };
    b.watch(link.read());
    return link;
}

void a_timeout_of_zero_returns_at_once(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    const Wait wait = b.turn(0);
    b.same("process_events", wait.rc, Rc::ok);
    b.expect(wait.took < late, "the wait ends at once");
    b.same("reports", link.reads, 0);
}

void expect_timeouts(Bench& b)
{
    for (const Msec timeout : {1U, 10U, 50U}) {
        const Wait wait = b.turn(timeout);
        const milliseconds asked(timeout);
        b.same("process_events", wait.rc, Rc::ok);
        b.expect(wait.took >= asked, "the wait lasts as long as requested");
        b.expect(wait.took < asked + late, "the wait does not last much longer than requested");
    }
}

void a_timeout_is_waited_for(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    expect_timeouts(b);
    b.same("reports", link.reads, 0);
}

void a_timeout_is_waited_for_though_nothing_is_watched(Bench& b)
{
    expect_timeouts(b);
}

void an_event_ends_a_wait(Bench& b)
{
    Link& link = open_timer(b, milliseconds(10));
    const Wait wait = b.turn(60'000);
    b.same("process_events", wait.rc, Rc::ok);
    b.expect(wait.took < milliseconds(10) + late, "the wait ends with the event");
    b.same("reports", link.reads, 1);
}

void a_wait_without_end_ends_with_an_event(Bench& b)
{
    const Ticker guard(
        SIGUSR1, [](int) {}, b.patience());
    Link& link = open_timer(b, milliseconds(20));
    const Wait wait = b.turn(timer_infinite);
    b.same("process_events", wait.rc, Rc::ok);
    b.same("reports", link.reads, 1);
}

void a_timeout_longer_than_an_int_is_not_cut_short(Bench& b)
{
    const Ticker guard(
        SIGUSR1, [](int) {}, b.patience());
    constexpr Msec int_max = std::numeric_limits<int>::max();
    for (const Msec timeout : {int_max, int_max + 1, 2 * int_max + 1, 2 * int_max + 2,
                               2 * int_max + 3, Msec{1} << 62, timer_infinite - 1}) {
        Link& link = open_timer(b, milliseconds(10));
        const Wait wait = b.turn(timeout);
        b.same("process_events", wait.rc, Rc::ok);
        b.same("reports before the wait has ended", link.reads, 1);
        b.close(link);
    }
}

void the_time_is_updated_when_it_is_asked_for(Bench& b)
{
    current_msec = 1;
    b.process(0, 0);
    b.same("current_msec without update_time", current_msec, 1U);
    b.process(0, update_time);
    b.expect(current_msec != 1, "update_time updates current_msec");

    const Msec before = current_msec;
    b.process(10, update_time);
    b.expect(current_msec >= before + 10, "the time is read after the wait");
}

void the_time_is_updated_when_the_alarm_has_occurred(Bench& b)
{
    current_msec = 1;
    event_timer_alarm = 1;
    b.process(0, 0);
    b.expect(current_msec != 1, "event_timer_alarm updates current_msec");
}

void a_turn_waits_until_the_next_timer(Bench& b)
{
    Link& link = b.open();
    bool timed_out = false;
    link.on_read = [&](Link& l) { timed_out = l.read().timedout; };
    b.watch(link.read());

    constexpr Msec delay = 30;
    add_timer(link.read(), delay);
    const Msec due = link.read().timer_key;
    b.until([&] { return timed_out; }, [&] { process_events_and_timers(b.cycle()); });
    b.same("the timer has expired", timed_out, true);
    b.expect(current_msec >= due, "the timer has expired when it was due");
}

constexpr Promise table[] = {
    {
        .name = "a_timeout_of_zero_returns_at_once",
        .explanation = "With a timeout of 0 and no ready event, process_events returns ok at once.",
        .keep = a_timeout_of_zero_returns_at_once,
    },
    {
        .name = "a_timeout_is_waited_for",
        .explanation = "A wait lasts at least as many milliseconds as requested, and returns ok.",
        .keep = a_timeout_is_waited_for,
    },
    {
        .name = "a_timeout_is_waited_for_though_nothing_is_watched",
        .explanation = "A poller that watches nothing waits as well.",
        .keep = a_timeout_is_waited_for_though_nothing_is_watched,
    },
    {
        .name = "an_event_ends_a_wait",
        .explanation = "A wait ends when an event is ready.",
        .keep = an_event_ends_a_wait,
    },
    {
        .name = "a_wait_without_end_ends_with_an_event",
        .explanation = "With timer_infinite a wait ends only with an event.",
        .keep = a_wait_without_end_ends_with_an_event,
    },
    {
        .name = "a_timeout_longer_than_an_int_is_not_cut_short",
        .explanation = "A timeout that exceeds the kernel's argument is neither shortened nor an "
                       "error.",
        .keep = a_timeout_longer_than_an_int_is_not_cut_short,
    },
    {
        .name = "the_time_is_updated_when_it_is_asked_for",
        .explanation = "current_msec is updated after the wait if update_time is given, and "
                       "otherwise not.",
        .keep = the_time_is_updated_when_it_is_asked_for,
    },
    {
        .name = "the_time_is_updated_when_the_alarm_has_occurred",
        .explanation = "If event_timer_alarm is set, current_msec is updated without update_time.",
        .keep = the_time_is_updated_when_the_alarm_has_occurred,
    },
    {
        .name = "a_turn_waits_until_the_next_timer",
        .explanation = "The loop waits until the first timer is due, and then runs it.",
        .keep = a_turn_waits_until_the_next_timer,
    },
};

}  // namespace

constinit const std::span<const Promise> timing_promises = table;

}  // namespace ngx::contract
