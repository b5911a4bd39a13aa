#pragma once

#include <sched.h>
#include <string_view>
#include <sys/types.h>

#include "core/core.hpp"

namespace ngx {

/// The server, from its command line to its exit status. It stands apart from the program's
/// main() so that a test program can be linked with everything else.
///
/// nginx: main()
int main(int argc, char** words) noexcept;

/// Where a configuration and what it names are looked for: the prefix gets its last slash,
/// `conf_file` starts there, and what that file includes lies beside it.
void set_paths(Cycle& cycle, std::string_view prefix, std::string_view conf_file);

/// Makes the environment of this process what the `env` directives ask for: TZ and the named
/// variables, nothing else.
///
/// nginx: ngx_set_environment()
void set_environment(Cycle& cycle);

/// The mask of a worker's processors, or null when it may run on any. With `auto` each worker gets
/// one processor of the mask in turn; with masks the last one is for all workers that are left.
///
/// nginx: ngx_get_cpu_affinity()
const cpu_set_t* get_cpu_affinity(const Cycle& cycle, std::size_t n);

/// Starts the program file again, with the same command line and with the listening sockets, whose
/// numbers are in the variable NGINX of its environment. The pid file of this process gets the
/// suffix .oldbin. Returns the new process, or invalid_pid after a log line.
///
/// nginx: ngx_exec_new_binary()
pid_t exec_new_binary(Cycle& cycle);

}  // namespace ngx
