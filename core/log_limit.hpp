#pragma once

#include <bitset>

#include "core/log.hpp"

namespace ngx {

/// Limits the log lines of one place in the code, at which a call may fail again and again: the
/// first failure with an errno is logged at once, and then one a second. The next line tells how
/// many were left out. A static object of each process; only the loop's thread uses it.
///
/// Differs from nginx: nginx logs each failure, and an accept() or a wait that fails for ever fills
/// the disk at 5 to 90 MB in a few seconds. The cost is that of failures alone: their lines do not
/// show at what time each one happened, and the number of failures after the last line is in the
/// next line.
struct LogLimit {
    Msec since = 0;             // the start of the current second
    std::bitset<134> logged{};  // the errnos that have had their line in it
    std::size_t left_out = 0;   // lines since the last one
    unsigned round = 0;         // of log_limits_reset()
};

/// Makes each limit start again, so that the next failure is logged at once. Called when a process
/// begins to serve a cycle.
void log_limits_reset() noexcept;

/// Like log_error_core(), within the limit.
void log_limited_core(LogLimit& limit, unsigned level, Log* log, Err err, fmt::string_view format,
                      fmt::format_args args) noexcept;

/// Like log_error(), within the limit. Only the loop's thread may call it.
template <typename... Args>
void log_limited(LogLimit& limit, unsigned level, Log* log, Err err,
                 fmt::format_string<Args...> format, const Args&... args) noexcept
{
    if (log->log_level >= level) {
        log_limited_core(limit, level, log, err, format, fmt::make_format_args(args...));
    }
}

}  // namespace ngx
