#pragma once

#include <csignal>

#include "core/core.hpp"

namespace ngx {

/// Set by signals, seen by the loop at the end of its turn.
extern volatile std::sig_atomic_t terminate;
extern volatile std::sig_atomic_t quit;
extern volatile std::sig_atomic_t reconfigure;
extern volatile std::sig_atomic_t reopen;

/// The loop is only waiting for its connections to end.
extern bool exiting;

/// Lets the loop's next wait, or the one it is in, end at once. For signal handlers.
void wake_up() noexcept;

/// The whole server in this process: initialises every module, then turns the loop and obeys the
/// signals until it exits.
///
/// nginx: ngx_single_process_cycle()
[[noreturn]] void single_process_cycle(Cycle* cycle);

}  // namespace ngx
