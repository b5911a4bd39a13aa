#pragma once

#include "core/core.hpp"

/// \file
/// The server without its command line, its signals and its processes, for a program that runs the
/// loop itself. One cycle at a time, and all of it on one thread. The signals are the program's;
/// SIGPIPE has to be ignored.
namespace ngx {

/// Makes the library ready, before anything else; again only after stop_cycle(). Gives the cycle
/// before the first, which is to be told where its configuration is, conf_file or conf_text, and
/// prefix and conf_prefix, which are empty: paths start from the working directory. It logs to
/// stderr. Null after a log line.
Cycle* init_library();

/// Reads the configuration into a new cycle, which becomes ngx_cycle, and makes its modules ready
/// for process_events_and_timers(): with the cycle of init_library() a start, with one that runs a
/// reload. Null after a log line if the configuration is refused, as also init_module of a module
/// may do; then the old cycle goes on. What a module cannot start with in init_process ends the
/// process with status 2, as it ends the server. A reload points descriptor 2 at the error log.
Cycle* start_cycle(Cycle& old);

/// The end of all cycles: calls exit_process of the modules, closes connections and listeners,
/// empties timers and queues, calls done of the poller and frees the cycles. What the program has
/// opened itself, such as an EventWaker, it closes before.
void stop_cycle(Cycle& cycle);

}  // namespace ngx
