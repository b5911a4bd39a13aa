#pragma once

/// \file
/// The module that observes the loop, receives the server's log lines and writes the trace.

#include <string>

#include "core/core.hpp"

namespace ngx::trace {

/// Selects what is traced and where the trace is written.
struct Settings {
    std::string json_file{};  // empty: no file
    bool text = true;         // write text to standard output
    bool workers = false;     // run a master and trace its workers
    std::size_t turns = 0;    // stop the server after this number; 0: never
};

/// Adds the tracing module to every later cycle of this process. Called once, before the server
/// starts. Throws if a system call fails.
void start(const Settings& settings);

}  // namespace ngx::trace
