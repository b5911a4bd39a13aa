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

/// Makes one turn of the loop, as process_events_and_timers() does, without waiting: handles what
/// is ready and due now. Returns cycle_is_alive(). A handler must not call it.
bool process_events_without_waiting(Cycle& cycle) noexcept;

/// Whether a turn of the loop can still have something to do: a connection is in use, of this cycle
/// or of one before (a listener and an open EventWaker have one as well), a timer is set that is
/// not `cancelable`, or an event is posted for the next turn. It does not know of a task that a
/// pool of threads works on.
bool cycle_is_alive(const Cycle& cycle) noexcept;

/// Ends all cycles: calls exit_process of the modules, closes connections and listeners, empties
/// timers and queues, calls done of the poller and frees the cycles. The program must first close
/// what it has opened itself, such as an EventWaker.
void stop_cycle(Cycle& cycle);

}  // namespace ngx
