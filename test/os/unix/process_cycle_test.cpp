// The loop of a process without a master, which never returns, so each case runs in a child.

#include "os/unix/process_cycle.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/nginx.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/forked.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// A timer with an event that belongs to no real connection.
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

/// The end of a server, and its log.
struct Served {
    Forked child{};
    std::string log{};
};

/// Runs a server in a child. `prepare` is called first; `before` right before the loop, with a
/// master before the loop of each worker.
Served serve(
    void (*before)(Cycle& cycle), const std::string& directives = "master_process off;",
    void (*prepare)(const TempDir& dir) = [](const TempDir&) {})
{
    const TempDir dir;
    write_file(dir / "nginx.conf", "daemon off; pid test.pid; "
                                   "error_log error.log notice; events {} " +
                                       directives);
    Served served;
    served.child = in_child([&](int) {
        prepare(dir);
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

// The loop tests the flags only after its wait.
BOOST_AUTO_TEST_CASE(a_signal_before_the_loop_is_handled)
{
    const auto [child, log] = serve([](Cycle&) { ::raise(SIGTERM); });
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(contains(log, "(SIGTERM) received from "));
    BOOST_TEST(contains(log, ": exit\n"));
}

BOOST_AUTO_TEST_CASE(a_signal_during_the_loop_is_handled)
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
        time_update();
        add_timer(connection.ev, 500);
        add_timer(later.ev, 3'600'000);
        ::raise(SIGQUIT);
    });
    BOOST_TEST(child.exited_with(0));
    const std::size_t begin = log.find("gracefully shutting down\n");
    const std::size_t run = log.find("the timer has run\n");
    const std::size_t end = log.find(": exiting\n");
    BOOST_TEST((begin < run && run < end && end != log.npos), log);
}

// It has no timer for which the worker would wait. The worker keeps running as root, to signal the
// master.
BOOST_AUTO_TEST_CASE(a_connection_that_a_graceful_shutdown_leaves_behind_is_reported)
{
    const auto [child, log] = serve(
        [](Cycle& cycle) {
            Connection* const c = get_connection(::dup(STDERR_FILENO), cycle.log);
            c->number = 7;
            ::kill(::getppid(), SIGQUIT);
        },
        "worker_processes 1; user root root;");
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(contains(log, "[alert] "));
    BOOST_TEST(contains(log, ": *7 open socket #"));
    BOOST_TEST(contains(log, ": aborting\n"));
    BOOST_TEST(contains(log, "exited with code 0\n"));
}

BOOST_AUTO_TEST_CASE(a_fast_shutdown_leaves_connections_as_they_are)
{
    const auto [child, log] = serve(
        [](Cycle& cycle) {
            (void)get_connection(::dup(STDERR_FILENO), cycle.log);
            ::kill(::getppid(), SIGTERM);
        },
        "worker_processes 1; user root root;");
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(!contains(log, "[alert]"), log);
}

BOOST_AUTO_TEST_CASE(a_reload_of_a_bad_configuration_goes_on_with_the_old_one)
{
    const auto [child, log] = serve([](Cycle& cycle) {
        write_file(cycle.conf_file, "nonsense;");
        static Timer timer(*ngx_cycle, [](Event&) noexcept { ::raise(SIGTERM); });
        time_update();
        add_timer(timer.ev, 500);
        ::raise(SIGHUP);
    });
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(contains(log, "reconfiguring\n"));
    BOOST_TEST(contains(log, "unknown directive \"nonsense\""));
    BOOST_TEST(contains(log, ": exit\n"));
}

BOOST_AUTO_TEST_CASE(a_server_listens_on_the_socket_that_an_older_binary_hands_over)
{
    const auto look = [](Cycle& cycle) {
        const Listening& ls = cycle.listening.at(0);
        log_error(log_notice, cycle.log, 0, "socket {}, inherited {} {}, daemonized {}", ls.fd,
                  ls.inherited, inherited, daemonized);
        ::raise(SIGTERM);
    };
    const auto hand_over = [](const TempDir& dir) {
        sockaddr_un sun{.sun_family = AF_UNIX, .sun_path = {}};
        (dir / "socket").string().copy(sun.sun_path, sizeof(sun.sun_path) - 1);
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        ::bind(fd, reinterpret_cast<const sockaddr*>(&sun), sizeof(sun));
        ::listen(fd, 1);
        ::dup2(fd, 50);
        ::close(fd);
        ::setenv("NGINX", "50;", 1);
    };
    const auto [child, log] =
        serve(look, "master_process off; test_listen unix:socket;", hand_over);
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(contains(log, "socket 50, inherited 1 true, daemonized true\n"), log);
}

BOOST_AUTO_TEST_CASE(a_server_that_is_started_without_standard_files_opens_none_in_their_place)
{
    const auto look = [](Cycle& cycle) {
        struct stat in {};
        struct stat null {};
        const bool is_null = ::fstat(STDIN_FILENO, &in) == 0 && ::stat("/dev/null", &null) == 0 &&
                             in.st_rdev == null.st_rdev;
        log_error(log_notice, cycle.log, 0, "null {}, listener {}, log {}", is_null,
                  cycle.listening.at(0).fd > STDERR_FILENO, cycle.log->file->fd > STDERR_FILENO);
        ::raise(SIGTERM);
    };
    const auto close_all = [](const TempDir&) {
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
            ::close(fd);
        }
    };
    const auto [child, log] =
        serve(look, "master_process off; test_listen unix:socket;", close_all);
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(contains(log, "null true, listener true, log true\n"), log);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
