#pragma once

#include <cstdint>
#include <string>

/// What this process may have of the machine: less than all of it in a container.
namespace ngx {

/// How much there is to be had, and which of the limits says so.
struct Share {
    std::int64_t n = 0;
    std::string limited_by{};  // empty when it is all that the machine has
};

/// The processors: the least of those of the machine, of the affinity mask, and of what the quota
/// of the process's cgroup (version 1 or 2) and of those above it comes to, rounded up. `root`
/// stands before /proc and /sys, for tests.
///
/// Differs from nginx: `worker_processes auto` counts these; nginx counts the machine's, and in a
/// container with half a processor starts as many workers as the machine has processors.
Share processor_share(const std::string& root = "");

/// The bytes of memory, likewise; RLIMIT_AS is one of the limits.
Share memory_share(const std::string& root = "");

}  // namespace ngx
