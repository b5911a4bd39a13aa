#pragma once

#include <csignal>
#include <cstddef>
#include <sys/types.h>

namespace ngx {

/// The role of this process.
///
/// nginx: NGX_PROCESS_SINGLE, NGX_PROCESS_MASTER, NGX_PROCESS_SIGNALLER, NGX_PROCESS_WORKER,
/// NGX_PROCESS_HELPER
enum class Process { single, master, signaller, worker, helper };

/// This process: its role, its id, and the id of the process that has started it.
///
/// nginx: ngx_process, ngx_pid, ngx_parent
extern Process process;
extern pid_t pid;
extern pid_t parent;

/// nginx: NGX_INVALID_PID
inline constexpr pid_t invalid_pid = -1;

/// Flags that signals and the master's messages set. The loop checks them at the end of its turn.
///
/// nginx: ngx_reap, ngx_sigio, ngx_sigalrm, ngx_terminate, ngx_quit, ngx_debug_quit,
/// ngx_reconfigure, ngx_reopen, ngx_change_binary, ngx_noaccept
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
///
/// nginx: ngx_exiting
extern bool exiting;

/// True if an older process has started this one and passed on its sockets.
///
/// nginx: ngx_inherited
extern bool inherited;

/// True if this process has no terminal: daemon() forked it, or it is `inherited`.
///
/// nginx: ngx_daemonized
extern bool daemonized;

/// True if the workers were told to stop accepting because a new binary accepts.
extern bool noaccepting;

/// The process id of a new binary, or 0.
///
/// nginx: ngx_new_binary
extern pid_t new_binary;

/// The number of this worker. It uses the reuseport sockets with this number.
///
/// nginx: ngx_worker
extern std::size_t ngx_worker;

}  // namespace ngx
