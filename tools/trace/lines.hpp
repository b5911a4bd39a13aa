#pragma once

/// \file
/// The log lines of a process, each with its exact time, until its loop has time to look at them.

#include <csignal>
#include <cstdint>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "event/event.hpp"

namespace ngx::trace {

/// An event as it was when a line spoke of it: the line has only its address.
struct EventInfo {
    EventHandler handler = nullptr;  // null if the line speaks of none
    const Event* event = nullptr;
    int fd = invalid_socket;
    bool write = false;
    bool accept = false;
};

/// What the timeout of a turn comes from.
enum class Reason { nothing, timer, accept_mutex_delay, posted_next, timer_resolution };

/// How long a turn is to wait, as it is before the hooks of modules have their say.
struct Timeout {
    Msec timer = 0;
    Reason reason = Reason::nothing;
    EventInfo event{};            // whose timer it is
    std::size_t timers = 0;       // how many are set
    std::size_t connections = 0;  // how many are in use
};

struct Line {
    std::int64_t time = 0;  // CLOCK_MONOTONIC, in ns
    pid_t thread = 0;
    unsigned level = 0;
    bool is_timeout = false;  // `timeout` stands for a text
    EventInfo event{};
    Timeout timeout{};
    std::size_t start = 0;  // of the text, in the buffer
    std::size_t size = 0;
};

/// What has been logged since the last time. The buffer belongs to whoever calls next.
struct Lines {
    std::vector<Line> lines{};
    std::vector<char> buffer{};
    std::size_t lost = 0;  // for there was no room

    [[nodiscard]] std::string_view text(const Line& line) const noexcept
    {
        return {buffer.data() + line.start, line.size};
    }
};

/// As long as it is there, no handler of a signal runs in this thread.
class SignalsBlocked {
public:
    SignalsBlocked() noexcept;
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked();

private:
    sigset_t before_{};
};

/// ns of CLOCK_MONOTONIC.
std::int64_t now() noexcept;

/// What is known of an event.
EventInfo event_info(const Event& ev) noexcept;

/// Keeps a line as a log wrote it, "TIME [LEVEL] PID#TID: TEXT\n". From any thread, and from the
/// handler of a signal: nothing is allocated.
void add_line(unsigned level, std::string_view line) noexcept;

/// Keeps the timeout of a turn among the lines.
void add_timeout(const Timeout& timeout) noexcept;

/// Takes what there is.
void take_lines(Lines& lines);

}  // namespace ngx::trace
