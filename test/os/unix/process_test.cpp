// Signals, including those that kill: each case runs in a child.

#include "os/unix/process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/cycle.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "os/unix/channel.hpp"
#include "os/unix/process_cycle.hpp"
#include "test/support/cycle.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/forked.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// Runs a cycle that handles signals in a child. Returns its log.
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

        // A handler needs the cycle, which is destroyed now.
        sigset_t all;
        sigfillset(&all);
        ::sigprocmask(SIG_BLOCK, &all, nullptr);
    });
}

/// Returns the flags that signals have set, one letter each.
std::string flags()
{
    std::string set;
    set += quit ? "q" : "";
    set += terminate ? "t" : "";
    set += reconfigure ? "c" : "";
    set += reopen ? "o" : "";
    set += debug_quit ? "d" : "";
    set += noaccept ? "n" : "";
    set += change_binary ? "b" : "";
    set += sigalrm ? "a" : "";
    set += sigio ? "i" : "";
    set += reap ? "r" : "";
    return set;
}

/// The role of a process that receives a signal.
struct Role {
    Process process = Process::single;
    bool daemonized = false;
    bool has_parent = false;  // the process that started this binary still runs
    pid_t new_binary = 0;
};

/// Raises a signal in a child. Returns the flags that it set, then the log.
Forked raised(int signo, const Role& role = {})
{
    return with_signals([&](const Cycle& cycle) {
        ngx::process = role.process;
        daemonized = role.daemonized;
        parent = role.has_parent ? ::getppid() : 0;
        new_binary = role.new_binary;
        ::raise(signo);
        log_error(log_notice, cycle.log, 0, "flags: {}", flags());
    });
}

/// Continues a process that has stopped itself. Returns false if it did not stop.
bool resume(pid_t child)
{
    int status = 0;
    if (::waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) {
        return false;
    }
    ::kill(child, SIGCONT);
    return WSTOPSIG(status) == SIGSTOP;
}

/// A signal, the flags that it sets, and the end of its log line.
struct Meaning {
    int signo;
    std::string_view name;
    std::string_view flags;
    std::string_view action;
};

void check_meaning(const Meaning& want, const Role& role)
{
    const Forked child = raised(want.signo, role);
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(contains(child.text, fmt::format(" flags: {}\n", want.flags)), child.text);
    BOOST_TEST(contains(child.text, "[notice]"));
    const std::string line = fmt::format("signal {} ({}) received from ", want.signo, want.name);
    const std::size_t at = child.text.find(line);
    BOOST_TEST_REQUIRE(at != child.text.npos, child.text);
    const std::size_t sender = at + line.size();
    const std::size_t behind = child.text.find_first_not_of("0123456789", sender);
    BOOST_TEST(child.text.substr(behind, child.text.find('\n', behind) - behind) == want.action);
}

/// Returns the lowest free descriptor.
int next_descriptor()
{
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(fd);
    return fd;
}

/// Runs the function in a child that handles signals, SIGCHLD only during a wait. Returns the
/// function's text and the log.
template <typename Function>
std::string told(Function function)
{
    const Forked child = with_signals([&](Cycle& cycle) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        pid = ::getpid();
        log_error(log_notice, cycle.log, 0, "told: {}", function(cycle));
    });
    BOOST_TEST(child.exited_with(0));
    return child.text;
}

/// Waits for SIGCHLD.
void wait_for_child()
{
    sigset_t none;
    sigemptyset(&none);
    reap = 0;
    while (!reap) {
        ::sigsuspend(&none);
    }
}

/// A child's function that exits at once with the number as its status.
void end_with(Cycle&, void* data)
{
    ::_exit(static_cast<int>(reinterpret_cast<std::intptr_t>(data)));
}

