#define BOOST_TEST_MODULE event
#define BOOST_TEST_MAIN  // precompiled headers do not see BOOST_TEST_MODULE

#include "event/event.hpp"

#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/cycle.hpp"
#include "core/times.hpp"
#include "event/event_accept.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "os/unix/process.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

constexpr Msec now = 1'000'000;

/// An event without a connection, whose handler adds its name to the fake's list of calls.
struct Named {
    Named(const char* name, Connection& c)
    {
        ev.data = &c;
        ev.log = ngx_cycle->log;
        names.push_back(name);
        ev.index = names.size() - 1;
        ev.handler = [](Event& e) noexcept { fake.calls.emplace_back(names[e.index]); };
    }
    Named(const Named&) = delete;
    Named& operator=(const Named&) = delete;
    ~Named()
    {
        names.pop_back();
        if (ev.timer_set()) {
            del_timer(ev);
        }
        if (ev.posted()) {
            delete_posted_event(ev);
        }
    }

    static inline std::vector<const char*> names{};
    Event ev;
};

using Calls = std::vector<std::string>;

/// A cycle with the fake poller, and a clock that does not advance.
struct Turn {
    explicit Turn(std::string_view conf = "events { use fake; }") : cycle(conf)
    {
        current_msec = now;
        c.log = cycle->log;
    }

    Calls turn()
    {
        fake.calls.clear();
        cycle.turn();
        return fake.calls;
    }

    ListenCycle cycle;
    Connection c;
    Named accept{"accept", c};
    Named posted{"posted", c};
    Named timer{"timer", c};
    Named next{"next", c};
};

/// The same with the accept mutex in use.
struct MutexTurn : Turn {
    MutexTurn()
        : Turn("master_process on; worker_processes 2; test_listen unix:a; "
               "events { use fake; accept_mutex on; accept_mutex_delay 70ms; }")
    {}
    ~MutexTurn() { accept_mutex.lock->store(0); }
};

/// A hook that adds its calls to the list of the fake poller's.
struct Noted : TurnHook {
    explicit Noted(std::string name_, Msec wanted_ = timer_infinite)
        : name(std::move(name_))
        , wanted(wanted_)
    {
        before = [](TurnHook& hook, Msec timer) noexcept {
            return static_cast<Noted&>(hook).note_before(timer);
        };
        after = [](TurnHook& hook) noexcept { static_cast<Noted&>(hook).note_after(); };
        add_turn_hook(*this);
    }
    Noted(const Noted&) = delete;
    Noted& operator=(const Noted&) = delete;
    ~Noted() { del_turn_hook(*this); }

    Msec note_before(Msec timer)
    {
        fake.calls.push_back("before " + name);
        told = timer;
        if (leaves_before) {
            del_turn_hook(*this);
        }
        return wanted;
    }

    void note_after()
    {
        fake.calls.push_back("after " + name);
        if (leaves_after) {
            del_turn_hook(*this);
        }
    }

    std::string name;
    Msec wanted;    // the result of before()
    Msec told = 0;  // the argument of before()
    bool leaves_before = false;
    bool leaves_after = false;
};

/// The read and write event of a connection with the fake poller, without a cycle.
struct Readiness {
    explicit Readiness(unsigned flags)
    {
        fake = {};
        event_actions = fake_actions;
        event_flags = flags;
        c.log = &log.log;
        c.read = &rev;
        c.write = &wev;
        for (Event* ev : {&rev, &wev}) {
            ev->data = &c;
            ev->log = &log.log;
        }
        wev.write = 1;
    }
    Readiness(const Readiness&) = delete;
    Readiness& operator=(const Readiness&) = delete;
    ~Readiness()
    {
        event_actions = {};
        event_flags = 0;
    }

    /// Returns the calls for a read event in this state.
    Calls read(bool active, bool ready, unsigned flags = 0)
    {
        fake.calls.clear();
        rev.active = active;
        rev.ready = ready;
        BOOST_TEST((handle_read_event(rev, flags) == Rc::ok));
        return fake.calls;
    }

