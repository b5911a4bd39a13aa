#pragma once

#include <csignal>
#include <string_view>
#include <sys/types.h>

#include "core/core.hpp"

namespace ngx {

/// What this process is.
///
/// nginx: NGX_PROCESS_SINGLE and the others
enum class Process { single, master, signaller, worker, helper };

extern Process process;
extern pid_t pid;
extern pid_t parent;

/// Handles the signals that steer the server; ignores SIGSYS and SIGPIPE.
///
/// nginx: ngx_init_signals()
Rc init_signals(Log* log);

/// Sends the signal that -s calls `name`; returns the exit status.
///
/// nginx: ngx_os_signal_process()
int os_signal_process(Cycle& cycle, std::string_view name, pid_t to);

/// Where something impossible was seen: stops or aborts as debug_points says.
///
/// nginx: ngx_debug_point()
void debug_point() noexcept;

}  // namespace ngx
