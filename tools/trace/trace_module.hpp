#pragma once

/// \file
/// What stands behind the log of the server, and what it does with what it hears.

#include <string>

#include "core/core.hpp"

namespace ngx::trace {

/// What is to be traced, and where to.
struct Settings {
    std::string json_file{};  // empty if none is to be written
    bool text = true;         // to standard output
    bool workers = false;     // leave the master, and trace its workers
    std::size_t turns = 0;    // then the server ends; 0 if it goes on
};

/// From now on every cycle of this process has the module that traces. To be called once, before
/// the server starts. Throws if the system does not let it.
void start(const Settings& settings);

}  // namespace ngx::trace
