// The process that starts a daemon, and the daemon. In each case the first process is a child of
// the test, and the daemon is the first process's child.

#include "os/unix/daemon.hpp"

#include <csignal>
#include <poll.h>
#include <string>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "os/unix/process.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/forked.hpp"
#include "test/support/limit.hpp"
#include "test/support/log.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

namespace {

/// Calls `body(fd, first)` in a daemon; `first` is the process that started it.
template <typename Body>
Forked in_daemon(Body body)
{
    return in_child([&](int fd) {
        TestLog log;
        pid = ::getpid();
        const pid_t first = pid;
        if (daemon(&log.log) != Rc::ok) {
            say(fd, log.text);
            ::_exit(70);
        }
        body(fd, first);
        ::_exit(0);
    });
}

/// Returns whether the process of a pidfd ends within the time.
bool ends(int pidfd, int ms)
{
    pollfd entry{.fd = pidfd, .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, ms) == 1;
}

bool is_null(int fd)
{
    struct stat info {};
    struct stat null {};
    return ::fstat(fd, &info) == 0 && ::stat("/dev/null", &null) == 0 &&
           info.st_rdev == null.st_rdev;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(daemon)

BOOST_AUTO_TEST_CASE(the_first_process_waits_until_the_daemon_serves)
{
    const Forked first = in_daemon([](int fd, pid_t first_pid) {
        const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, first_pid, 0)));
        say(fd, ends(pidfd.get(), 0) ? "too early" : "waits");
        daemon_ready();
        say(fd, ends(pidfd.get(), 10'000) ? ", ends" : ", still there");
    });
    BOOST_TEST(first.text == "waits, ends");
    BOOST_TEST(first.exited_with(0));
}

BOOST_AUTO_TEST_CASE(a_daemon_that_ends_before_it_serves_is_a_failure_of_the_first_process)
{
    BOOST_TEST(in_daemon([](int, pid_t) {}).exited_with(1));
    BOOST_TEST(in_daemon([](int, pid_t) { ::raise(SIGKILL); }).exited_with(1));
}

BOOST_AUTO_TEST_CASE(the_start_of_the_service_is_reported_once)
{
    const Forked first = in_daemon([](int fd, pid_t) {
        daemon_ready();
        daemon_ready();
        say(fd, "twice");
    });
    BOOST_TEST(first.text == "twice");
    BOOST_TEST(first.exited_with(0));
    BOOST_TEST(in_child([](int) { daemon_ready(); }).exited_with(0));
}

BOOST_AUTO_TEST_CASE(a_daemon_has_its_pid_and_its_parents)
{
    const Forked first = in_daemon([](int fd, pid_t first_pid) {
        say(fd, pid == ::getpid() ? "pid" : "another");
        say(fd, log_pid == pid ? " log_pid" : " another");
        say(fd, parent == first_pid && parent == ::getppid() ? " parent" : " another");
        daemon_ready();
    });
    BOOST_TEST(first.text == "pid log_pid parent");
}

BOOST_AUTO_TEST_CASE(a_daemon_has_its_own_session_and_an_empty_umask)
{
    const Forked first = in_daemon([](int fd, pid_t) {
        say(fd, ::getsid(0) == ::getpid() && ::getpgrp() == ::getpid() ? "own" : "inherited");
        say(fd, ::umask(022) == 0 ? " all" : " masked");
        daemon_ready();
    });
    BOOST_TEST(first.text == "own all");
}

BOOST_AUTO_TEST_CASE(a_daemon_neither_reads_from_nor_writes_to_its_terminal)
{
    const Forked first = in_daemon([](int fd, pid_t) {
        say(fd, is_null(STDIN_FILENO) ? "in" : "terminal");
        say(fd, is_null(STDOUT_FILENO) ? " out" : " terminal");
        daemon_ready();
    });
    BOOST_TEST(first.text == "in out");
}

BOOST_AUTO_TEST_CASE(a_daemon_that_cannot_be_forked_is_an_error)
{
    const Forked first = in_child([](int fd) {
        TestLog log;
        const FakeCall fails(Call::fork, {.err = EAGAIN});
        say(fd, ngx::daemon(&log.log) == Rc::error ? "error " : "daemon ");
        say(fd, log.text);
    });
    BOOST_TEST(first.text.starts_with("error "), first.text);
    BOOST_TEST(contains(first.text, "[emerg]"));
    BOOST_TEST(contains(first.text, "fork() failed (11: Resource temporarily unavailable)\n"));
}

BOOST_AUTO_TEST_CASE(a_daemon_needs_a_pipe)
{
    const Forked first = in_child([](int fd) {
        TestLog log;
        const FileLimit none(FileLimit::next_file());
        say(fd, ngx::daemon(&log.log) == Rc::error ? "error " : "daemon ");
        say(fd, log.text);
    });
    BOOST_TEST(first.text.starts_with("error "), first.text);
    BOOST_TEST(contains(first.text, "[emerg]"));
    BOOST_TEST(contains(first.text, "pipe2() failed (24: Too many open files)\n"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
