#pragma once

#include <csignal>
#include <sys/types.h>

#include "core/core.hpp"

namespace ngx {

/// Flags that signals and the master's messages set. The loop checks them at the end of its turn.
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

/// True if the loop only waits until its connections are closed.
extern bool exiting;

/// True if an older process has started this one and passed on its sockets.
extern bool inherited;

/// True if this process has no terminal: daemon() forked it, or it is `inherited`.
extern bool daemonized;

/// True if the workers were told to stop accepting because a new binary accepts.
extern bool noaccepting;

/// The process id of a new binary, or 0.
extern pid_t new_binary;

/// The number of this worker. It uses the reuseport sockets with this number.
extern std::size_t ngx_worker;

/// Tells whether this process is the last server that has the listener's socket. That is false for
/// a worker, for a master whose new binary runs, and for a new binary whose old master still runs;
/// also for a socket from systemd.
bool owns_socket(const Listening& ls) noexcept;

/// Ends the loop's current or next wait at once. Safe in a signal handler.
void wake_up() noexcept;

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
