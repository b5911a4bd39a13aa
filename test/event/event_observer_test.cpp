#include "event/event_observer.hpp"

#include <string>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/times.hpp"
#include "event/event_dispatch.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "os/unix/os.hpp"
#include "test/event/fake_module.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// Returns a fact as "TYPE VALUE", with the type's number, as the order of the types is fixed.
std::string text_of(const EventFact& fact)
{
    return fmt::format("{}:{} ", static_cast<int>(fact.type), fact.value);
}

template <typename... Facts>
std::string facts(const Facts&... fact)
{
    return (text_of(fact) + ...);
}

/// An observer that records the facts, and an event and a connection to observe.
struct Observed {
    Observed()
    {
        fake = {};
        event_actions = fake_actions;
        io = os_io;
        current_msec = 1'000'000;
        cycle.log = &log.log;
        ev.data = &c;
        ev.log = &log.log;
        ev.handler = [](Event&) noexcept {};
        c.read = &ev;
        c.log = &log.log;
        event_observe(&observer);
    }
    Observed(const Observed&) = delete;
    Observed& operator=(const Observed&) = delete;
    ~Observed()
    {
        event_observe(nullptr);
        event_unlink_all();
    }

    static void add(const EventFact& fact, void* data) noexcept
    {
        auto& observed = *static_cast<Observed*>(data);
        observed.text += text_of(fact);
        observed.last = fact;
    }

    std::string text{};
    EventFact last{};
    const EventObserver observer{.report = add, .data = this};
    TestLog log;
    Cycle cycle;
    Connection c;
    Event ev;
};

using enum EventFactType;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(event_observer_, Observed)

BOOST_AUTO_TEST_CASE(a_timer_is_reported_when_it_is_set_kept_moved_and_deleted)
{
    add_timer(ev, 1000);
    BOOST_TEST(last.event == &ev);
    add_timer(ev, 1100);
    add_timer(ev, 2000);
    del_timer(ev);
    BOOST_TEST(text == facts(EventFact{.type = timer_set, .value = 1000},
                             EventFact{.type = timer_kept, .value = 100},
                             EventFact{.type = timer_deleted},
                             EventFact{.type = timer_set, .value = 2000},
                             EventFact{.type = timer_deleted}));
}

BOOST_AUTO_TEST_CASE(an_expired_timer_is_a_call_then_the_deletion_then_the_return)
{
    add_timer(ev, 10);
    current_msec += 10;
    text.clear();
    event_expire_timers();
    BOOST_TEST(text == facts(EventFact{.type = call_expired}, EventFact{.type = timer_deleted},
                             EventFact{.type = call_done}));
}

BOOST_AUTO_TEST_CASE(a_posted_event_has_its_queue)
{
    post_event(ev, posted_next_events);
    BOOST_TEST(last.queue == &posted_next_events);
    post_event(ev, posted_events);
    event_move_posted_next(cycle);
    event_process_posted(cycle, posted_events);
    BOOST_TEST(text == facts(EventFact{.type = posted}, EventFact{.type = posted_again},
                             EventFact{.type = next_moved}, EventFact{.type = call_posted},
                             EventFact{.type = unposted}, EventFact{.type = call_done}));
}

BOOST_AUTO_TEST_CASE(the_poller_gets_the_flag_with_which_it_reports_its_calls)
{
    BOOST_TEST((event_actions.process_events(cycle, 70, update_time) == Rc::ok));
    BOOST_TEST(fake.wait_flags == (update_time | observe_calls));
    BOOST_TEST(text == facts(EventFact{.type = wait, .value = 70}, EventFact{.type = dispatched}));

    text.clear();
    dispatch_event(ev, observe_calls);
    BOOST_TEST(+ev.ready == 1U);
    BOOST_TEST(text == facts(EventFact{.type = call_ready}, EventFact{.type = call_done}));
}

BOOST_AUTO_TEST_CASE(a_dispatch_has_the_number_of_events_of_all_waits_of_its_turn)
{
    event_observe(nullptr);
    event_actions.process_events = [](Cycle& waiting, Msec timer, unsigned flags) noexcept {
        (void)after_wait(waiting, 2, timer, flags, "wait");
        return after_wait(waiting, 3, timer, flags, "wait");
    };
    event_observe(&observer);
    for (int turn = 0; turn < 2; turn++) {
        BOOST_TEST((event_actions.process_events(cycle, 0, 0) == Rc::ok));
        BOOST_TEST((last.type == dispatched && last.size == 5));
    }
}

BOOST_AUTO_TEST_CASE(an_action_is_reported_if_it_succeeds)
{
    BOOST_TEST((event_actions.add(ev, read_event, clear_event) == Rc::ok));
    BOOST_TEST(last.flags == clear_event);
    BOOST_TEST((event_actions.del(ev, read_event, close_event) == Rc::ok));
    fake.add = Rc::error;
    BOOST_TEST((event_actions.add(ev, read_event, 0) == Rc::error));
    BOOST_TEST(text == facts(EventFact{.type = event_added}, EventFact{.type = event_deleted}));
}

BOOST_AUTO_TEST_CASE(an_action_that_the_poller_does_not_have_stays_null)
{
    BOOST_TEST(fake_actions.add_conn == nullptr);
    BOOST_TEST(event_actions.add_conn == nullptr);
}

BOOST_AUTO_TEST_CASE(without_an_observer_the_tables_are_the_pollers)
{
    BOOST_TEST(event_actions.add != fake_actions.add);
    BOOST_TEST(io.recv != os_io.recv);
    event_observe(nullptr);
    BOOST_TEST(event_actions.add == fake_actions.add);
    BOOST_TEST(event_actions.process_events == fake_actions.process_events);
    BOOST_TEST(io.recv == os_io.recv);
    BOOST_TEST(io.send_chain == os_io.send_chain);

    add_timer(ev, 1000);
    del_timer(ev);
    BOOST_TEST(text == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