    Calls write(bool active, bool ready, std::size_t lowat = 0)
    {
        fake.calls.clear();
        wev.active = active;
        wev.ready = ready;
        BOOST_TEST((handle_write_event(wev, lowat) == Rc::ok));
        return fake.calls;
    }

    TestLog log;
    Connection c;
    Event rev;
    Event wev;
};

struct ClearReadiness : Readiness {
    ClearReadiness() : Readiness(use_clear_event | use_greedy_event | use_epoll_event) {}
};

struct LevelReadiness : Readiness {
    LevelReadiness() : Readiness(use_level_event) {}
};

constexpr bool idle = false;
constexpr bool active = true;
constexpr bool not_ready = false;
constexpr bool ready = true;

}  // namespace

BOOST_AUTO_TEST_SUITE(event)

BOOST_FIXTURE_TEST_CASE(a_turn_accepts_then_runs_timers_then_what_was_posted, Turn)
{
    fake.on_wait = [&] {
        post_event(posted.ev, posted_events);
        post_event(accept.ev, posted_accept_events);
    };
    add_timer(timer.ev, 0);
    BOOST_TEST(turn() == (Calls{"wait", "accept", "timer", "posted"}),
               boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(what_a_timer_posts_runs_in_the_same_turn, Turn)
{
    static Event* to_post;
    to_post = &posted.ev;
    timer.ev.handler = [](Event&) noexcept { post_event(*to_post, posted_events); };
    add_timer(timer.ev, 0);
    BOOST_TEST(turn() == (Calls{"wait", "posted"}), boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_turn_waits_until_the_next_timer_and_updates_the_time, Turn)
{
    add_timer(timer.ev, 123);
    turn();
    BOOST_TEST(fake.timer == 123);
    BOOST_TEST(fake.wait_flags == update_time);
}

BOOST_FIXTURE_TEST_CASE(a_turn_without_timers_waits_for_ever, Turn)
{
    turn();
    BOOST_TEST(fake.timer == timer_infinite);
}

BOOST_FIXTURE_TEST_CASE(timers_that_come_due_during_the_wait_run_in_this_turn, Turn)
{
    fake.on_wait = [] { current_msec += 50; };
    add_timer(timer.ev, 50);
    BOOST_TEST(turn() == (Calls{"wait", "timer"}), boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(an_event_posted_for_the_next_turn_gives_it_a_timeout_of_zero, Turn)
{
    add_timer(timer.ev, 500);
    post_event(next.ev, posted_next_events);
    BOOST_TEST(turn() == (Calls{"wait", "next"}), boost::test_tools::per_element());
    BOOST_TEST(fake.timer == 0);
    BOOST_CHECK(next.ev.ready);
    BOOST_TEST(next.ev.available == -1);

    turn();
    BOOST_TEST(fake.timer == 500);
}

BOOST_FIXTURE_TEST_CASE(events_posted_for_the_next_turn_come_before_those_it_posts, Turn)
{
    fake.on_wait = [&] { post_event(posted.ev, posted_events); };
    post_event(next.ev, posted_next_events);
    BOOST_TEST(turn() == (Calls{"wait", "next", "posted"}), boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(an_event_posted_for_the_next_turn_while_posted_ones_run_waits, Turn)
{
    posted.ev.handler = [](Event& ev) noexcept { post_event(ev, posted_next_events); };
    fake.on_wait = [&] { post_event(posted.ev, posted_events); };
    BOOST_TEST(turn() == Calls{"wait"}, boost::test_tools::per_element());
    BOOST_TEST(posted.ev.posted());
    BOOST_TEST(!posted.ev.ready);
}

BOOST_AUTO_TEST_CASE(under_timer_resolution_a_turn_waits_for_ever_and_leaves_the_time_alone)
{
    Turn t("timer_resolution 1h; events { use fake; }");
    add_timer(t.timer.ev, 100);
    t.turn();
    BOOST_TEST(fake.timer == timer_infinite);
    BOOST_TEST(fake.wait_flags == 0);

    post_event(t.next.ev, posted_next_events);
    t.turn();
    BOOST_TEST(fake.timer == 0);
}

BOOST_AUTO_TEST_CASE(under_timer_resolution_no_timer_is_early)
{
    Turn t("timer_resolution 2s; events { use fake; }");
    const Msec set = current_msec;
    add_timer(t.timer.ev, 1500);

    // At this time the timer may have been set only one millisecond ago.
    fake.on_wait = [set] { current_msec = set + 2000; };
    BOOST_TEST(t.turn() == Calls{"wait"}, boost::test_tools::per_element());
    BOOST_TEST(t.timer.ev.timer_set());

    fake.on_wait = [set] { current_msec = set + 4000; };
    BOOST_TEST(t.turn() == (Calls{"wait", "timer"}), boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(with_the_accept_mutex_a_turn_posts_what_is_ready, MutexTurn)
{
    BOOST_TEST(turn() == (Calls{"add read", "wait"}), boost::test_tools::per_element());
    BOOST_TEST(fake.wait_flags == (update_time | post_events));
    BOOST_TEST(fake.timer == timer_infinite);
}

BOOST_FIXTURE_TEST_CASE(the_accept_mutex_is_released_after_accepts_and_before_timers, MutexTurn)
{
    static std::vector<std::int64_t> holders;
    holders.clear();
    for (Event* ev : {&accept.ev, &timer.ev, &posted.ev}) {
        ev->handler = [](Event&) noexcept { holders.push_back(accept_mutex.lock->load()); };
    }
    fake.on_wait = [&] {
        post_event(posted.ev, posted_events);
        post_event(accept.ev, posted_accept_events);
    };
    add_timer(timer.ev, 0);
    turn();
    BOOST_TEST(holders == (std::vector<std::int64_t>{pid, 0, 0}), boost::test_tools::per_element());
    BOOST_TEST(accept_mutex_held);
}

BOOST_FIXTURE_TEST_CASE(without_the_accept_mutex_a_turn_waits_no_longer_than_its_delay, MutexTurn)
{
    accept_mutex.lock->store(1);
    BOOST_TEST(turn() == Calls{"wait"}, boost::test_tools::per_element());
    BOOST_TEST(fake.timer == 70);
    BOOST_TEST(fake.wait_flags == update_time);

    add_timer(timer.ev, 69);
    turn();
    BOOST_TEST(fake.timer == 69);
    BOOST_TEST(accept_mutex.lock->load() == 1);
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_is_nearly_full_does_not_try_for_the_accept_mutex, MutexTurn)
{
    accept_disabled = 2;
    for (const int left : {1, 0}) {
        BOOST_TEST(turn() == Calls{"wait"}, boost::test_tools::per_element());
        BOOST_TEST(accept_disabled == left);
        BOOST_TEST(fake.timer == timer_infinite);
        BOOST_TEST(fake.wait_flags == update_time);
    }
    turn();
    BOOST_TEST(accept_mutex_held);
}

BOOST_FIXTURE_TEST_CASE(listeners_that_cannot_be_watched_are_tried_again_after_the_delay, MutexTurn)
{
    fake.add = Rc::error;
    BOOST_TEST(turn() == (Calls{"add read", "wait"}), boost::test_tools::per_element());
    BOOST_TEST(fake.timer == 70);
    BOOST_TEST(fake.wait_flags == update_time);
    BOOST_TEST(accept_mutex.lock->load() == 0);
    BOOST_TEST(!accept_mutex_held);
}

BOOST_FIXTURE_TEST_CASE(hooks_are_called_around_the_wait_in_the_order_they_were_added, Turn)
{
    const Noted a("a");
    const Noted b("b");
    fake.on_wait = [&] {
        post_event(posted.ev, posted_events);
        post_event(accept.ev, posted_accept_events);
    };
    add_timer(timer.ev, 0);
    BOOST_TEST(turn() == (Calls{"before a", "before b", "wait", "after a", "after b", "accept",
                                "timer", "posted"}),
               boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_hook_shortens_the_wait_and_cannot_lengthen_it, Turn)
{
    Noted first("first", 100);
    Noted second("second", 200);
    turn();
    BOOST_TEST(first.told == timer_infinite);
    BOOST_TEST(second.told == 100);
    BOOST_TEST(fake.timer == 100);

    add_timer(timer.ev, 50);
    turn();
    BOOST_TEST(first.told == 50);
    BOOST_TEST(second.told == 50);
    BOOST_TEST(fake.timer == 50);

    second.wanted = 0;
    turn();
    BOOST_TEST(fake.timer == 0);
}

BOOST_FIXTURE_TEST_CASE(a_hook_that_was_added_twice_is_called_once_and_last, Turn)
{
    Noted a("a");
    const Noted b("b");
    add_turn_hook(a);
    BOOST_TEST(turn() == (Calls{"before b", "before a", "wait", "after b", "after a"}),
               boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_hook_may_remove_itself_while_it_is_called, Turn)
{
    Noted first("1");
    Noted second("2");
    const Noted third("3");
    first.leaves_before = true;
    second.leaves_after = true;
    BOOST_TEST(turn() == (Calls{"before 1", "before 2", "before 3", "wait", "after 2", "after 3"}),
               boost::test_tools::per_element());
    BOOST_TEST(turn() == (Calls{"before 3", "wait", "after 3"}), boost::test_tools::per_element());
    del_turn_hook(first);  // it is removed already
}

BOOST_FIXTURE_TEST_CASE(a_hook_needs_only_one_function, Turn)
{
    Noted a("a");
    a.before = nullptr;
    Noted b("b");
    b.after = nullptr;
    BOOST_TEST(turn() == (Calls{"before b", "wait", "after a"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_hook_shortens_the_wait_under_timer_resolution_too)
{
    Turn t("timer_resolution 1h; events { use fake; }");
    const Noted hook("hook", 30);
    t.turn();
    BOOST_TEST(hook.told == timer_infinite);
    BOOST_TEST(fake.timer == 30);
    BOOST_TEST(fake.wait_flags == 0);
}

BOOST_FIXTURE_TEST_CASE(with_the_accept_mutex_hooks_are_called_while_it_is_held, MutexTurn)
{
    static std::vector<std::int64_t> holders;
    holders.clear();
    Noted hook("hook");
    hook.before = [](TurnHook&, Msec left) noexcept {
        holders.push_back(accept_mutex.lock->load());
        return left;
    };
    hook.after = [](TurnHook&) noexcept { holders.push_back(accept_mutex.lock->load()); };
    fake.on_wait = [&] { post_event(accept.ev, posted_accept_events); };
    BOOST_TEST(turn() == (Calls{"add read", "wait", "accept"}), boost::test_tools::per_element());
    BOOST_TEST(holders == (std::vector<std::int64_t>{pid, pid}), boost::test_tools::per_element());
    BOOST_TEST(accept_mutex.lock->load() == 0);
}

BOOST_FIXTURE_TEST_CASE(without_the_accept_mutex_a_hook_gets_its_delay, MutexTurn)
{
    accept_mutex.lock->store(1);
    const Noted hook("hook");
    turn();
    BOOST_TEST(hook.told == 70);
    BOOST_TEST(fake.timer == 70);
}

BOOST_FIXTURE_TEST_CASE(an_edge_triggered_poller_adds_a_read_event_once, ClearReadiness)
{
    BOOST_TEST(read(idle, not_ready) == Calls{"add read clear"}, boost::test_tools::per_element());
    for (const unsigned flags : {0U, close_event}) {
        BOOST_TEST(read(idle, ready, flags).empty());
        BOOST_TEST(read(active, not_ready, flags).empty());
        BOOST_TEST(read(active, ready, flags).empty());
    }
}

BOOST_FIXTURE_TEST_CASE(a_level_poller_watches_a_read_event_only_while_it_is_not_ready,
                        LevelReadiness)
{
    BOOST_TEST(read(idle, not_ready) == Calls{"add read"}, boost::test_tools::per_element());
    BOOST_TEST(read(active, ready) == Calls{"del read"}, boost::test_tools::per_element());
    BOOST_TEST(read(idle, ready).empty());
    BOOST_TEST(read(active, not_ready).empty());
}

BOOST_FIXTURE_TEST_CASE(a_level_triggered_poller_deletes_a_read_event_before_a_close,
                        LevelReadiness)
{
    const Calls del{"del read close"};
    BOOST_TEST(read(active, not_ready, close_event) == del, boost::test_tools::per_element());
    BOOST_TEST(read(active, ready, close_event) == del, boost::test_tools::per_element());
    BOOST_TEST(read(idle, ready, close_event).empty());
}

BOOST_FIXTURE_TEST_CASE(an_edge_triggered_poller_adds_a_write_event_once, ClearReadiness)
{
    BOOST_TEST(write(idle, not_ready) == Calls{"add write clear"},
               boost::test_tools::per_element());
    BOOST_TEST(write(idle, ready).empty());
    BOOST_TEST(write(active, not_ready).empty());
    BOOST_TEST(write(active, ready).empty());
}

BOOST_FIXTURE_TEST_CASE(a_level_poller_watches_a_write_event_only_while_it_is_not_ready,
                        LevelReadiness)
{
    BOOST_TEST(write(idle, not_ready) == Calls{"add write"}, boost::test_tools::per_element());
    BOOST_TEST(write(active, ready) == Calls{"del write"}, boost::test_tools::per_element());
    BOOST_TEST(write(idle, ready).empty());
    BOOST_TEST(write(active, not_ready).empty());
}

BOOST_AUTO_TEST_CASE(a_poller_without_level_and_edge_gets_no_calls)
{
    Readiness r(use_oneshot_event);
    BOOST_TEST(r.read(idle, not_ready).empty());
    BOOST_TEST(r.write(idle, not_ready).empty());
}

BOOST_FIXTURE_TEST_CASE(a_failure_of_the_poller_is_returned, ClearReadiness)
{
    fake.add = Rc::error;
    BOOST_TEST((handle_read_event(rev, 0) == Rc::error));
    BOOST_TEST((handle_write_event(wev, 0) == Rc::error));
}

BOOST_FIXTURE_TEST_CASE(a_failed_del_of_a_level_poller_is_returned, LevelReadiness)
{
    fake.del = Rc::error;
    for (Event* ev : {&rev, &wev}) {
        ev->active = 1;
        ev->ready = 1;
    }
    BOOST_TEST((handle_read_event(rev, 0) == Rc::error));
    BOOST_TEST((handle_write_event(wev, 0) == Rc::error));
}

BOOST_FIXTURE_TEST_CASE(a_low_water_mark_is_set_once, ClearReadiness)
{
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    c.fd = socket.get();
    FakeCall setsockopt(Call::setsockopt, {.result = 0}, FakeCall::always);

    BOOST_TEST((send_lowat(c, 0) == Rc::ok));
    BOOST_TEST(setsockopt.calls() == 0);
    BOOST_TEST(!c.sndlowat);

    BOOST_TEST(write(idle, not_ready, 100) == Calls{"add write clear"},
               boost::test_tools::per_element());
    BOOST_TEST(setsockopt.calls() == 1);
    BOOST_CHECK(c.sndlowat);

    BOOST_TEST((send_lowat(c, 200) == Rc::ok));
    BOOST_TEST(setsockopt.calls() == 1);
}

// Linux does not support a low-water mark for sending.
BOOST_FIXTURE_TEST_CASE(a_low_water_mark_that_is_refused_leaves_the_poller_alone, ClearReadiness)
{
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    c.fd = socket.get();
    BOOST_TEST((handle_write_event(wev, 100) == Rc::error));
    BOOST_TEST(fake.calls.empty());
    BOOST_TEST(!c.sndlowat);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "setsockopt(SO_SNDLOWAT) failed (92: Protocol not available)\n"));
}

BOOST_FIXTURE_TEST_CASE(an_event_is_identified_by_its_connections_descriptor, LevelReadiness)
{
    c.fd = 42;
    BOOST_TEST(event_ident(rev) == 42);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
