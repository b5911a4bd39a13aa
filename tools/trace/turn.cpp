#include "tools/trace/turn.hpp"

#include <array>
#include <charconv>
#include <fmt/format.h>

#include "event/event_timer.hpp"
#include "tools/trace/names.hpp"

namespace ngx::trace {

namespace {

constexpr std::string_view accept_phase = "posted accept events";
constexpr std::string_view mutex_phase = "accept mutex";
constexpr std::string_view after_phase = "after the turn";

/// Removes a number from the start of the text. Returns false if the text does not start with one.
bool take_number(std::string_view& text, std::uint64_t& number) noexcept
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) {
        return false;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool take(std::string_view& text, std::string_view what) noexcept
{
    if (!text.starts_with(what)) {
        return false;
    }
    text.remove_prefix(what.size());
    return true;
}

/// Removes the "*12 " with which the lines of a connection's log start.
std::string_view without_connection(std::string_view text) noexcept
{
    std::string_view rest = text;
    std::uint64_t number = 0;
    return take(rest, "*") && take_number(rest, number) && take(rest, " ") ? rest : text;
}

/// Returns a timer's line in plain words; empty if the line is not about a timer.
std::string timer_text(std::string_view text)
{
    std::uint64_t fd = 0;
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    const bool is_add = take(text, "event timer add: ");
    const bool is_del = !is_add && take(text, "event timer del: ");
    const bool is_move = !is_add && !is_del && take(text, "event timer: ");
    if (!(is_add || is_del || is_move) || !take_number(text, fd)) {
        return {};
    }
    if (is_add && take(text, ": ") && take_number(text, a)) {
        return fmt::format("timer of fd {} set: {} ms", fd, a);
    }
    if (is_move && take(text, ", old: ") && take_number(text, a) && take(text, ", new: ") &&
        take_number(text, b)) {
        return fmt::format("timer of fd {} stays: its new time is {:+} ms from its old one", fd,
                           static_cast<MsecInt>(b - a));
    }
    return is_del ? fmt::format("timer of fd {} deleted", fd) : std::string();
}

class Builder {
public:
    Builder(Turn& turn, pid_t thread) : turn_(turn), thread_(thread) {}

    void take_line(const Line& line, std::string_view text)
    {
        if (line.is_timeout) {
            turn_.timeout = line.timeout;
        } else if (line.thread != thread_ || line.level != log_debug_level) {
            note(line, other_text(line, text));
        } else if (!loop_line(line, text) && !event_line(line, without_connection(text))) {
            const std::string timer = timer_text(without_connection(text));
            note(line, timer.empty() ? std::string(text) : timer);
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
    static std::string other_text(const Line& line, std::string_view text)
    {
        static constexpr std::array levels = {"",     "emerg",  "alert", "crit", "error",
                                              "warn", "notice", "info",  "debug"};
        return line.level == log_debug_level ? std::string(text)
                                             : fmt::format("[{}] {}", levels[line.level], text);
    }

    /// Handles the lines by which the loop reports its next step. Returns false for other lines.
    bool loop_line(const Line& line, std::string_view text)
    {
        if (waiting_) {
            waiting_ = false;
            phase(line.time, "dispatch");
        }
        if (text == "worker cycle") {
            turn_.begin = line.time;
            phase(line.time, "timers looked for");
        } else if (text.starts_with("accept mutex")) {
            mutex_line(line, text);
        } else if (text.starts_with("timer delta: ")) {
            dispatched_ = true;
            close(line.time);
        } else if (text == "worker cycle done") {
            close(line.time);
            turn_.end = line.time;
            phase(line.time, after_phase);
        } else {
            return wait_line(line, text);
        }
        return true;
    }

    void mutex_line(const Line& line, std::string_view text)
    {
        if (text == "accept mutex unlocked") {
            phase(line.time, "accept mutex released");
            return;
        }
        phase(line.time, mutex_phase);
        note(line, text == "accept mutex locked"                  ? "taken"
                   : text.starts_with("accept mutex lock failed") ? "not taken: another has it"
                                                                  : std::string(text));
    }

    /// Handles "epoll timer: 60000", which each poller logs right before it waits.
    bool wait_line(const Line& line, std::string_view text)
    {
        constexpr std::string_view mark = " timer: ";
        const std::size_t at = text.find(mark);
        if (dispatched_ || at == text.npos || text.substr(0, at).find(' ') != text.npos) {
            return false;
        }
        std::string_view rest = text.substr(at + mark.size());
        std::uint64_t timer = 0;
        if (!take_number(rest, timer) || !rest.empty()) {
            return false;
        }
        turn_.wait = timer;
        turn_.poller = text.substr(0, at);
        phase(line.time, "wait: " + turn_.poller);
        waiting_ = true;
        return true;
    }

    /// Handles the lines that contain the address of an event.
    bool event_line(const Line& line, std::string_view text)
    {
        if (!line.event.handler) {
            return false;
        }
        const std::string name = event_text(line.event);
        if (text.starts_with("dispatch event ")) {
            handler(line, name + " ready");
        } else if (text.starts_with("expired event ")) {
            phase(line.time, "expired timers");
            handler(line, name + " timed out");
        } else if (text.starts_with("posted event ")) {
            phase(line.time, line.event.accept ? accept_phase : "posted events");
            handler(line, name + " posted");
        } else if (text.starts_with("posted next event ")) {
            phase(line.time, "posted-next events");
            note(line, name + " is due now");
        } else if (text.starts_with("update posted event ")) {
            note(line, name + " is posted already");
        } else if (text.starts_with("post event ")) {
            note(line, name + " posted");
        } else if (text.starts_with("delete posted event ") && line.event.event != running_) {
            note(line, name + " is not posted any more");
        }
        return true;
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
    bool dispatched_ = false;
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

Turn make_turn(const Lines& lines, std::size_t number, pid_t thread, std::int64_t end)
{
    Turn turn{.number = number, .lost = lines.lost};
    turn.begin = lines.lines.empty() ? end : lines.lines.front().time;
    Builder builder(turn, thread);
    for (const Line& line : lines.lines) {
        builder.take_line(line, lines.text(line));
    }
    builder.finish(end);
    return turn;
}

}  // namespace ngx::trace
