#include "os/unix/systemd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.hpp"
#include "core/string.hpp"
#include "os/unix/process.hpp"

namespace ngx {

namespace {

constexpr std::string_view notify_socket = "NOTIFY_SOCKET=";

struct {
    std::string variable{};  // NOTIFY_SOCKET=PATH
    std::array<char, 64> unsent{};
    std::size_t unsent_size = 0;  // size of the last message, if it was not sent
} state;

/// Returns the number in an environment variable, or -1.
int number_of(const char* name) noexcept
{
    const char* const text = std::getenv(name);
    const auto number = text ? atoi(text) : std::nullopt;
    return number && *number <= INT_MAX ? static_cast<int>(*number) : -1;
}

/// Fills in a path or, with a leading @, an abstract socket name. Returns the address's length.
socklen_t address_of(std::string_view path, sockaddr_un& sun) noexcept
{
    sun.sun_family = AF_UNIX;
    const std::size_t len = std::min(path.size(), sizeof(sun.sun_path) - 1);
    std::copy_n(path.begin(), len, sun.sun_path);
    if (sun.sun_path[0] == '@') {
        sun.sun_path[0] = '\0';
    }
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + len);
}

}  // namespace

void systemd_init()
{
    if (const char* path = std::getenv("NOTIFY_SOCKET"); path && *path) {
        state.variable = std::string(notify_socket) + path;
    }
}

int systemd_listen_fds(Log* log)
{
    const bool mine = number_of("LISTEN_PID") == ::getpid();
    const int n = mine ? number_of("LISTEN_FDS") : 0;
    if (n == -1 || n > INT_MAX - systemd_first_fd) {
        log_error(log_emerg, log, 0, "invalid LISTEN_FDS \"{}\", ignored",
                  std::getenv("LISTEN_FDS") ? std::getenv("LISTEN_FDS") : "");
    }
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
        ::unsetenv(name);
    }
    return std::max(n, 0);
}

const char* systemd_variable() noexcept
{
    return state.variable.empty() ? nullptr : state.variable.c_str();
}

namespace {

/// Sends without blocking. Returns 0 or an errno, after logging unless the socket was full.
Err send_message(std::string_view text, Log* log) noexcept
{
    sockaddr_un sun{};
    const socklen_t len =
        address_of(std::string_view(state.variable).substr(notify_socket.size()), sun);

    const int s = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s == -1) {
        const Err err = errno;
        log_error(log_alert, log, err, "socket() for {} failed", state.variable);
        return err;
    }
    Err err = 0;
    if (::sendto(s, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&sun),
                 len) == -1) {
        err = errno;
        if (err != EAGAIN) {
            log_error(log_alert, log, err, "sendto() {} failed", state.variable);
        }
    }
    ::close(s);
    return err;
}

}  // namespace

void systemd_notify(std::string_view text, Log* log) noexcept
{
    if (state.variable.empty()) {
        return;
    }
    if (send_message(text, log) != EAGAIN) {
        state.unsent_size = 0;  // an older message is out of date
        return;
    }
    if (state.unsent_size == 0) {
        log_error(log_alert, log, EAGAIN, "sendto() {} failed, trying again", state.variable);
    }
    state.unsent_size = text.copy(state.unsent.data(), state.unsent.size());
}

bool systemd_has_unsent() noexcept
{
    return state.unsent_size != 0;
}

void systemd_notify_unsent(Log* log) noexcept
{
    if (systemd_has_unsent() &&
        send_message({state.unsent.data(), state.unsent_size}, log) != EAGAIN) {
        state.unsent_size = 0;
    }
}

void systemd_notify_pid(std::string_view what, pid_t main_pid, Log* log) noexcept
{
    std::array<char, 64> text;
    const char* const end =
        slprintf(text.data(), text.data() + text.size(), "{}MAINPID={}", what, main_pid);
    systemd_notify({text.data(), static_cast<std::size_t>(end - text.data())}, log);
}

void systemd_notify_ready(Log* log) noexcept
{
    systemd_notify_pid("READY=1\n", pid, log);
}

void systemd_notify_reloading(Log* log) noexcept
{
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    std::array<char, 64> text;
    const char* const end =
        slprintf(text.data(), text.data() + text.size(), "RELOADING=1\nMONOTONIC_USEC={}",
                 now.tv_sec * 1'000'000 + now.tv_nsec / 1000);
    systemd_notify({text.data(), static_cast<std::size_t>(end - text.data())}, log);
}

}  // namespace ngx
