#pragma once

/// \file
/// Writes a turn as text and as JSON for Perfetto.

#include <string>

#include "tools/trace/turn.hpp"

namespace ngx::trace {

/// The process of a turn. `worker` is its number if it is a worker.
struct Who {
    pid_t pid = 0;
    std::optional<std::size_t> worker{};
};

/// Returns a line for the turn and one for each record, whose times are in ms since the begin of
/// the turn. `start` is the begin of the trace.
std::string turn_text(const Turn& turn, const Who& who, std::int64_t start);

/// Returns the turn's events in the Trace Event Format, each after ",\n".
std::string turn_chrome(const Turn& turn, const Who& who);

/// Returns the event that names a process, without a ",\n" before it.
std::string process_chrome(const Who& who, const std::string& name);

}  // namespace ngx::trace