/// A child's function that waits for a message and exits with its command as its status.
void obey(Cycle& cycle, void*)
{
    pollfd entry{.fd = channel, .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, 10'000);
    Channel ch;
    ::_exit(read_channel(channel, ch, cycle.log) == Rc::ok ? static_cast<int>(ch.command) : 99);
}

void* number(std::intptr_t n)
{
    return reinterpret_cast<void*>(n);
}

ProcessSlot& slot_at(int i)
{
    return processes.at(static_cast<std::size_t>(i));
}

/// Returns the flags of a slot, one letter each.
std::string flags_of(const ProcessSlot& slot)
{
    std::string set;
    set += slot.respawn ? "r" : "";
    set += slot.just_spawn ? "j" : "";
    set += slot.detached ? "d" : "";
    set += slot.exiting ? "x" : "";
    set += slot.exited ? "e" : "";
    return set;
}

/// Returns the state and the log after a failure of spawn_process().
std::string told_of_failure(Call call)
{
    return told([call](Cycle& cycle) {
        const int before = next_descriptor();
        const FakeCall fails(call, {.err = ENOMEM});
        const pid_t child = spawn_process(cycle, end_with, nullptr, "worker", process_respawn);
        return fmt::format("{} {} {} {} {}", child, slot_at(0).pid, slot_at(0).channel[0],
                           last_process, next_descriptor() - before);
    });
}

/// Adds a zone of 64 kB, as init_cycle() does.
ShmZone& add_zone(Cycle& cycle, std::string_view name)
{
    ShmZone& zone = cycle.shared_memory.emplace_back();
    zone.shm = {.size = 64 * 1024, .name = name, .log = cycle.log};
    if (shm_alloc(zone.shm) != Rc::ok) {
        throw std::runtime_error("shm_alloc() failed");
    }
    zone.pool = SlabPool::create(zone.shm.addr, zone.shm.size);
    return zone;
}

/// Returns pointers to the words, and null at the end.
std::vector<char*> pointers(std::vector<std::string>& words)
{
    std::vector<char*> result;
    for (std::string& word : words) {
        result.push_back(word.data());
    }
    result.push_back(nullptr);
    return result;
}

/// Runs a program as a child to its end. Returns the log.
std::string executed(const std::string& path, std::vector<std::string> words)
{
    return told([&](Cycle& cycle) {
        std::vector<std::string> env = {"A=of its own"};
        ExecCtx ctx{
            .path = path, .name = "program", .argv = pointers(words), .envp = pointers(env)};
        const pid_t child = execute(cycle, ctx);
        wait_for_child();
        return fmt::format("{} {}", slot_at(0).pid == child, flags_of(slot_at(0)));
    });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(process)

BOOST_AUTO_TEST_CASE(each_signal_sets_its_flag_and_logs_its_meaning)
{
    const Meaning cases[] = {
        {SIGTERM, "SIGTERM", "t", ", exiting"},
        {SIGINT, "SIGINT", "t", ", exiting"},
        {SIGQUIT, "SIGQUIT", "q", ", shutting down"},
        {SIGHUP, "SIGHUP", "c", ", reconfiguring"},
        {SIGUSR1, "SIGUSR1", "o", ", reopening logs"},
        {SIGWINCH, "SIGWINCH", "", ""},
        {SIGUSR2, "SIGUSR2", "b", ", changing binary"},
        {SIGALRM, "SIGALRM", "a", ""},
        {SIGIO, "SIGIO", "i", ""},
        {SIGCHLD, "SIGCHLD", "r", ""},
    };
    for (const Meaning& want : cases) {
        check_meaning(want, {.process = Process::single});
        check_meaning(want, {.process = Process::master});
    }
}

BOOST_AUTO_TEST_CASE(a_worker_leaves_some_signals_to_its_master)
{
    const Meaning cases[] = {
        {SIGTERM, "SIGTERM", "t", ", exiting"},
        {SIGINT, "SIGINT", "t", ", exiting"},
        {SIGQUIT, "SIGQUIT", "q", ", shutting down"},
        {SIGHUP, "SIGHUP", "", ", ignoring"},
        {SIGUSR1, "SIGUSR1", "o", ", reopening logs"},
        {SIGWINCH, "SIGWINCH", "", ""},
        {SIGUSR2, "SIGUSR2", "", ", ignoring"},
        {SIGALRM, "SIGALRM", "", ""},
        {SIGIO, "SIGIO", "", ", ignoring"},
        {SIGCHLD, "SIGCHLD", "", ""},
    };
    for (const Meaning& want : cases) {
        check_meaning(want, {.process = Process::worker});
    }
}

BOOST_AUTO_TEST_CASE(sigwinch_is_handled_only_by_a_daemon)
{
    check_meaning({SIGWINCH, "SIGWINCH", "n", ", stop accepting connections"},
                  {.process = Process::master, .daemonized = true});
    check_meaning({SIGWINCH, "SIGWINCH", "qd", ", shutting down"},
                  {.process = Process::worker, .daemonized = true});
}

BOOST_AUTO_TEST_CASE(a_binary_is_not_changed_during_another_change)
{
    const Role roles[] = {{.process = Process::master, .has_parent = true},
                          {.process = Process::master, .new_binary = 12}};
    for (const Role& role : roles) {
        check_meaning({SIGUSR2, "SIGUSR2", "", ", ignoring"}, role);
        const Forked child = raised(SIGUSR2, role);
        BOOST_TEST(contains(child.text, "[crit]"));
        BOOST_TEST(contains(child.text,
                            "the changing binary signal is ignored: you should shutdown "
                            "or terminate before either old or new binary's "
                            "process\n"),
                   child.text);
    }
    BOOST_TEST(!contains(raised(SIGUSR2).text, "[crit]"));
}

BOOST_AUTO_TEST_CASE(the_log_names_the_sender_of_a_signal)
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

BOOST_AUTO_TEST_CASE(a_signal_of_the_kernel_has_no_sender)
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

BOOST_AUTO_TEST_CASE(a_signal_does_not_change_errno)
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

// Linux has no process with such a large number.
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

BOOST_AUTO_TEST_CASE(a_debug_point_may_stop_the_process_until_sigcont)
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

BOOST_AUTO_TEST_SUITE(spawn)

BOOST_AUTO_TEST_CASE(a_child_gets_a_slot_and_its_start_is_logged)
{
    const std::string text = told([](Cycle& cycle) {
        cycle.generation = 4;
        const pid_t child = spawn_process(cycle, end_with, number(1), "worker", process_norespawn);
        const ProcessSlot& slot = slot_at(0);
        log_error(log_notice, cycle.log, 0, "expected: start worker {}", child);
        return fmt::format("{} {} {} {} {} {} {}", slot.pid == child, slot.proc == end_with,
                           slot.data == number(1), slot.name, slot.generation, process_slot,
                           last_process);
    });
    BOOST_TEST(contains(text, "told: true true true worker 4 0 1\n"), text);
    const std::size_t at = text.find("expected: ") + 10;
    const std::string line = text.substr(at, text.find('\n', at) + 1 - at);
    BOOST_TEST(contains(text, ": " + line), text);
    BOOST_TEST(count(text, line) == 2U);
}

BOOST_AUTO_TEST_CASE(other_processes_reach_a_child_by_its_channel)
{
    const std::string text = told([](Cycle& cycle) {
        spawn_process(cycle, obey, nullptr, "worker", process_norespawn);
        const ProcessSlot& slot = slot_at(0);
        const Rc rc = write_channel(slot.channel[0], {.command = cmd_reopen}, cycle.log);
        wait_for_child();
        return fmt::format("{} {} {}", rc == Rc::ok, channel == slot.channel[1],
                           WEXITSTATUS(slot.status));
    });
    BOOST_TEST(contains(text, "told: true true 5\n"), text);
}

BOOST_AUTO_TEST_CASE(a_channel_does_not_block_and_reports_to_the_master_by_sigio)
{
    const std::string text = told([](Cycle& cycle) {
        spawn_process(cycle, end_with, nullptr, "worker", process_norespawn);
        std::string said;
        for (const int fd : slot_at(0).channel) {
            const int flags = ::fcntl(fd, F_GETFL);
            said += fmt::format("{} {} {} {}, ", (flags & O_NONBLOCK) != 0, (flags & O_ASYNC) != 0,
                                ::fcntl(fd, F_GETFD) == FD_CLOEXEC, ::fcntl(fd, F_GETOWN) == pid);
        }
        return said;
    });
    BOOST_TEST(contains(text, "told: true true true true, true false true false, \n"), text);
}

BOOST_AUTO_TEST_CASE(a_child_has_its_pid_and_its_parents)
{
    const std::string text = told([](Cycle& cycle) {
        const auto look = [](Cycle&, void* data) {
            const bool known = pid == ::getpid() && parent == ::getppid() && log_pid == pid &&
                               process_slot == 0 && channel == slot_at(0).channel[1] &&
                               data == number(7);
            ::_exit(known ? 0 : 1);
        };
        spawn_process(cycle, look, number(7), "worker", process_norespawn);
        wait_for_child();
        return WEXITSTATUS(slot_at(0).status);
    });
    BOOST_TEST(contains(text, "told: 0\n"), text);
}

BOOST_AUTO_TEST_CASE(the_type_of_a_child_is_recorded_in_its_slot)
{
    const std::string text = told([](Cycle& cycle) {
        std::string said;
        for (const int respawn : {process_norespawn, process_just_spawn, process_respawn,
                                  process_just_respawn, process_detached}) {
            slot_at(last_process).exiting = slot_at(last_process).exited = 1;
            spawn_process(cycle, end_with, nullptr, "worker", respawn);
            said += flags_of(slot_at(last_process - 1)) + ",";
        }
        return said;
    });
    BOOST_TEST(contains(text, "told: ,j,r,rj,d,\n"), text);
}

BOOST_AUTO_TEST_CASE(a_detached_child_has_no_channel)
{
    const std::string text = told([](Cycle& cycle) {
        const int before = next_descriptor();
        spawn_process(cycle, end_with, nullptr, "program", process_detached);
        return fmt::format("{} {} {} {}", slot_at(0).channel[0], slot_at(0).channel[1], channel,
                           next_descriptor() - before);
    });
    BOOST_TEST(contains(text, "told: -1 -1 -1 0\n"), text);
}

BOOST_AUTO_TEST_CASE(a_free_slot_is_used_before_a_new_one)
{
    const std::string text = told([](Cycle& cycle) {
        for (int i = 0; i < 3; i++) {
            spawn_process(cycle, end_with, nullptr, "worker", process_norespawn);
        }
        slot_at(1).pid = invalid_pid;
        const pid_t child = spawn_process(cycle, end_with, nullptr, "new", process_norespawn);
        return fmt::format("{} {} {} {} {}", last_process, process_slot, slot_at(1).pid == child,
                           slot_at(1).name, slot_at(0).name);
    });
    BOOST_TEST(contains(text, "told: 3 1 true new worker\n"), text);
}

BOOST_AUTO_TEST_CASE(a_child_that_is_started_again_keeps_its_slot_and_type)
{
    const std::string text = told([](Cycle& cycle) {
        spawn_process(cycle, end_with, number(9), "first", process_just_respawn);
        spawn_process(cycle, end_with, nullptr, "second", process_respawn);
        ProcessSlot& slot = slot_at(0);
        slot.exited = 1;
        cycle.generation = 5;
        close_channel(slot.channel, cycle.log);
        const pid_t child = spawn_process(cycle, slot.proc, slot.data, slot.name, 0);
        return fmt::format("{} {} {} {} {} {} {} {}", slot.pid == child, slot.name,
                           slot.data == number(9), flags_of(slot), slot.generation, process_slot,
                           last_process, slot.channel[0] != -1);
    });
    BOOST_TEST(contains(text, "told: true first true rj 5 0 2 true\n"), text);
    BOOST_TEST(count(text, ": start first ") == 2U);
}

BOOST_AUTO_TEST_CASE(a_child_that_cannot_be_forked_leaves_nothing_behind)
{
    const std::string text = told_of_failure(Call::fork);
    BOOST_TEST(contains(text, "told: -1 -1 -1 0 0\n"), text);
    BOOST_TEST(contains(text, "[alert]"));
    BOOST_TEST(contains(text, "fork() failed while spawning \"worker\" (12: Cannot allocate "
                              "memory)\n"));
}

BOOST_AUTO_TEST_CASE(a_child_whose_channel_cannot_be_opened_is_not_forked)
{
    const std::string no_pair = told_of_failure(Call::socketpair);
    BOOST_TEST(contains(no_pair, "told: -1 -1 -1 0 0\n"), no_pair);
    BOOST_TEST(contains(no_pair, "[alert]"));
    BOOST_TEST(contains(no_pair, "socketpair() failed while spawning \"worker\" (12: Cannot "
                                 "allocate memory)\n"));

    const std::string no_signal = told_of_failure(Call::ioctl);
    BOOST_TEST(contains(no_signal, "told: -1 -1 -1 0 0\n"), no_signal);
    BOOST_TEST(contains(no_signal, "[alert]"));
    BOOST_TEST(contains(no_signal, "ioctl(FIOASYNC) failed while spawning \"worker\" (12: Cannot "
                                   "allocate memory)\n"));
}

BOOST_AUTO_TEST_CASE(the_table_has_room_for_1024_children)
{
    const std::string text = told([](Cycle& cycle) {
        for (ProcessSlot& slot : processes) {
            slot.pid = 1;
        }
        last_process = max_processes;
        const FakeCall forks(Call::fork, {}, 0);
        const pid_t child = spawn_process(cycle, end_with, nullptr, "worker", process_norespawn);
        return fmt::format("{} {}", child, forks.calls());
    });
    BOOST_TEST(contains(text, "told: -1 0\n"), text);
    BOOST_TEST(contains(text, "[alert]"));
    BOOST_TEST(contains(text, "no more than 1024 processes can be spawned\n"));
}

BOOST_AUTO_TEST_CASE(a_program_runs_as_a_detached_child_with_arguments_and_environment)
{
    const std::string text =
        executed("/bin/sh", {"name", "-c", "test \"$0 $A\" = 'word of its own' && exit 7", "word"});
    BOOST_TEST(contains(text, "told: true de\n"), text);
    BOOST_TEST(contains(text, ": start program "));
    BOOST_TEST(contains(text, " exited with code 7\n"), text);
}

BOOST_AUTO_TEST_CASE(a_program_does_not_inherit_blocked_signals)
{
    // Not with a shell, which may use all of them itself.
    const std::string text =
        executed("/bin/grep", {"grep", "-q", "^SigBlk:.0*$", "/proc/self/status"});
    BOOST_TEST(contains(text, " exited with code 0\n"), text);
}

BOOST_AUTO_TEST_CASE(a_missing_program_is_an_alert_of_its_child)
{
    const std::string text = executed("/none/program", {"program"});
    BOOST_TEST(contains(text, "told: true de\n"), text);
    BOOST_TEST(contains(text, "[alert]"));
    BOOST_TEST(contains(text, "execve() failed while executing program \"/none/program\" "
                              "(2: No such file or directory)\n"));
    BOOST_TEST(contains(text, " exited with code 1\n"), text);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(children_that_end)

/// Starts a child that exits with this status, and waits for its end.
std::string ended(int status, int respawn)
{
    return told([=](Cycle& cycle) {
        const pid_t child =
            spawn_process(cycle, end_with, number(status), "worker process", respawn);
        wait_for_child();
        log_error(log_notice, cycle.log, 0, "it was {}", child);
        return fmt::format("{} {}", WEXITSTATUS(slot_at(0).status), flags_of(slot_at(0)));
    });
}

/// Returns the number after "it was ".
std::string child_of(const std::string& text)
{
    const std::size_t at = text.find("it was ") + 7;
    return text.substr(at, text.find('\n', at) - at);
}

BOOST_AUTO_TEST_CASE(a_child_that_exits_is_logged_with_its_status)
{
    const std::string text = ended(3, process_respawn);
    BOOST_TEST(contains(text, "told: 3 re\n"), text);
    BOOST_TEST(contains(text, ": worker process " + child_of(text) + " exited with code 3\n"),
               text);
    BOOST_TEST(!contains(text, "[alert]"));
}

BOOST_AUTO_TEST_CASE(a_child_that_is_killed_is_an_alert)
{
    const std::string text = told([](Cycle& cycle) {
        const auto die = [](Cycle&, void*) { ::raise(SIGKILL); };
        const pid_t child = spawn_process(cycle, die, nullptr, "worker process", process_respawn);
        wait_for_child();
        log_error(log_notice, cycle.log, 0, "it was {}", child);
        return fmt::format("{} {}", WTERMSIG(slot_at(0).status), flags_of(slot_at(0)));
    });
    BOOST_TEST(contains(text, "told: 9 re\n"), text);
    BOOST_TEST(contains(text, "[alert]"));
    BOOST_TEST(contains(text, ": worker process " + child_of(text) + " exited on signal 9\n"),
               text);
}

BOOST_AUTO_TEST_CASE(a_child_that_could_not_start_is_not_started_again)
{
    const std::string text = ended(2, process_respawn);
    BOOST_TEST(contains(text, "told: 2 e\n"), text);
    BOOST_TEST(contains(text, "[alert]"));
    BOOST_TEST(contains(text, ": worker process " + child_of(text) +
                                  " exited with fatal code 2 and cannot be respawned\n"),
               text);
    BOOST_TEST(!contains(ended(2, process_norespawn), "cannot be respawned"));
}

BOOST_AUTO_TEST_CASE(a_child_that_could_not_start_is_started_again_if_its_configuration_has_served)
{
    const std::string text = told([](Cycle& cycle) {
        served_generation = cycle.generation;
        spawn_process(cycle, end_with, number(2), "worker process", process_respawn);
        wait_for_child();
        return fmt::format("{} {}", WEXITSTATUS(slot_at(0).status), flags_of(slot_at(0)));
    });
    BOOST_TEST(contains(text, "told: 2 re\n"), text);
    BOOST_TEST(!contains(text, "cannot be respawned"), text);
}

BOOST_AUTO_TEST_CASE(a_child_that_throws_logs_it_and_exits_with_two,
                     *boost::unit_test::precondition([](auto) { return !have_asan; }))
{
    const std::string text = told([](Cycle& cycle) {
        std::atexit([] { log_error(log_notice, ngx_cycle->log, 0, "at exit"); });
        const auto fail = [](Cycle&, void*) { throw std::runtime_error("no luck"); };
        spawn_process(cycle, fail, nullptr, "worker process", process_norespawn);
        wait_for_child();
        return std::to_string(WEXITSTATUS(slot_at(0).status));
    });
    BOOST_TEST(contains(text, "told: 2\n"), text);
    BOOST_TEST(contains(text, ": no luck\n"), text);
    BOOST_TEST(!contains(text, "at exit"), text);
}

BOOST_AUTO_TEST_CASE(a_child_without_a_slot_is_an_unknown_process)
{
    const std::string text = told([](Cycle& cycle) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::_exit(4);
        }
        wait_for_child();
        log_error(log_notice, cycle.log, 0, "it was {}", child);
        return last_process;
    });
    BOOST_TEST(contains(text, ": unknown process " + child_of(text) + " exited with code 4\n"),
               text);
}

BOOST_AUTO_TEST_CASE(one_signal_may_be_for_many_children)
{
    const std::string text = told([](Cycle& cycle) {
        for (int i = 0; i < 3; i++) {
            const pid_t child =
                spawn_process(cycle, end_with, number(10 + i), "worker", process_norespawn);
            siginfo_t info{};
            ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
        }
        wait_for_child();
        std::string said;
        for (int i = 0; i < 3; i++) {
            said += fmt::format("{} {},", WEXITSTATUS(slot_at(i).status), flags_of(slot_at(i)));
        }
        return said;
    });
    BOOST_TEST(contains(text, "told: 10 e,11 e,12 e,\n"), text);
    BOOST_TEST(count(text, "(SIGCHLD) received") == 1U);
}

BOOST_AUTO_TEST_CASE(a_signal_without_a_child_is_logged)
{
    const std::string text = raised(SIGCHLD).text;
    BOOST_TEST(contains(text, "[info]"));
    BOOST_TEST(contains(text, "waitpid() failed (10: No child processes)\n"), text);
}

BOOST_AUTO_TEST_CASE(the_accept_mutex_of_a_child_that_died_is_released)
{
    const std::string text = told([](Cycle& cycle) {
        const auto take = [](Cycle&, void*) { ::_exit(shmtx_trylock(accept_mutex) ? 0 : 1); };
        const pid_t child = spawn_process(cycle, take, nullptr, "worker", process_norespawn);
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
        const bool held = accept_mutex_ptr->load() == child;
        wait_for_child();
        return fmt::format("{} {}", held, accept_mutex_ptr->load());
    });
    BOOST_TEST(contains(text, "told: true 0\n"), text);
    BOOST_TEST(!contains(text, "[alert]"));
}

BOOST_AUTO_TEST_CASE(a_zone_that_a_dead_child_has_locked_is_released_with_an_alert)
{
    const std::string text = told([](Cycle& cycle) {
        ShmZone& zone = add_zone(cycle, "z");
        const auto lock = [](Cycle&, void* data) {
            shmtx_lock(static_cast<ShmZone*>(data)->pool->mutex);
            ::_exit(0);
        };
        const pid_t child = spawn_process(cycle, lock, &zone, "worker", process_norespawn);
        wait_for_child();
        log_error(log_notice, cycle.log, 0, "it was {}", child);
        return zone.pool->mutex.lock->load();
    });
    BOOST_TEST(contains(text, "told: 0\n"), text);
    BOOST_TEST(contains(text, "[alert]"));
    BOOST_TEST(contains(text, ": shared memory zone \"z\" was locked by " + child_of(text) + "\n"),
               text);
}

BOOST_AUTO_TEST_CASE(locks_of_running_children_stay_locked)
{
    const std::string text = told([](Cycle& cycle) {
        ShmZone& zone = add_zone(cycle, "z");
        shmtx_lock(zone.pool->mutex);
        const bool taken = shmtx_trylock(accept_mutex);
        spawn_process(cycle, end_with, nullptr, "worker", process_norespawn);
        wait_for_child();
        return fmt::format("{} {} {}", taken, zone.pool->mutex.lock->load() == pid,
                           accept_mutex_ptr->load() == pid);
    });
    BOOST_TEST(contains(text, "told: true true true\n"), text);
    BOOST_TEST(!contains(text, "was locked by"));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
