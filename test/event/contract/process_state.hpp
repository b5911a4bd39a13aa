#pragma once

#include <string>
#include <vector>

namespace ngx::contract {

/// What an event module might change in its process and leave so: which signals are blocked,
/// ignored or handled, timers, threads. A line for each that is not as by default.
std::vector<std::string> process_state();

/// What a descriptor does by itself: its flags, and whom it signals with what.
std::string descriptor_state(int fd);

/// Whether signals that a descriptor sends go to this thread alone. True if it sends none.
bool signals_this_thread_only(int fd);

}  // namespace ngx::contract
