#pragma once

/// \file
/// What is recorded of a process: the facts that the loop reports, the log lines and the timeouts,
/// each with its exact time, buffered until the turn is over. The buffer has a fixed size; lines
/// that do not fit are counted. Each function may be called on any thread.

#include <csignal>
#include <cstdint>
#include <optional>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "event/event.hpp"
#include "event/event_observer.hpp"

namespace ngx::trace {

/// The state of an event when a fact about it was reported.
struct EventInfo {
    EventHandler handler = nullptr;  // null if the line is not about an event
    const Event* event = nullptr;
    int fd = invalid_socket;
    bool write = false;
    bool accept = false;
};

/// The state of a connection when a fact about it was reported.
struct ConnectionInfo {
    int fd = invalid_socket;
    std::optional<std::size_t> slot{};  // none for a connection outside of the array
    bool instance = false;
};

/// The reason for the timeout of a turn.
enum class Reason { nothing, timer, accept_mutex_delay, posted_next, timer_resolution };

/// The timeout of a turn, before the hooks of modules shorten it.
struct Timeout {
    Msec timer = 0;
    Reason reason = Reason::nothing;
    EventInfo event{};            // the event of the timer
    std::size_t timers = 0;       // number of timers in the tree
    std::size_t connections = 0;  // number of connections in use
};

enum class LineKind { log, fact, timeout };

/// One entry of the record. A fact has no pointers: what they pointed to is copied.
struct Line {
    LineKind kind = LineKind::log;
    std::int64_t time = 0;  // CLOCK_MONOTONIC, in ns
    pid_t thread = 0;
    unsigned level = 0;  // of a log line
    EventFact fact{};
    EventInfo event{};
    ConnectionInfo connection{};
    Timeout timeout{};
    std::size_t start = 0;  // position of the text in the buffer
    std::size_t size = 0;
};

/// The lines that were stored since the last take_lines().
struct Lines {
    std::vector<Line> lines{};
    std::vector<char> buffer{};
    std::size_t lost = 0;  // number of lines that did not fit

    [[nodiscard]] std::string_view text(const Line& line) const noexcept
    {
        return {buffer.data() + line.start, line.size};
    }
};

/// Blocks all signals in this thread during its lifetime.
class SignalsBlocked {
public:
    SignalsBlocked() noexcept;
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked();

private:
    sigset_t before_{};
};

/// Returns the state of a connection. Its slot is its place in the array of its cycle.
ConnectionInfo connection_info(const Connection& c) noexcept;

/// Returns the time of CLOCK_MONOTONIC in ns.
std::int64_t now() noexcept;

/// Returns the current state of an event.
EventInfo event_info(const Event& ev) noexcept;

/// Stores a line in the form "TIME [LEVEL] PID#TID: TEXT\n". Signal handlers may call it, because
/// it does not allocate.
void add_line(unsigned level, std::string_view line) noexcept;

/// Stores a fact.
void add_fact(const EventFact& fact) noexcept;

/// Stores the timeout of a turn among the lines.
void add_timeout(const Timeout& timeout) noexcept;

/// Moves the stored lines to `lines`, whose memory is reused.
void take_lines(Lines& lines);

}  // namespace ngx::trace
