#include "test/event/contract/process_state.hpp"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/time.h>
#include <unistd.h>

#include <fmt/format.h>

namespace ngx::contract {

namespace {

void add_signals(std::vector<std::string>& lines)
{
    sigset_t mask;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    for (int signo = 1; signo <= SIGRTMAX; signo++) {
        struct sigaction action {};
        if (::sigaction(signo, nullptr, &action) == -1) {
            continue;
        }
        if (sigismember(&mask, signo) == 1) {
            lines.push_back(fmt::format("signal {} is blocked", signo));
        }
        if (action.sa_handler == SIG_IGN) {
            lines.push_back(fmt::format("signal {} is ignored", signo));
        } else if (action.sa_handler != SIG_DFL) {
            lines.push_back(fmt::format("signal {} has a handler", signo));
        }
    }
}

void add_timers(std::vector<std::string>& lines)
{
    for (const __itimer_which which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
        itimerval timer{};
        ::getitimer(which, &timer);
        if (timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0) {
            lines.push_back(fmt::format("interval timer {} is set", static_cast<int>(which)));
        }
    }
    std::ifstream timers("/proc/self/timers");
    for (std::string line; std::getline(timers, line);) {
        if (line.starts_with("ID:")) {
            lines.push_back("timer " + line);
        }
    }
}

}  // namespace

std::vector<std::string> process_state()
{
    std::vector<std::string> lines;
    add_signals(lines);
    add_timers(lines);
    const std::filesystem::directory_iterator threads("/proc/self/task");
    lines.push_back(fmt::format("threads: {}", std::distance(begin(threads), end(threads))));
    return lines;
}

std::string descriptor_state(int fd)
{
    f_owner_ex owner{};
    ::fcntl(fd, F_GETOWN_EX, &owner);
    return fmt::format("flags {:o}, signal {}, owner {}", ::fcntl(fd, F_GETFL),
                       ::fcntl(fd, F_GETSIG), owner.pid);
}

bool signals_this_thread_only(int fd)
{
    f_owner_ex owner{};
    if ((::fcntl(fd, F_GETFL) & O_ASYNC) == 0 || ::fcntl(fd, F_GETOWN_EX, &owner) == -1) {
        return true;
    }
    return owner.type == F_OWNER_TID && owner.pid == ::gettid();
}

}  // namespace ngx::contract
