#include "event/event_timer.hpp"

#include <array>
#include <limits>
#include <random>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/connection.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "test/event/order.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

constexpr Msec start = 1'000'000;

/// A clock that the test sets, and events of a connection that only debug lines use.
struct Timers {
    Timers()
    {
        timers = this;
        current_msec = start;
        ran.clear();
        for (std::size_t i = 0; i < events.size(); i++) {
            events[i].index = i;
            events[i].data = &c;
            events[i].log = &log.log;
            events[i].handler = note;
        }
    }
    Timers(const Timers&) = delete;
    Timers& operator=(const Timers&) = delete;
    ~Timers() { event_timer_rbtree.clear(); }

    static void expire_at(Msec when)
    {
        current_msec = when;
        event_expire_timers();
    }

    static inline Timers* timers = nullptr;  // for the handlers

    TestLog log;
    Connection c;
    std::array<Event, 1000> events;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(event_timer, Timers)

BOOST_AUTO_TEST_CASE(without_timers_the_wait_is_infinite)
{
    BOOST_TEST(event_find_timer() == timer_infinite);
    event_expire_timers();
    BOOST_TEST(ran.empty());
}

BOOST_AUTO_TEST_CASE(the_wait_is_until_the_earliest_timer)
{
    add_timer(events[0], 300);
    add_timer(events[1], 100);
    add_timer(events[2], 200);
    BOOST_TEST(event_find_timer() == 100);

    current_msec += 40;
    BOOST_TEST(event_find_timer() == 60);
    del_timer(events[1]);
    BOOST_TEST(event_find_timer() == 160);
}

BOOST_AUTO_TEST_CASE(a_timer_that_is_due_or_overdue_leaves_no_wait)
{
    add_timer(events[0], 100);
    current_msec = start + 99;
    BOOST_TEST(event_find_timer() == 1);
    current_msec = start + 100;
    BOOST_TEST(event_find_timer() == 0);
    current_msec = start + 10'000;
    BOOST_TEST(event_find_timer() == 0);
}

BOOST_AUTO_TEST_CASE(a_timer_runs_at_its_millisecond_and_not_before)
{
    add_timer(events[0], 100);
    expire_at(start + 99);
    BOOST_TEST(ran.empty());
    BOOST_TEST(events[0].timer_set());

    expire_at(start + 100);
    BOOST_TEST(ran == Order{0});
    BOOST_TEST(!events[0].timer_set());

    expire_at(start + 200);
    BOOST_TEST(ran.size() == 1);
}

BOOST_AUTO_TEST_CASE(a_timer_that_was_set_by_a_stale_time_is_not_early)
{
    constexpr Msec resolution = 2000;
    add_timer(events[0], 1500);  // possibly at start + 1999

    current_msec = start + 2000;
    event_expire_timers(resolution);
    BOOST_TEST(ran.empty());

    current_msec = start + 3499;
    event_expire_timers(resolution);
    BOOST_TEST(ran.empty());

    current_msec = start + 3500;
    event_expire_timers(resolution);
    BOOST_TEST(ran == Order{0});
}

BOOST_AUTO_TEST_CASE(a_stale_time_may_be_longer_than_the_clock_has_run)
{
    current_msec = 5;
    add_timer(events[0], 10);
    event_expire_timers(2000);
    BOOST_TEST(ran.empty());
    current_msec = 2015;
    event_expire_timers(2000);
    BOOST_TEST(ran == Order{0});
}

BOOST_AUTO_TEST_CASE(timers_run_in_the_order_of_their_times)
{
    add_timer(events[0], 300);
    add_timer(events[1], 100);
    add_timer(events[2], 200);
    add_timer(events[3], 400);
    expire_at(start + 300);
    BOOST_TEST(ran == (Order{1, 2, 0}), boost::test_tools::per_element());
    BOOST_TEST(events[3].timer_set());
}

BOOST_AUTO_TEST_CASE(equal_times_run_in_the_order_in_which_they_were_set)
{
    for (const std::size_t i : {3UL, 1UL, 4UL, 0UL, 2UL}) {
        add_timer(events[i], 100);
    }
    expire_at(start + 100);
    BOOST_TEST(ran == (Order{3, 1, 4, 0, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_thousand_timers_run_sorted_and_equal_ones_stay_in_order)
{
    std::mt19937 random{20'251'122};
    for (Event& ev : events) {
        add_timer(ev, random() % 200);
    }
    expire_at(start + 200);

    BOOST_REQUIRE(ran.size() == events.size());
    for (std::size_t i = 1; i < ran.size(); i++) {
        const Msec before = events[ran[i - 1]].timer_key;
        const Msec key = events[ran[i]].timer_key;
        BOOST_TEST_REQUIRE((before < key || (before == key && ran[i - 1] < ran[i])));
    }
}

BOOST_AUTO_TEST_CASE(a_change_under_300_ms_keeps_the_old_timer)
{
    Event& ev = events[0];
    add_timer(ev, 1000);
    add_timer(ev, 1299);
    BOOST_TEST(ev.timer_key == start + 1000);
    add_timer(ev, 701);
    BOOST_TEST(ev.timer_key == start + 1000);
}

BOOST_AUTO_TEST_CASE(a_change_of_300_ms_moves_the_timer_later)
{
    Event& ev = events[0];
    add_timer(ev, 1000);
    add_timer(ev, 1300);
    BOOST_TEST(ev.timer_key == start + 1300);
    BOOST_TEST(event_find_timer() == 1300);
}

BOOST_AUTO_TEST_CASE(a_change_of_300_ms_moves_the_timer_earlier)
{
    Event& ev = events[0];
    add_timer(ev, 1000);
    add_timer(ev, 700);
    BOOST_TEST(ev.timer_key == start + 700);
    BOOST_TEST(event_find_timer() == 700);
}

BOOST_AUTO_TEST_CASE(laziness_is_measured_from_the_time_that_was_kept)
{
    Event& ev = events[0];
    add_timer(ev, 1000);
    for (int i = 0; i < 2; i++) {
        current_msec += 149;
        add_timer(ev, 1000);
        BOOST_TEST(ev.timer_key == start + 1000);
    }
    current_msec += 2;
    add_timer(ev, 1000);
    BOOST_TEST(ev.timer_key == start + 1300);
}

BOOST_AUTO_TEST_CASE(a_timer_that_was_kept_keeps_its_place_among_equal_ones)
{
    add_timer(events[0], 100);
    add_timer(events[1], 100);
    add_timer(events[0], 100);
    expire_at(start + 100);
    BOOST_TEST(ran == (Order{0, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_timer_that_was_deleted_is_set_without_laziness)
{
    Event& ev = events[0];
    add_timer(ev, 1000);
    del_timer(ev);
    BOOST_TEST(!ev.timer_set());
    add_timer(ev, 1001);
    BOOST_TEST(ev.timer_key == start + 1001);
}

BOOST_AUTO_TEST_CASE(a_handler_finds_its_event_timed_out_and_out_of_the_tree)
{
    static bool was_right;
    was_right = false;
    events[0].handler = [](Event& ev) noexcept { was_right = ev.timedout && !ev.timer_set(); };

    add_timer(events[0], 0);
    BOOST_TEST(!events[0].timedout);
    event_expire_timers();
    BOOST_TEST(was_right);
    BOOST_TEST(!events[1].timedout);
}

BOOST_AUTO_TEST_CASE(setting_a_timer_again_leaves_timedout_to_the_handler)
{
    add_timer(events[0], 0);
    event_expire_timers();
    add_timer(events[0], 100);
    BOOST_CHECK(events[0].timedout);
}

BOOST_AUTO_TEST_CASE(a_timer_that_a_handler_sets_for_now_runs_in_the_same_pass)
{
    events[0].handler = [](Event& ev) noexcept {
        note(ev);
        add_timer(timers->events[1], 0);
        add_timer(timers->events[2], 1);
    };

    add_timer(events[0], 100);
    add_timer(events[3], 100);
    expire_at(start + 100);
    BOOST_TEST(ran == (Order{0, 3, 1}), boost::test_tools::per_element());
    BOOST_TEST(events[2].timer_set());
}

BOOST_AUTO_TEST_CASE(a_timer_that_a_handler_deletes_does_not_run)
{
    events[0].handler = [](Event& ev) noexcept {
        note(ev);
        del_timer(timers->events[1]);
    };

    add_timer(events[0], 100);
    add_timer(events[1], 100);
    add_timer(events[2], 100);
    expire_at(start + 100);
    BOOST_TEST(ran == (Order{0, 2}), boost::test_tools::per_element());
    BOOST_TEST(!events[1].timedout);
}

// As in nginx, a handler that sets timers without a delay again and again blocks the loop.
BOOST_AUTO_TEST_CASE(a_timer_of_no_delay_that_its_handler_sets_again_runs_in_the_same_pass)
{
    events[0].handler = [](Event& ev) noexcept {
        note(ev);
        if (ran.size() < 100) {
            add_timer(ev, 0);
        }
    };

    add_timer(events[0], 0);
    add_timer(events[1], 0);
    event_expire_timers();
    BOOST_TEST(ran.size() == 100);
    BOOST_TEST(ran[1] == 1);
}

BOOST_AUTO_TEST_CASE(a_handler_may_set_its_timer_again_for_later)
{
    events[0].handler = [](Event& ev) noexcept {
        note(ev);
        ev.timedout = 0;
        add_timer(ev, 10);
    };

    add_timer(events[0], 10);
    for (Msec ms = 0; ms <= 35; ms++) {
        expire_at(start + ms);
    }
    BOOST_TEST(ran.size() == 3);
    BOOST_TEST(event_find_timer() == 5);
}

BOOST_AUTO_TEST_CASE(the_clock_may_wrap_between_setting_and_expiry)
{
    constexpr Msec late = std::numeric_limits<Msec>::max() - 99;
    current_msec = late;
    add_timer(events[0], 150);  // its key is 50
    add_timer(events[1], 50);
    BOOST_TEST(events[0].timer_key == 50);
    BOOST_TEST(event_find_timer() == 50);

    expire_at(late + 50);
    BOOST_TEST(ran == Order{1});
    BOOST_TEST(event_find_timer() == 100);

    expire_at(49);
    BOOST_TEST(ran.size() == 1);
    BOOST_TEST(event_find_timer() == 1);
    expire_at(50);
    BOOST_TEST(ran == (Order{1, 0}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(laziness_holds_across_the_wrap_of_the_clock)
{
    Event& ev = events[0];
    current_msec = std::numeric_limits<Msec>::max() - 99;
    add_timer(ev, 50);
    const Msec key = ev.timer_key;
    add_timer(ev, 349);
    BOOST_TEST(ev.timer_key == key);
    add_timer(ev, 350);
    BOOST_TEST(ev.timer_key == 250);
}

BOOST_AUTO_TEST_CASE(only_cancelable_timers_let_a_worker_exit)
{
    BOOST_TEST(event_no_timers_left());

    events[0].cancelable = 1;
    events[1].cancelable = 1;
    add_timer(events[0], 100);
    add_timer(events[1], 300);
    BOOST_TEST(event_no_timers_left());

    // A timer that is neither the first nor the last of the tree.
    add_timer(events[2], 200);
    BOOST_TEST(!event_no_timers_left());
    del_timer(events[2]);
    BOOST_TEST(event_no_timers_left());
}

BOOST_AUTO_TEST_CASE(cancelable_timers_run_as_all_others)
{
    events[0].cancelable = 1;
    add_timer(events[0], 0);
    event_expire_timers();
    BOOST_TEST(ran == Order{0});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
