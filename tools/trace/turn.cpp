#include "tools/trace/turn.hpp"

#include <array>
#include <fmt/format.h>
#include <utility>

#include "event/event_timer.hpp"
#include "tools/trace/names.hpp"

namespace ngx::trace {

namespace {

constexpr std::string_view accept_phase = "posted accept events";
constexpr std::string_view mutex_phase = "accept mutex";
constexpr std::string_view release_phase = "accept mutex released";
constexpr std::string_view after_phase = "after the turn";

/// Returns how an event is added to the poller.
std::string_view trigger(unsigned flags) noexcept
{
    return (flags & clear_event) != 0       ? ", edge-triggered"
           : (flags & exclusive_event) != 0 ? ", exclusive"
                                            : "";
}

/// Returns "3, instance 1", the slot of a connection and the instance of its events.
std::string slot_text(const ConnectionInfo& c)
{
    return c.slot ? fmt::format("{}, instance {:d}", *c.slot, c.instance) : "none";
}

/// Returns the text of a fact about a call that receives or sends: "recv: fd:11 5 of 16384".
std::string moved_text(const char* call, const Line& line)
{
    const std::int64_t n = line.fact.value;
    if (n < 0) {
        return fmt::format("{}: fd:{} {}", call, line.connection.fd,
                           n == io_again ? "not ready" : "failed");
    }
    const std::string of = line.fact.size == 0 ? "" : fmt::format(" of {}", line.fact.size);
    return fmt::format("{}: fd:{} {}{}", call, line.connection.fd, n, of);
}

class Builder {
public:
    Builder(Turn& turn, pid_t thread) : turn_(turn), thread_(thread) {}

    void take_line(const Line& line, std::string_view text)
    {
        switch (line.kind) {
        case LineKind::timeout:
            turn_.timeout = line.timeout;
            break;
        case LineKind::log:
            note(line, log_text(line, text));
            break;
        case LineKind::fact:
            // The first fact after the wait is the poller's: the wait is over.
            if (std::exchange(waiting_, false)) {
                phase(line.time, "dispatch");
            }
            if (!turn_fact(line) && !mutex_fact(line) && !call_fact(line) && !queue_fact(line) &&
                !timer_fact(line)) {
                connection_fact(line, text);
            }
        }
    }

    void finish(std::int64_t end)
    {
        close(end);
        if (!turn_.records.empty() && turn_.records.back().text == after_phase) {
            turn_.records.pop_back();  // the phase has no content
        }
        turn_.end = turn_.end == 0 ? end : turn_.end;
    }

private:
    static std::string log_text(const Line& line, std::string_view text)
    {
        static constexpr std::array levels = {"",     "emerg",  "alert", "crit", "error",
                                              "warn", "notice", "info",  "debug"};
        return line.level == log_debug_level ? std::string(text)
                                             : fmt::format("[{}] {}", levels[line.level], text);
    }

    /// Handles the facts about the steps of a turn. Each of these functions returns false for the
    /// facts that it does not handle.
    bool turn_fact(const Line& line)
    {
        switch (line.fact.type) {
        case EventFactType::turn_begin:
            turn_.begin = line.time;
            phase(line.time, "timers looked for");
            return true;
        case EventFactType::wait:
            turn_.wait = static_cast<Msec>(line.fact.value);
            phase(line.time, fmt::format("wait: {}", turn_.poller));
            waiting_ = true;
            return true;
        case EventFactType::dispatched:
            if (has_phase_) {
                turn_.records[phase_].events = line.fact.size;
            }
            close(line.time);
            return true;
        case EventFactType::turn_end:
            close(line.time);
            turn_.end = line.time;
            phase(line.time, after_phase);
            return true;
        default:
            return false;
        }
    }

    bool mutex_fact(const Line& line)
    {
        switch (line.fact.type) {
        case EventFactType::mutex_not_tried:
            phase(line.time, mutex_phase);
            note(line, fmt::format("accept mutex not tried: {}", line.fact.value));
            return true;
        case EventFactType::mutex_locked:
            phase(line.time, mutex_phase);
            note(line, "taken");
            return true;
        case EventFactType::mutex_busy:
            phase(line.time, mutex_phase);
            note(line, "not taken: another has it");
            return true;
        case EventFactType::mutex_unlocked:
            if (turn_.wait && !has_handler_) {
                phase(line.time, release_phase);
            } else {
                note(line, std::string(release_phase));
            }
            return true;
        default:
            return false;
        }
    }

    bool call_fact(const Line& line)
    {
        const std::string name = event_text(line.event);
        switch (line.fact.type) {
        case EventFactType::call_ready:
            handler(line, name + " ready");
            return true;
        case EventFactType::call_expired:
            phase(line.time, "expired timers");
            handler(line, name + " timed out");
            return true;
        case EventFactType::call_posted:
            phase(line.time, line.event.accept ? accept_phase : "posted events");
            handler(line, name + " posted");
            return true;
        case EventFactType::call_done:
            close_handler(line.time);
            return true;
        default:
            return false;
        }
    }

    bool queue_fact(const Line& line)
    {
        const std::string name = event_text(line.event);
        switch (line.fact.type) {
        case EventFactType::posted:
            note(line, name + " posted");
            return true;
        case EventFactType::posted_again:
            note(line, name + " is posted already");
            return true;
        case EventFactType::unposted:
            if (line.event.event != running_) {
                note(line, name + " is not posted any more");
            }
            return true;
        case EventFactType::next_moved:
            phase(line.time, "posted-next events");
            note(line, name + " is due now");
            return true;
        default:
            return false;
        }
    }

