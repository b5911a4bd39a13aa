#pragma once

/// \file
/// Runs a part of a test in a child process, because it exits, receives signals, or has effects
/// that cannot be undone.

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ngx::test {

/// The end of a child, as waitpid() reports it, and the text that it sent.
struct Forked {
    int status = 0;
    std::string text{};
    bool timed_out = false;

    [[nodiscard]] bool exited_with(int code) const
    {
        return WIFEXITED(status) && WEXITSTATUS(status) == code;
    }
    [[nodiscard]] bool killed_by(int signo) const
    {
        return WIFSIGNALED(status) && WTERMSIG(status) == signo;
    }
};

/// In the child: sends a text to the parent, or as much as fits into the pipe.
inline void say(int fd, const std::string& text)
{
    [[maybe_unused]] const ssize_t n = ::write(fd, text.data(), text.size());
}

/// In the parent: reads from the pipe until the child ends. Kills a child that sends nothing for
/// the time `limit`.
inline Forked listen_to(pid_t child, int fd, std::chrono::seconds limit)
{
    const auto wait_ms = static_cast<int>(std::chrono::milliseconds(limit).count());
    Forked result;
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    char buf[4096];
    for (;;) {
        if (::poll(&entry, 1, wait_ms) != 1) {
            ::kill(child, SIGKILL);
            result.timed_out = true;
            break;
        }
        const ssize_t n = ::read(fd, buf, sizeof(buf));
        if (n <= 0) {
            break;
        }
        result.text.append(buf, static_cast<std::size_t>(n));
    }
    ::close(fd);
    if (::waitpid(child, &result.status, 0) != child) {
        throw std::runtime_error("waitpid() failed");
    }
    return result;
}

/// Calls `body(fd)` in a child, with a pipe for say(), and waits for the child's end. The child
/// exits with status 0 if the body returns, and with 70 and the exception's text if it throws.
template <typename Body>
Forked in_child(Body body, std::chrono::seconds limit = std::chrono::seconds(60))
{
    int ends[2];
    if (::pipe(ends) == -1) {
        throw std::runtime_error("pipe() failed");
    }
    std::cout.flush();  // otherwise a child that exits would write it again
    const pid_t child = ::fork();
    if (child == -1) {
        throw std::runtime_error("fork() failed");
    }
    if (child != 0) {
        ::close(ends[1]);
        return listen_to(child, ends[0], limit);
    }

    ::close(ends[0]);
    // The test framework catches signals that should end this process.
    for (const int signo : {SIGABRT, SIGALRM, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGSEGV, SIGTERM}) {
        ::signal(signo, SIG_DFL);
    }
    const rlimit no_core{};
    ::setrlimit(RLIMIT_CORE, &no_core);
    try {
        body(ends[1]);
        ::_exit(0);
    } catch (const std::exception& e) {
        say(ends[1], e.what());
        ::_exit(70);
    }
}

}  // namespace ngx::test
