#pragma once

/// \file
/// A turn of the loop, made of the lines that were logged in it.

#include <optional>
#include <string>
#include <vector>

#include "tools/trace/lines.hpp"

namespace ngx::trace {

/// What a record is, and with that how deep it stands: a phase is of the turn, a handler of a
/// phase, a note of whatever runs.
enum class Kind { phase, handler, note };

struct Record {
    Kind kind = Kind::note;
    std::int64_t begin = 0;
    std::int64_t end = 0;  // as begin, of a note
    std::size_t depth = 0;
    pid_t thread = 0;
    std::string text{};
    EventInfo event{};  // of a handler
};

/// The turn, or without a number what has been done before the first one.
struct Turn {
    std::size_t number = 0;
    std::int64_t begin = 0;
    std::int64_t end = 0;  // the work after it, such as a reload, is not of it but of `records`
    Timeout timeout{};
    std::optional<Msec> wait{};  // that the poller was asked for
    std::string poller{};
    std::vector<Record> records{};  // in the order of their begins
    std::size_t lost = 0;
};

/// The lines are those from one "worker cycle" to the next, which is at `end`. `thread` is the
/// loop's.
Turn make_turn(const Lines& lines, std::size_t number, pid_t thread, std::int64_t end);

/// "fd 9 write"; "no fd" for an event that has none.
std::string event_text(const EventInfo& event);

/// Why the turn waits for as long as it does.
std::string reason_text(const Turn& turn);

}  // namespace ngx::trace