    bool timer_fact(const Line& line)
    {
        const int fd = line.event.fd;
        switch (line.fact.type) {
        case EventFactType::timer_set:
            note(line, fmt::format("timer of fd {} set: {} ms", fd, line.fact.value));
            return true;
        case EventFactType::timer_kept:
            note(line, fmt::format("timer of fd {} stays: its new time is {:+} ms from its old one",
                                   fd, line.fact.value));
            return true;
        case EventFactType::timer_deleted:
            note(line, fmt::format("timer of fd {} deleted", fd));
            return true;
        default:
            return false;
        }
    }

    void connection_fact(const Line& line, std::string_view text)
    {
        const std::string_view poller = turn_.poller;
        const ConnectionInfo& c = line.connection;
        const unsigned flags = line.fact.flags;
        const char* const closed = (flags & close_event) != 0 ? ", closed next" : "";
        const char* const direction = line.event.write ? "write" : "read";
        switch (line.fact.type) {
        case EventFactType::stale:
            return note(line, fmt::format("stale event of slot {}", slot_text(c)));
        case EventFactType::connection_taken:
            return note(line,
                        fmt::format("connection of fd:{} taken: slot {}", c.fd, slot_text(c)));
        case EventFactType::connection_freed:
            return note(line,
                        fmt::format("connection of fd:{} freed: slot {}", c.fd, slot_text(c)));
        case EventFactType::accepted:
            return note(line, std::string(text));
        case EventFactType::event_added:
            return note(line, fmt::format("{} add event: fd:{} {}{}", poller, line.event.fd,
                                          direction, trigger(flags)));
        case EventFactType::event_deleted:
            return note(line, fmt::format("{} del event: fd:{} {}{}", poller, line.event.fd,
                                          direction, closed));
        case EventFactType::connection_added:
            return note(line, fmt::format("{} add connection: fd:{}", poller, c.fd));
        case EventFactType::connection_deleted:
            return note(line, fmt::format("{} del connection: fd:{}{}", poller, c.fd, closed));
        case EventFactType::received:
            return note(line, moved_text("recv", line));
        case EventFactType::sent:
            return note(line, moved_text("send", line));
        default:
            return;
        }
    }

    void note(const Line& line, std::string text)
    {
        const bool loops = line.thread == thread_;
        const std::size_t depth = !loops || !has_phase_ ? 0 : has_handler_ ? 2 : 1;
        turn_.records.push_back({.begin = line.time,
                                 .end = line.time,
                                 .depth = depth,
                                 .thread = line.thread,
                                 .text = std::move(text)});
    }

    /// Starts a phase, unless it is the current one.
    void phase(std::int64_t time, std::string_view name)
    {
        if (has_phase_ && turn_.records[phase_].text == name) {
            return;
        }
        close(time);
        phase_ = turn_.records.size();
        has_phase_ = true;
        turn_.records.push_back(
            {.kind = Kind::phase, .begin = time, .thread = thread_, .text = std::string(name)});
    }

    void handler(const Line& line, const std::string& what)
    {
        close_handler(line.time);
        handler_ = turn_.records.size();
        has_handler_ = true;
        running_ = line.event.event;
        turn_.records.push_back(
            {.kind = Kind::handler,
             .begin = line.time,
             .depth = 1,
             .thread = thread_,
             .text = fmt::format("{} -> {}", what, handler_name(line.event.handler)),
             .event = line.event});
    }

    void close_handler(std::int64_t time)
    {
        if (has_handler_) {
            turn_.records[handler_].end = time;
        }
        has_handler_ = false;
        running_ = nullptr;
    }

    void close(std::int64_t time)
    {
        close_handler(time);
        if (has_phase_) {
            turn_.records[phase_].end = time;
        }
        has_phase_ = false;
    }

    Turn& turn_;
    pid_t thread_;
    std::size_t phase_ = 0;
    std::size_t handler_ = 0;
    bool has_phase_ = false;
    bool has_handler_ = false;
    bool waiting_ = false;
    const Event* running_ = nullptr;  // the event of the current handler
};

}  // namespace

std::string event_text(const EventInfo& event)
{
    const char* const direction = event.write ? "write" : "read";
    return event.fd == invalid_socket ? "no fd" : fmt::format("fd {} {}", event.fd, direction);
}

std::string reason_text(const Turn& turn)
{
    const Timeout& timeout = turn.timeout;
    if (turn.wait && *turn.wait < timeout.timer) {
        return "a module's hook";
    }
    switch (timeout.reason) {
    case Reason::nothing:
        return "nothing to wait for";
    case Reason::timer:
        return fmt::format("timer of {}, {}", event_text(timeout.event),
                           handler_name(timeout.event.handler));
    case Reason::accept_mutex_delay:
        return "accept_mutex_delay";
    case Reason::posted_next:
        return "posted for this turn";
    case Reason::timer_resolution:
        return "timer_resolution";
    }
    return {};
}

Turn make_turn(const Lines& lines, std::size_t number, pid_t thread, std::string_view poller,
               std::int64_t end)
{
    Turn turn{.number = number, .poller = poller, .lost = lines.lost};
    turn.begin = lines.lines.empty() ? end : lines.lines.front().time;
    Builder builder(turn, thread);
    for (const Line& line : lines.lines) {
        builder.take_line(line, lines.text(line));
    }
    builder.finish(end);
    return turn;
}

}  // namespace ngx::trace
