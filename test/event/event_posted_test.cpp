#include "event/event_posted.hpp"

#include <array>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/cycle.hpp"
#include "event/event.hpp"
#include "test/event/order.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

struct Posted {
    Posted()
    {
        cycle.log = &log.log;
        ran.clear();
        for (std::size_t i = 0; i < events.size(); i++) {
            events[i].index = i;
            events[i].data = i + 1 < events.size() ? &events[i + 1] : nullptr;
            events[i].log = &log.log;
            events[i].handler = note;
        }
    }
    Posted(const Posted&) = delete;
    Posted& operator=(const Posted&) = delete;
    ~Posted()
    {
        for (PostedQueue* queue : {&posted_accept_events, &posted_next_events, &posted_events}) {
            queue->clear();
        }
    }

    TestLog log;
    Cycle cycle;
    std::array<Event, 4> events;  // the `data` of each points to the next
};

Event& next_of(const Event& ev) noexcept
{
    return *static_cast<Event*>(ev.data);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(event_posted, Posted)

BOOST_AUTO_TEST_CASE(events_run_in_the_order_in_which_they_were_posted)
{
    for (const std::size_t i : {2UL, 0UL, 3UL, 1UL}) {
        post_event(events[i], posted_events);
    }
    event_process_posted(cycle, posted_events);
    BOOST_TEST(ran == (Order{2, 0, 3, 1}), boost::test_tools::per_element());
    BOOST_TEST(posted_events.empty());
}

BOOST_AUTO_TEST_CASE(an_empty_queue_runs_nothing)
{
    event_process_posted(cycle, posted_events);
    BOOST_TEST(ran.empty());
}

BOOST_AUTO_TEST_CASE(an_event_posted_twice_runs_once_and_keeps_its_place)
{
    post_event(events[0], posted_events);
    post_event(events[1], posted_events);
    post_event(events[0], posted_events);
    event_process_posted(cycle, posted_events);
    BOOST_TEST(ran == (Order{0, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_event_that_is_posted_does_not_change_its_queue)
{
    post_event(events[0], posted_accept_events);
    post_event(events[0], posted_events);
    BOOST_TEST(posted_events.empty());
    event_process_posted(cycle, posted_accept_events);
    BOOST_TEST(ran == Order{0});
}

BOOST_AUTO_TEST_CASE(each_queue_runs_by_itself)
{
    post_event(events[0], posted_accept_events);
    post_event(events[1], posted_events);
    event_process_posted(cycle, posted_accept_events);
    BOOST_TEST(ran == Order{0});
    BOOST_TEST(events[1].posted());
}

BOOST_AUTO_TEST_CASE(a_deleted_event_does_not_run_and_may_be_posted_again)
{
    post_event(events[0], posted_events);
    post_event(events[1], posted_events);
    delete_posted_event(events[0]);
    BOOST_TEST(!events[0].posted());

    post_event(events[0], posted_events);
    event_process_posted(cycle, posted_events);
    BOOST_TEST(ran == (Order{1, 0}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_event_is_deleted_from_whichever_queue_it_is_in)
{
    post_event(events[0], posted_accept_events);
    post_event(events[1], posted_next_events);
    post_event(events[2], posted_next_events);
    delete_posted_event(events[0]);
    delete_posted_event(events[1]);
    BOOST_TEST(posted_accept_events.empty());
    BOOST_TEST(&posted_next_events.front() == &events[2]);
}

BOOST_AUTO_TEST_CASE(a_handler_finds_its_event_not_posted_any_more)
{
    static bool posted;
    posted = true;
    events[0].handler = [](Event& ev) noexcept { posted = ev.posted(); };
    post_event(events[0], posted_events);
    event_process_posted(cycle, posted_events);
    BOOST_TEST(!posted);
}

BOOST_AUTO_TEST_CASE(a_handler_that_posts_its_event_again_runs_again_after_the_others)
{
    events[0].handler = [](Event& ev) noexcept {
        note(ev);
        if (ran.size() < 4) {
            post_event(ev, posted_events);
        }
    };
    post_event(events[0], posted_events);
    post_event(events[1], posted_events);
    event_process_posted(cycle, posted_events);
    BOOST_TEST(ran == (Order{0, 1, 0, 0}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_event_that_a_handler_posts_runs_in_the_same_pass)
{
    events[0].handler = [](Event& ev) noexcept {
        note(ev);
        post_event(next_of(ev), posted_events);
    };
    post_event(events[0], posted_events);
    event_process_posted(cycle, posted_events);
    BOOST_TEST(ran == (Order{0, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_event_that_a_handler_posts_for_the_next_turn_waits_for_it)
{
    events[0].handler = [](Event& ev) noexcept {
        note(ev);
        post_event(ev, posted_next_events);
    };
    post_event(events[0], posted_events);
    event_process_posted(cycle, posted_events);
    BOOST_TEST(ran == Order{0});
    BOOST_TEST(&posted_next_events.front() == &events[0]);
}

BOOST_AUTO_TEST_CASE(an_event_that_a_handler_deletes_does_not_run)
{
    events[0].handler = [](Event& ev) noexcept {
        note(ev);
        delete_posted_event(next_of(ev));
    };
    for (Event& ev : events) {
        post_event(ev, posted_events);
    }
    event_process_posted(cycle, posted_events);
    BOOST_TEST(ran == (Order{0, 2, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(events_for_this_turn_come_as_ready_behind_those_already_posted)
{
    post_event(events[2], posted_next_events);
    post_event(events[0], posted_next_events);
    post_event(events[1], posted_events);
    event_move_posted_next(cycle);
    BOOST_TEST(posted_next_events.empty());

    for (const std::size_t i : {2UL, 0UL}) {
        BOOST_CHECK(events[i].ready);
        BOOST_TEST(events[i].available == -1);
        BOOST_TEST(events[i].posted());
    }
    BOOST_TEST(!events[1].ready);

    event_process_posted(cycle, posted_events);
    BOOST_TEST(ran == (Order{1, 2, 0}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(with_nothing_for_this_turn_nothing_is_moved)
{
    event_move_posted_next(cycle);
    BOOST_TEST(posted_events.empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
