#include "core/embed.hpp"

#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "event/event_wake.hpp"
#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

/// The library in a program that runs the loop itself, with a configuration text.
struct Embedded {
    Embedded()
    {
        BOOST_TEST_REQUIRE(cycle != nullptr);
        use_stderr = false;
        cycle->conf_prefix = dir.path().string() + "/";
        cycle->log->writer = [](Log& log, unsigned, char* buf, std::size_t len) {
            static_cast<std::string*>(log.wdata)->append(buf, len);
        };
        cycle->log->wdata = &text;
    }
    Embedded(const Embedded&) = delete;
    Embedded& operator=(const Embedded&) = delete;
    ~Embedded()
    {
        stop_cycle(*cycle);
        dump_config = false;
    }

    /// Starts, or reloads, with this configuration.
    bool start(std::string_view conf)
    {
        cycle->conf_text = conf;
        Cycle* const started = start_cycle(*cycle);
        cycle = started ? started : cycle;
        return started != nullptr;
    }

    [[nodiscard]] std::string said() const { return messages(text); }

    TempDir dir;
    std::string text{};  // the lines that were logged before a cycle had its own log
    Cycle* cycle = init_library();
};

/// A timer that records that it has expired.
struct Alarm {
    explicit Alarm(Log* log)
    {
        event.data = &owner;
        event.log = log;
        owner.data = &expired;
        event.handler = [](Event& ev) noexcept {
            *static_cast<bool*>(static_cast<Connection*>(ev.data)->data) = true;
        };
    }
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;

