#pragma once

#include <string>
#include <vector>

namespace ngx::contract {

/// Returns the state of the process that an event module might change: blocked, ignored and handled
/// signals, timers, threads. A line for each that differs from the default.
std::vector<std::string> process_state();

/// Returns the flags of a descriptor, its owner and its signal.
std::string descriptor_state(int fd);

/// Whether signals that a descriptor sends go to this thread only. True if it sends none.
bool signals_this_thread_only(int fd);

}  // namespace ngx::contract
