#pragma once

#include "core/core.hpp"
#include "os/unix/process_state.hpp"

namespace ngx {

/// Runs the master: starts the workers, then handles signals and restarts workers that have died,
/// until it exits.
///
/// nginx: ngx_master_process_cycle()
[[noreturn]] void master_process_cycle(Cycle* cycle);

/// Runs the whole server in this process: initializes every module, then runs the loop and handles
/// signals until it exits.
///
/// nginx: ngx_single_process_cycle()
[[noreturn]] void single_process_cycle(Cycle* cycle);

}  // namespace ngx
