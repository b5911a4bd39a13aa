// The loop of a process without a master, which never returns: each case is a child.

#include "os/unix/process_cycle.hpp"

#include <algorithm>
#include <csignal>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/nginx.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/forked.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// An event of no connection, for a timer.
struct Timer {
    Timer(Cycle& cycle, EventHandler handler)
    {
        ev.data = &c;
        ev.log = cycle.log;
        ev.handler = handler;
    }

    Connection c;
    Event ev;
};

/// What became of a server: how it ended, and what it has logged.
struct Served {
    Forked child{};
    std::string log{};
};

/// Runs a server in a child. `before` is called right before its loop.
Served serve(void (*before)(Cycle& cycle))
{
    const TempDir dir;
    write_file(dir / "nginx.conf", "daemon off; master_process off; pid test.pid; "
                                   "error_log error.log notice; events {}");
    Served served;
    served.child = in_child([&](int) {
        before_loop = before;
        std::string words[] = {"ngxx", "-p", dir.path().string(), "-c", "nginx.conf"};
        char* argv[std::size(words) + 1] = {};
        std::ranges::transform(words, argv, [](std::string& word) { return word.data(); });
        ngx::main(std::size(words), argv);
    });
    served.log = read_file(dir / "error.log");
    return served;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(process_cycle)

// The loop looks at the flags only after its wait.
BOOST_AUTO_TEST_CASE(a_signal_that_comes_before_the_loop_is_obeyed)
{
    const auto [child, log] = serve([](Cycle&) { ::raise(SIGTERM); });
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(contains(log, "(SIGTERM) received from "));
    BOOST_TEST(contains(log, ": exit\n"));
}

BOOST_AUTO_TEST_CASE(a_signal_during_the_loop_is_obeyed)
{
    const auto [child, log] = serve([](Cycle& cycle) {
        static Timer timer(cycle, [](Event&) noexcept { ::raise(SIGINT); });
        add_timer(timer.ev, 1);
    });
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(contains(log, "(SIGINT) received from "));
    BOOST_TEST(!contains(log, "[alert]"), log);
}

BOOST_AUTO_TEST_CASE(a_graceful_shutdown_waits_for_the_timers_of_connections)
{
    const auto [child, log] = serve([](Cycle& cycle) {
        static Timer connection(cycle, [](Event& ev) noexcept {
            log_error(log_notice, ev.log, 0, "the timer has run");
        });
        static Timer later(cycle, [](Event&) noexcept {});
        later.ev.cancelable = 1;
        add_timer(connection.ev, 20);
        add_timer(later.ev, 3'600'000);
        ::raise(SIGQUIT);
    });
    BOOST_TEST(child.exited_with(0));
    const std::size_t begin = log.find("gracefully shutting down\n");
    const std::size_t run = log.find("the timer has run\n");
    const std::size_t end = log.find(": exiting\n");
    BOOST_TEST((begin < run && run < end && end != log.npos), log);
}

BOOST_AUTO_TEST_CASE(a_reload_of_a_bad_configuration_goes_on_with_the_old_one)
{
    const auto [child, log] = serve([](Cycle& cycle) {
        write_file(cycle.conf_file, "nonsense;");
        static Timer timer(*ngx_cycle, [](Event&) noexcept { ::raise(SIGTERM); });
        add_timer(timer.ev, 20);
        ::raise(SIGHUP);
    });
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(contains(log, "reconfiguring\n"));
    BOOST_TEST(contains(log, "unknown directive \"nonsense\""));
    BOOST_TEST(contains(log, ": exit\n"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
