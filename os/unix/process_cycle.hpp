#pragma once

#include <csignal>
#include <sys/types.h>

#include "core/core.hpp"

namespace ngx {

/// Set by signals and by the master's messages, seen by the loop at the end of its turn.
extern volatile std::sig_atomic_t reap;
extern volatile std::sig_atomic_t sigio;
extern volatile std::sig_atomic_t sigalrm;
extern volatile std::sig_atomic_t terminate;
extern volatile std::sig_atomic_t quit;
extern volatile std::sig_atomic_t debug_quit;
extern volatile std::sig_atomic_t reconfigure;
extern volatile std::sig_atomic_t reopen;
extern volatile std::sig_atomic_t change_binary;
extern volatile std::sig_atomic_t noaccept;

/// The loop is only waiting for its connections to end.
extern bool exiting;

/// This process was started by an older one, whose sockets it has.
extern bool inherited;

/// This process is no child of the terminal's: it was forked by daemon(), or inherited.
extern bool daemonized;

/// The workers have been told to accept no more, because a new binary does.
extern bool noaccepting;

/// The process of a new binary, or 0.
extern pid_t new_binary;

/// Which of the workers this one is: its reuseport sockets are those with this number.
extern std::size_t ngx_worker;

/// Whether this is the last server that has a listener's socket: not a worker, not a master whose
/// new binary goes on, nor a new binary whose master is still there.
bool owns_socket(const Listening& ls) noexcept;

/// Lets the loop's next wait, or the one it is in, end at once. For signal handlers.
void wake_up() noexcept;

/// The master: starts the workers, then obeys signals, and starts workers that died again, until it
/// exits.
///
/// nginx: ngx_master_process_cycle()
[[noreturn]] void master_process_cycle(Cycle* cycle);

/// The whole server in this process: initialises every module, then turns the loop and obeys the
/// signals until it exits.
///
/// nginx: ngx_single_process_cycle()
[[noreturn]] void single_process_cycle(Cycle* cycle);

}  // namespace ngx
