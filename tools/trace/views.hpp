#pragma once

/// \file
/// A turn, as somebody reads it and as Perfetto does.

#include <string>

#include "tools/trace/turn.hpp"

namespace ngx::trace {

/// Who has turned: where there are workers, `worker` is the number of one.
struct Who {
    pid_t pid = 0;
    std::optional<std::size_t> worker{};
};

/// A line for the turn, and one for each record, with times in ms since the turn's begin. `start`
/// is when the trace began.
std::string turn_text(const Turn& turn, const Who& who, std::int64_t start);

/// The turn's events of the Trace Event Format, each after ",\n".
std::string turn_chrome(const Turn& turn, const Who& who);

/// The event that names a process, alone.
std::string process_chrome(const Who& who, const std::string& name);

}  // namespace ngx::trace
