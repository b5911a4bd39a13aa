/// \file
/// Lesson 14: the kernel sends a real-time signal for each change of a descriptor.

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <list>
#include <optional>
#include <poll.h>
#include <set>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"

namespace ngx::lesson {

namespace {

/// Makes the kernel send a signal for each change of a descriptor.
void watch(int fd)
{
    checked(::fcntl(fd, F_SETSIG, SIGRTMIN), "F_SETSIG");
    checked(::fcntl(fd, F_SETOWN, ::getpid()), "F_SETOWN");
    checked(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_ASYNC), "O_ASYNC");
}

/// Limits the number of queued signals; 0 makes the queue full. Returns the old limit.
rlim_t limit_queue(rlim_t most)
{
    rlimit limit{};
    checked(::getrlimit(RLIMIT_SIGPENDING, &limit), "getrlimit");
    const rlim_t before = std::exchange(limit.rlim_cur, std::min(most, limit.rlim_max));
    checked(::setrlimit(RLIMIT_SIGPENDING, &limit), "setrlimit");
    return before;
}

sigset_t signals()
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGIO);
    return set;
}

/// Blocks the signals, so that they stay in the queue; unblocked ones would end the process.
void block_signals()
{
    const sigset_t set = signals();
    checked(::sigprocmask(SIG_BLOCK, &set, nullptr), "sigprocmask");
}

/// Reads the first signal of the queue; empty if the queue is empty.
std::optional<siginfo_t> next_signal()
{
    const sigset_t set = signals();
    const timespec no_wait{};
    siginfo_t info;
    return ::sigtimedwait(&set, &info, &no_wait) == -1 ? std::nullopt : std::optional(info);
}

int count_readable(const std::list<Ends>& all)
{
    std::vector<pollfd> entries;
    for (const Ends& ends : all) {
        entries.push_back({.fd = ends.fd(), .events = POLLIN, .revents = 0});
    }
    return checked(::poll(entries.data(), entries.size(), 0), "poll");
}

/// The descriptors in the signals, and whether SIGIO was among the signals.
struct Told {
    std::set<int> named{};
    bool overflow = false;
};

/// Makes this number of peers send, and then reads all signals.
Told told_of(const std::list<Ends>& all, int sending)
{
    for (const Ends& ends : all) {
        watch(ends.fd());
    }
    for (auto ends = all.begin(); sending > 0; ++ends, sending--) {
        ends->peer_sends("text");
    }
    Told told;
    while (const auto info = next_signal()) {
        if (info->si_signo == SIGIO) {
            told.overflow = true;
        } else {
            told.named.insert(info->si_fd);
        }
    }
    return told;
}

void show_change()
{
    say("A change sends a signal with the descriptor:");
    const Ends ends;
    watch(ends.fd());
    ends.peer_sends("text");
    const auto info = next_signal();
    say("  it has our descriptor: %s, and reports that it is readable: %s",
        yes_no(info && info->si_fd == ends.fd()), yes_no(info && (info->si_band & POLLIN) != 0));
}

void show_before()
{
    say("Data that arrived before the descriptor was watched sends no signal:");
    const Ends ends;
    ends.peer_sends("text");
    watch(ends.fd());
    say("  a signal: %s; recv() returns %s", yes_no(next_signal().has_value()),
        what_recv_gives(ends.fd()).c_str());
}

void show_each()
{
    say("The peer sends three times before a signal is read:");
    const Ends ends;
    watch(ends.fd());
    for (int i = 0; i < 3; i++) {
        ends.peer_sends("text");
    }
    while (const auto info = next_signal()) {
        say("  a signal: recv() returns %s", what_recv_gives(info->si_fd).c_str());
    }
}

void show_stale()
{
    say("The descriptor is closed while its signal is queued, and its number is reused:");
    Ends ends;
    watch(ends.fd());
    ends.peer_sends("text");
    const int number = ends.fd();
    ends.close_ours();
    const Ends other;
    const auto info = next_signal();
    say("  same number: %s; the signal has it: %s; recv() returns %s", yes_no(other.fd() == number),
        yes_no(info && info->si_fd == other.fd()), what_recv_gives(other.fd()).c_str());
}

void show_overflow()
{
    say("Eight peers send, and the queue is full:");
    const std::list<Ends> all(8);
    const rlim_t before = limit_queue(0);
    const Told told = told_of(all, 8);
    limit_queue(before);
    say("  descriptors in signals: %zu; SIGIO: %s", told.named.size(), yes_no(told.overflow));
    say("  poll() of all: %d are readable", count_readable(all));
}

void show()
{
    block_signals();
    show_change();
    show_before();
    show_each();
    show_stale();
    show_overflow();
}

int useless_signals(int sends)
{
    const Ends ends;
    watch(ends.fd());
    for (int i = 0; i < sends; i++) {
        ends.peer_sends("text");
    }
    int in_vain = 0;
    while (const auto info = next_signal()) {
        in_vain += what_recv_gives(info->si_fd) == "EAGAIN" ? 1 : 0;
    }
    return in_vain;
}

void check(Checker& checker)
{
    block_signals();
    for (const int sends : {1, 2, 5}) {
        checker.same(1, std::to_string(sends) + " sends", useless_signals(sends),
                     exercise::useless_signals(sends));
    }
    for (const bool full : {false, true}) {
        const std::list<Ends> all(8);
        const rlim_t before = limit_queue(full ? 0 : RLIM_INFINITY);
        const Told told = told_of(all, 3);
        limit_queue(before);
        const int named = static_cast<int>(told.named.size());
        checker.same(2,
                     "8 are open, " + std::to_string(named) +
                         " are in signals, SIGIO: " + yes_no(told.overflow),
                     full ? 8 : 3, exercise::descriptors_to_poll(told.overflow, named, 8));
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
