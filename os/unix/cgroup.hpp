#pragma once

#include <cstdint>
#include <string>

/// The part of the machine that this process may use; in a container it may be less than all of it.
namespace ngx {

/// An amount, and the limit that determines it.
struct Share {
    std::int64_t n = 0;
    std::string limited_by{};  // empty if only the machine limits it
};

/// Returns the number of processors: the minimum of the machine's, the affinity mask's, and the
/// quotas (rounded up) of the process's cgroup (version 1 or 2) and of those above it. `root` is a
/// prefix of /proc and /sys, for tests.
///
/// Differs from nginx: `worker_processes auto` counts these; nginx counts the machine's, and in a
/// container with half a processor starts as many workers as the machine has processors.
Share processor_share(const std::string& root = "");

/// Returns the bytes of memory in the same way; RLIMIT_AS is one of the limits.
Share memory_share(const std::string& root = "");

}  // namespace ngx
