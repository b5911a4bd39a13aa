#pragma once

/// \file
/// A turn of the loop, built from the lines that were recorded in it.

#include <optional>
#include <string>
#include <vector>

#include "tools/trace/lines.hpp"

namespace ngx::trace {

/// The kind of a record, which determines its depth: a phase is part of the turn, a handler part of
/// a phase, and a note part of the current handler or phase.
enum class Kind { phase, handler, note };

struct Record {
    Kind kind = Kind::note;
    std::int64_t begin = 0;
    std::int64_t end = 0;  // for a note: the same as begin
    std::size_t depth = 0;
    pid_t thread = 0;
    std::string text{};
    EventInfo event{};       // for a handler
    std::size_t events = 0;  // for the phase "dispatch": the number that the wait has returned
};

/// A turn. Number 0 is the time before the first turn.
struct Turn {
    std::size_t number = 0;
    std::int64_t begin = 0;
    std::int64_t end = 0;  // excludes the work after the turn, which `records` includes
    std::string_view poller{};
    Timeout timeout{};
    std::optional<Msec> wait{};     // the timeout passed to the poller
    std::vector<Record> records{};  // sorted by `begin`
    std::size_t lost = 0;
};

/// Builds a turn from the lines between two facts turn_begin, the second of which was reported at
/// `end`. `thread` is the loop's thread, `poller` the name of its poller, which the caller keeps.
Turn make_turn(const Lines& lines, std::size_t number, pid_t thread, std::string_view poller,
               std::int64_t end);

/// Returns "fd 9 write", or "no fd" for an event without a descriptor.
std::string event_text(const EventInfo& event);

/// Returns the reason for the timeout of the turn.
std::string reason_text(const Turn& turn);

}  // namespace ngx::trace
