// Signals and what kills: everything that touches them happens in a child.

#include "os/unix/process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "core/cycle.hpp"
#include "os/unix/process_cycle.hpp"
#include "test/support/cycle.hpp"
#include "test/support/forked.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// In a child: a cycle that takes signals. What it has logged comes back.
template <typename Body>
Forked with_signals(Body body)
{
    return in_child([&](int fd) {
        const TestCycle cycle("events {}", Start::conf);
        TestLog log;
        if (init_signals(&log.log) != Rc::ok) {
            say(fd, "init_signals() failed: " + log.text);
        }
        body(*cycle);
        say(fd, cycle.log());
    });
}

/// The flags that signals set, one letter each.
std::string flags()
{
    std::string set;
    set += quit ? "q" : "";
    set += terminate ? "t" : "";
    set += reconfigure ? "c" : "";
    set += reopen ? "o" : "";
    return set;
}

/// What the child says when the signal has come: the flags that it has set, then the log.
Forked raised(int signo)
{
    return with_signals([signo](const Cycle& cycle) {
        ::raise(signo);
        log_error(log_notice, cycle.log, 0, "flags: {}", flags());
    });
}

/// Lets a process that has stopped itself go on; says whether it had.
bool resume(pid_t child)
{
    int status = 0;
    if (::waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) {
        return false;
    }
    ::kill(child, SIGCONT);
    return WSTOPSIG(status) == SIGSTOP;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(process)

BOOST_AUTO_TEST_CASE(each_signal_sets_its_flag_and_says_what_it_means)
{
    struct Case {
        int signo;
        std::string_view name;
        std::string_view flags;
        std::string_view action;
    };
    const Case cases[] = {
        {SIGTERM, "SIGTERM", "t", ", exiting"},
        {SIGINT, "SIGINT", "t", ", exiting"},
        {SIGQUIT, "SIGQUIT", "q", ", shutting down"},
        {SIGHUP, "SIGHUP", "c", ", reconfiguring"},
        {SIGUSR1, "SIGUSR1", "o", ", reopening logs"},
        {SIGIO, "SIGIO", "", ""},
        {SIGCHLD, "SIGCHLD", "", ""},
    };
    for (const Case& want : cases) {
        const Forked child = raised(want.signo);
        BOOST_TEST(child.exited_with(0));
        BOOST_TEST(contains(child.text, fmt::format(" flags: {}\n", want.flags)), child.text);
        BOOST_TEST(contains(child.text, fmt::format("[notice]")));
        BOOST_TEST(contains(child.text,
                            fmt::format("signal {} ({}) received from ", want.signo, want.name)),
                   child.text);
        BOOST_TEST(contains(child.text, fmt::format("{}\n", want.action)));
    }
}

BOOST_AUTO_TEST_CASE(a_signal_of_a_process_names_its_sender)
{
    const Forked child = with_signals([](const Cycle& cycle) {
        ::raise(SIGHUP);
        log_error(log_notice, cycle.log, 0, "expected: received from {}, reconfiguring",
                  ::getpid());
    });
    const std::size_t at = child.text.find("expected: ");
    BOOST_TEST_REQUIRE(at != child.text.npos);
    BOOST_TEST(contains(child.text.substr(0, at), child.text.substr(at + 10)), child.text);
}

BOOST_AUTO_TEST_CASE(a_signal_of_the_kernels_has_no_sender)
{
    const Forked child = with_signals([](const Cycle&) {
        sigset_t alarm;
        sigset_t none;
        sigemptyset(&none);
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        ::sigprocmask(SIG_BLOCK, &alarm, nullptr);
        const itimerval soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 1}};
        ::setitimer(ITIMER_REAL, &soon, nullptr);
        ::sigsuspend(&none);
    });
    BOOST_TEST(contains(child.text, "signal 14 (SIGALRM) received\n"), child.text);
}

BOOST_AUTO_TEST_CASE(a_signal_leaves_errno_alone)
{
    const Forked child = with_signals([](const Cycle& cycle) {
        errno = EILSEQ;
        ::raise(SIGHUP);
        log_error(log_notice, cycle.log, 0, "errno: {}", errno);
    });
    BOOST_TEST(contains(child.text, fmt::format("errno: {}\n", EILSEQ)));
}

BOOST_AUTO_TEST_CASE(a_broken_pipe_and_a_missing_call_do_not_kill)
{
    for (const int signo : {SIGPIPE, SIGSYS}) {
        const Forked child = raised(signo);
        BOOST_TEST(child.exited_with(0));
        BOOST_TEST(!contains(child.text, "received"));
    }
}

BOOST_AUTO_TEST_CASE(each_name_of_the_command_line_sends_its_signal)
{
    const std::array names{std::pair{"stop", "t"}, std::pair{"quit", "q"}, std::pair{"reload", "c"},
                           std::pair{"reopen", "o"}};
    for (const auto& pair : names) {
        const char* const name = pair.first;
        const char* const flag = pair.second;
        const Forked child = with_signals([&](Cycle& cycle) {
            const int rc = os_signal_process(cycle, name, ::getpid());
            log_error(log_notice, cycle.log, 0, "status: {}, flags: {}", rc, flags());
        });
        BOOST_TEST(contains(child.text, fmt::format("status: 0, flags: {}\n", flag)), child.text);
    }
}

BOOST_AUTO_TEST_CASE(another_name_sends_nothing)
{
    const TestCycle cycle("events {}", Start::conf);
    BOOST_TEST(os_signal_process(*cycle, "restart", ::getpid()) == 1);
    BOOST_TEST(os_signal_process(*cycle, "HUP", ::getpid()) == 1);
}

// No process of Linux's has a number this great.
BOOST_AUTO_TEST_CASE(a_process_that_is_not_there_is_an_alert)
{
    const TestCycle cycle("events {}", Start::conf);
    BOOST_TEST(os_signal_process(*cycle, "reload", 5'000'000) == 1);
    BOOST_TEST(contains(cycle.log(), "[alert]"));
    BOOST_TEST(contains(cycle.log(), "kill(5000000, 1) failed (3: No such process)\n"));
}

BOOST_AUTO_TEST_CASE(debug_points_are_passed_unless_they_are_switched_on)
{
    const TestCycle cycle("events {}", Start::conf);
    const Forked child = in_child([](int fd) {
        debug_point();
        say(fd, "passed");
    });
    BOOST_TEST(child.text == "passed");
    BOOST_TEST(child.exited_with(0));
}

BOOST_AUTO_TEST_CASE(a_debug_point_may_abort)
{
    const TestCycle cycle("debug_points abort; events {}", Start::conf);
    const Forked child = in_child([](int fd) {
        debug_point();
        say(fd, "passed");
    });
    BOOST_TEST(child.text == "");
    BOOST_TEST(child.killed_by(SIGABRT));
}

BOOST_AUTO_TEST_CASE(a_debug_point_may_stop_the_process_until_it_is_told_to_go_on)
{
    const TestCycle cycle("debug_points stop; events {}", Start::conf);
    const Forked child = in_child([](int fd) {
        const pid_t stopping = ::fork();
        if (stopping == 0) {
            debug_point();
            say(fd, ", passed");
            ::_exit(0);
        }
        say(fd, resume(stopping) ? "stopped" : "not stopped");
        ::waitpid(stopping, nullptr, 0);
    });
    BOOST_TEST(child.text.size() == 15);
    BOOST_TEST(contains(child.text, "stopped"));
    BOOST_TEST(contains(child.text, ", passed"));
    BOOST_TEST(!contains(child.text, "not stopped"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
