#pragma once

#include "core/core.hpp"

/// \file
/// The server without its command line, signals and processes, for a program that runs the loop
/// itself. Only one cycle runs at a time, and one thread makes all calls. The program handles its
/// signals, and must ignore SIGPIPE.
namespace ngx {

/// Initializes the library. Call it first, and again only after stop_cycle(). Returns the initial
/// cycle, which logs to stderr, or null after logging. The program sets its conf_file or conf_text,
/// and may set prefix and conf_prefix; while these are empty, paths are relative to the working
/// directory.
Cycle* init_library();

/// Reads the configuration into a new cycle, which becomes ngx_cycle, and prepares its modules for
/// process_events_and_timers(). With the cycle of init_library() it is a start, with a running
/// cycle a reload. Returns null after logging if the configuration, or a module's init_module,
/// fails; the old cycle then goes on. A module whose init_process fails ends the process with
/// status 2, as in the server. A reload redirects descriptor 2 to the error log.
Cycle* start_cycle(Cycle& old);

/// Ends all cycles: calls exit_process of the modules, closes connections and listeners, empties
/// timers and queues, calls done of the poller and frees the cycles. The program must first close
/// what it has opened itself, such as an EventWaker.
void stop_cycle(Cycle& cycle);

}  // namespace ngx
