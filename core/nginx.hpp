#pragma once

#include <string_view>
#include <sys/types.h>

#include "core/core.hpp"

namespace ngx {

/// Runs the server from its command line to its exit status. It is separate from the program's
/// main() so that a test program can link everything else.
///
/// nginx: main()
int main(int argc, char** words) noexcept;

/// Sets the paths of a cycle: the prefix, which gets a trailing slash, `conf_file`, which is
/// relative to it, and the directory of `conf_file`, which included files are relative to.
void set_paths(Cycle& cycle, std::string_view prefix, std::string_view conf_file);

/// Executes the program file again, with the same command line and the listening sockets, whose
/// numbers are in the environment variable NGINX. Renames this process's pid file to the suffix
/// .oldbin. Returns the new process, or invalid_pid after logging.
///
/// nginx: ngx_exec_new_binary()
pid_t exec_new_binary(Cycle& cycle);

}  // namespace ngx
