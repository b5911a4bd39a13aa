#pragma once

#include <string>

#include "core/core.hpp"

namespace ngx {

/// How many processors this process may use, and what says so.
struct CpuCount {
    int n = 1;
    std::string limited_by{};  // empty when it may use all that there are
};

/// The least of: the processors of the machine, those of the affinity mask, and what the quota of
/// the process's cgroup (version 1 or 2) and of those above it comes to, rounded up. `root` stands
/// before /proc and /sys, for tests.
///
/// Differs from nginx: `worker_processes auto` counts these; nginx counts the machine's, and in a
/// container with half a processor starts as many workers as the machine has processors.
CpuCount count_cpus(const std::string& root = "");

}  // namespace ngx
