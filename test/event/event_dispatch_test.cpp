#include "event/event_dispatch.hpp"

#include <cerrno>
#include <chrono>
#include <climits>

#include <boost/test/unit_test.hpp>

#include "core/cycle.hpp"
#include "core/log_limit.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// An event whose handler counts its calls in `index`.
struct Counted {
    explicit Counted(Log& log)
    {
        ev.log = &log;
        ev.handler = [](Event& e) noexcept { e.index++; };
    }

    Event ev;
};

/// A clock that stays at 0 until it is read.
struct Waited {
    Waited()
    {
        listener.ev.accept = 1;
        cycle.log = &log.log;
        current_msec = 0;
        event_timer_alarm = 0;
        log_limits_reset();
    }
    Waited(const Waited&) = delete;
    Waited& operator=(const Waited&) = delete;
    ~Waited()
    {
        event_timer_alarm = 0;
        posted_accept_events.clear();
        posted_events.clear();
    }

    Rc after(int events, Err err = 0, Msec timer = 100, unsigned flags = 0)
    {
        errno = err;
        return after_wait(cycle, events, timer, flags, "wait");
    }

    [[nodiscard]] bool time_was_read() const { return current_msec != 0; }

    TestLog log;
    Cycle cycle;
    Counted listener{log.log};
    Counted other{log.log};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(event_dispatch, Waited)

BOOST_AUTO_TEST_CASE(the_kernels_timeout_is_an_int_and_minus_one_without_limit)
{
    BOOST_TEST(wait_timeout(0) == 0);
    BOOST_TEST(wait_timeout(1) == 1);
    BOOST_TEST(wait_timeout(INT_MAX) == INT_MAX);
    BOOST_TEST(wait_timeout(timer_infinite) == -1);
}

BOOST_AUTO_TEST_CASE(a_timeout_longer_than_an_int_is_cut)
{
    BOOST_TEST(wait_timeout(Msec{INT_MAX} + 1) == INT_MAX);
    BOOST_TEST(wait_timeout(Msec{UINT_MAX}) == INT_MAX);
    BOOST_TEST(wait_timeout(timer_infinite - 1) == INT_MAX);
}

BOOST_AUTO_TEST_CASE(the_time_is_read_when_the_flags_say_so)
{
    BOOST_TEST((after(1) == Rc::ok));
    BOOST_TEST(!time_was_read());
    BOOST_TEST((after(1, 0, 100, update_time) == Rc::ok));
    BOOST_TEST(time_was_read());
}

BOOST_AUTO_TEST_CASE(the_time_is_read_when_the_alarm_has_occurred)
{
    event_timer_alarm = 1;
    BOOST_TEST((after(1) == Rc::ok));
    BOOST_TEST(time_was_read());
    // Only the wait that the alarm ended resets it.
    BOOST_TEST(event_timer_alarm == 1);
}

BOOST_AUTO_TEST_CASE(the_time_is_read_before_an_error_is_handled)
{
    BOOST_TEST((after(-1, EBADF, 100, update_time) == Rc::error));
    BOOST_TEST(time_was_read());
}

BOOST_AUTO_TEST_CASE(a_wait_that_the_alarm_has_ended_is_no_error)
{
    event_timer_alarm = 1;
    BOOST_TEST((after(-1, EINTR) == Rc::ok));
    BOOST_TEST(event_timer_alarm == 0);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(a_wait_that_another_signal_has_ended_is_an_error_at_level_info)
{
    BOOST_TEST((after(-1, EINTR) == Rc::error));
    BOOST_TEST(contains(log.text, "[info]"));
    BOOST_TEST(contains(log.text, "wait() failed (4: Interrupted system call)\n"));
}

BOOST_AUTO_TEST_CASE(a_wait_that_fails_is_an_alert)
{
    BOOST_TEST((after(-1, EBADF) == Rc::error));
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "wait() failed (9: Bad file descriptor)\n"));
}

BOOST_AUTO_TEST_CASE(after_a_wait_that_fails_the_loop_does_not_spin)
{
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    BOOST_TEST((after(-1, EINVAL) == Rc::error));
    BOOST_TEST((Clock::now() - begin >= std::chrono::milliseconds(10)));
}

BOOST_AUTO_TEST_CASE(a_wait_that_fails_for_ever_is_logged_once_a_second)
{
    for (int i = 0; i < 1000; i++) {
        BOOST_TEST((after(-1, EINTR) == Rc::error));
    }
    BOOST_TEST(count(log.text, "wait() failed") == 1);
    current_msec = 1000;
    for (int i = 0; i < 1000; i++) {
        BOOST_TEST((after(-1, EINTR) == Rc::error));
    }
    BOOST_TEST(count(log.text, "wait() failed") == 2);
    BOOST_TEST(contains(log.text, "wait() failed, 999 lines left out (4: Interrupted system"));
}

BOOST_AUTO_TEST_CASE(the_alarm_does_not_excuse_another_error)
{
    event_timer_alarm = 1;
    BOOST_TEST((after(-1, EBADF) == Rc::error));
    BOOST_TEST(event_timer_alarm == 1);
    BOOST_TEST(contains(log.text, "[alert]"));
}

BOOST_AUTO_TEST_CASE(errno_counts_only_when_the_wait_has_failed)
{
    BOOST_TEST((after(1, EBADF) == Rc::ok));
    BOOST_TEST((after(0, EBADF) == Rc::ok));
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(no_events_are_an_alert_only_when_the_wait_was_for_ever)
{
    BOOST_TEST((after(0) == Rc::ok));
    BOOST_TEST(log.text == "");
    BOOST_TEST((after(0, 0, timer_infinite) == Rc::error));
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "wait() returned no events without timeout\n"));
}

BOOST_AUTO_TEST_CASE(after_a_wait_for_ever_that_returns_nothing_the_loop_does_not_spin)
{
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    for (int i = 0; i < 3; i++) {
        BOOST_TEST((after(0, 0, timer_infinite) == Rc::error));
    }
    BOOST_TEST((Clock::now() - begin >= std::chrono::milliseconds(30)));
    BOOST_TEST(count(log.text, "returned no events") == 1);
}

BOOST_AUTO_TEST_CASE(a_ready_listener_is_posted_before_all_others)
{
    post_ready_event(other.ev);
    post_ready_event(listener.ev);

    BOOST_TEST(&posted_accept_events.front() == &listener.ev);
    BOOST_TEST(&posted_events.front() == &other.ev);
    BOOST_CHECK(listener.ev.ready);
    BOOST_CHECK(other.ev.ready);
}

BOOST_AUTO_TEST_CASE(a_ready_event_is_handled_at_once)
{
    dispatch_event(other.ev, 0);
    BOOST_TEST(other.ev.index == 1);
    BOOST_CHECK(other.ev.ready);
    BOOST_TEST(!other.ev.posted());
}

BOOST_AUTO_TEST_CASE(a_ready_event_is_posted_when_the_flags_say_so)
{
    dispatch_event(other.ev, post_events | update_time);
    BOOST_TEST(other.ev.index == 0);
    BOOST_CHECK(other.ev.ready);
    BOOST_TEST(other.ev.posted());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