    bool expired = false;
    Connection owner{};
    Event event{};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(embed)

BOOST_FIXTURE_TEST_CASE(a_text_is_read_in_place_of_a_file, Embedded)
{
    BOOST_TEST(start("# blocks are taken, too\nevents { worker_connections 7; }\n"));
    BOOST_TEST(ngx_cycle == cycle);
    BOOST_TEST(cycle->connection_n == 7);
    BOOST_TEST(cycle->free_connection_n == 7);
    BOOST_TEST(cycle->generation == 1);
}

BOOST_FIXTURE_TEST_CASE(the_loop_turns, Embedded)
{
    BOOST_TEST_REQUIRE(start("events {}"));
    Alarm alarm(cycle->log);
    add_timer(alarm.event, 1);
    while (!alarm.expired) {
        process_events_and_timers(*cycle);
    }
    BOOST_TEST(!alarm.event.timer_set());
}

BOOST_FIXTURE_TEST_CASE(a_turn_without_waiting_returns_before_its_timer, Embedded)
{
    BOOST_TEST_REQUIRE(start("events {}"));
    Alarm alarm(cycle->log);
    add_timer(alarm.event, 3'600'000);
    BOOST_TEST(process_events_without_waiting(*cycle));
    BOOST_TEST(!alarm.expired);

    current_msec += 3'600'000;
    event_expire_timers();
    BOOST_TEST(alarm.expired);
    BOOST_TEST(!process_events_without_waiting(*cycle));
}

BOOST_FIXTURE_TEST_CASE(a_turn_without_waiting_runs_what_is_due_and_what_is_ready, Embedded)
{
    BOOST_TEST_REQUIRE(start("events {}"));
    Alarm alarm(cycle->log);
    bool woken = false;
    EventWaker waker;
    waker.data = &woken;
    waker.handler = [](EventWaker& w) noexcept { *static_cast<bool*>(w.data) = true; };
    BOOST_TEST_REQUIRE((event_waker_init(waker, *cycle) == Rc::ok));

    BOOST_TEST(process_events_without_waiting(*cycle));
    BOOST_TEST(!woken);

    add_timer(alarm.event, 0);
    event_wake(waker);
    BOOST_TEST(process_events_without_waiting(*cycle));
    BOOST_TEST(woken);
    BOOST_TEST(alarm.expired);

    event_waker_done(waker);
    BOOST_TEST(!process_events_without_waiting(*cycle));
}

BOOST_FIXTURE_TEST_CASE(the_turn_after_one_without_waiting_waits_again, Embedded)
{
    BOOST_TEST_REQUIRE(start("events {}"));
    static Msec longest;
    TurnHook hook;
    hook.before = [](TurnHook&, Msec timer) noexcept {
        longest = timer;
        return Msec{0};
    };
    BOOST_TEST(!process_events_without_waiting(*cycle));
    add_turn_hook(hook);
    process_events_and_timers(*cycle);
    BOOST_TEST(longest == timer_infinite);
    del_turn_hook(hook);
}

BOOST_FIXTURE_TEST_CASE(a_cycle_is_alive_while_something_can_happen, Embedded)
{
    BOOST_TEST_REQUIRE(start("events {}"));
    BOOST_TEST(!cycle_is_alive(*cycle));

    Alarm alarm(cycle->log);
    add_timer(alarm.event, 1000);
    BOOST_TEST(cycle_is_alive(*cycle));
    alarm.event.cancelable = 1;
    BOOST_TEST(!cycle_is_alive(*cycle));
    del_timer(alarm.event);

    post_event(alarm.event, posted_next_events);
    BOOST_TEST(cycle_is_alive(*cycle));
    BOOST_TEST(!process_events_without_waiting(*cycle));
    BOOST_TEST(alarm.expired);

    EventWaker waker;
    BOOST_TEST_REQUIRE((event_waker_init(waker, *cycle) == Rc::ok));
    BOOST_TEST(cycle_is_alive(*cycle));

    BOOST_TEST_REQUIRE(start("events {}"));
    BOOST_TEST(cycle_is_alive(*cycle), "the waker is of the old cycle");
    event_waker_done(waker);
    BOOST_TEST(!cycle_is_alive(*cycle));
}

BOOST_FIXTURE_TEST_CASE(an_error_in_a_text_names_its_line, Embedded)
{
    BOOST_TEST(!start("events {\n    nonsense;\n}\n"));
    BOOST_TEST(said() == "[emerg] unknown directive \"nonsense\" in text:2\n");
    BOOST_TEST(ngx_cycle == cycle);
}

BOOST_FIXTURE_TEST_CASE(a_text_is_called_as_the_file_would_be, Embedded)
{
    cycle->conf_file = "the program";
    BOOST_TEST(!start("events {"));
    BOOST_TEST(said() == "[emerg] unexpected end of file, expecting \"}\" in the program:1\n");
}

BOOST_FIXTURE_TEST_CASE(a_text_that_ends_in_a_directive_is_refused, Embedded)
{
    BOOST_TEST(!start("events {}\nuser a"));
    BOOST_TEST(said() == "[emerg] unexpected end of file, expecting \";\" or \"}\" in text:2\n");
}

BOOST_FIXTURE_TEST_CASE(a_text_includes_files_from_conf_prefix, Embedded)
{
    write_file(dir / "events.conf", "events { worker_connections 9; }");
    BOOST_TEST(start("include events.conf;"));
    BOOST_TEST(cycle->connection_n == 9);
}

BOOST_FIXTURE_TEST_CASE(a_word_of_a_text_may_be_longer_than_the_window_over_a_file, Embedded)
{
    BOOST_TEST(start("env LONG=" + std::string(10'000, 'x') + "; events {}"));
}

BOOST_FIXTURE_TEST_CASE(the_directives_of_conf_param_come_first, Embedded)
{
    cycle->conf_param = "timer_resolution 1h;";
    BOOST_TEST(start("events {}"));
    BOOST_TEST(*get_conf<CoreConf>(cycle->conf_ctx)->timer_resolution == 3'600'000U);
}

BOOST_FIXTURE_TEST_CASE(a_reload_reads_the_text_again, Embedded)
{
    BOOST_TEST_REQUIRE(start("events { worker_connections 7; }"));
    BOOST_TEST(start("events { worker_connections 8; }"));
    BOOST_TEST(cycle->connection_n == 8);
    BOOST_TEST(old_cycles.size() == 1);

    Cycle* const next = start_cycle(*cycle);
    BOOST_TEST_REQUIRE(next != nullptr);
    cycle = next;
    BOOST_TEST(*cycle->conf_text == "events { worker_connections 8; }");
    BOOST_TEST(cycle->generation == 3);
}

BOOST_FIXTURE_TEST_CASE(a_reload_that_is_refused_leaves_the_cycle_that_runs, Embedded)
{
    write_file(dir / "log", "");
    const std::string log = "error_log " + (dir / "log").string() + "; ";
    const KeepStderr kept;
    BOOST_TEST_REQUIRE(start(log + "events {}"));
    const Cycle* const before = cycle;
    BOOST_TEST(!start(log + "events { nonsense; }"));
    BOOST_TEST(ngx_cycle == before);
    BOOST_TEST(messages(read_file(dir / "log")) ==
               "[emerg] unknown directive \"nonsense\" in text:1\n");
}

BOOST_FIXTURE_TEST_CASE(a_text_is_dumped_as_a_file_is, Embedded)
{
    dump_config = true;
    BOOST_TEST_REQUIRE(start("events {}\n"));
    BOOST_TEST_REQUIRE(cycle->config_dump.size() == 1);
    BOOST_TEST(cycle->config_dump.front().name == "text");
    BOOST_TEST(cycle->config_dump.front().buffer == "events {}\n");
}

BOOST_AUTO_TEST_CASE(the_library_may_start_again_and_holds_nothing_open)
{
    const std::size_t descriptors = open_descriptors();
    for (int i = 0; i < 3; i++) {
        {
            Embedded embedded;
            BOOST_TEST_REQUIRE(embedded.start("events {}"));
            BOOST_TEST(embedded.start("events {}"));
        }
        BOOST_TEST(ngx_cycle == nullptr);
        BOOST_TEST(open_descriptors() == descriptors);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
