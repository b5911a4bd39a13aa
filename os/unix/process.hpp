#pragma once

#include <array>
#include <cassert>
#include <csignal>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "core/core.hpp"
#include "os/unix/process_state.hpp"

namespace ngx {

/// The command line: a copy, for a new binary, and the original, which titles overwrite.
///
/// nginx: ngx_argv, ngx_os_argv
extern std::vector<std::string> argv;
extern char** os_argv;

/// The exit status of a process that could not start.
inline constexpr int exit_fatal = 2;

/// The last generation whose workers have all served. A worker of a later one that exits with
/// exit_fatal is not started again.
extern std::size_t served_generation;

/// The main function of a child. The child exits with exit_fatal if it returns or throws.
///
/// nginx: ngx_spawn_proc_pt
using SpawnProc = void (*)(Cycle& cycle, void* data);

/// One child. Every process has the table as of its fork, updated by channel messages; a slot is
/// the same child in every process. A slot owns its channel. Only the process's main thread and its
/// signal handlers use the table.
///
/// nginx: ngx_process_t
struct ProcessSlot {
    pid_t pid = invalid_pid;  // -1 in a free slot
    int status = 0;
    int channel[2] = {-1, -1};  // others write to the first, the child reads the second

    SpawnProc proc = nullptr;
    void* data = nullptr;
    const char* name = nullptr;
    std::size_t generation = 0;  // the generation that it was started with

    Msec started = 0;     // the time of its fork, by monotonic_time()
    Msec pause = 0;       // ms before it is started again; grows with each early exit
    Msec respawn_at = 0;  // when an exited child is started again, or 0

    unsigned respawn : 1 = 0;     // start it again if it exits
    unsigned just_spawn : 1 = 0;  // skip it for the next command
    unsigned detached : 1 = 0;    // has no channel, may outlive this process
    unsigned exiting : 1 = 0;     // was told to exit
    unsigned exited : 1 = 0;      // has exited and is not handled yet
};

/// nginx: NGX_MAX_PROCESSES
inline constexpr int max_processes = 1024;

/// The kind of a child for spawn_process(). A number from 0 on is the slot of a child that is
/// started again.
///
/// nginx: NGX_PROCESS_NORESPAWN, NGX_PROCESS_JUST_SPAWN, NGX_PROCESS_RESPAWN,
/// NGX_PROCESS_JUST_RESPAWN, NGX_PROCESS_DETACHED
inline constexpr int process_norespawn = -1;
inline constexpr int process_just_spawn = -2;
inline constexpr int process_respawn = -3;
inline constexpr int process_just_respawn = -4;
inline constexpr int process_detached = -5;

/// The table of children, and the place of this process in it.
///
/// nginx: ngx_processes, ngx_process_slot, ngx_channel, ngx_last_process
extern std::array<ProcessSlot, max_processes> processes;
extern int process_slot;  // this process's slot; in the master the last child's
extern int channel;       // this process's end of its channel
extern int last_process;  // one more than the last slot in use

/// Returns the slot with the number `i` in `processes`.
inline ProcessSlot& slot_at(int i) noexcept
{
    assert(i >= 0 && i < max_processes);
    return processes[static_cast<std::size_t>(i)];
}

/// Forks a child that runs `proc(cycle, data)`, in a free slot of `processes` or in the slot
/// `respawn`. `data` and `name` must live as long as the slot. Returns the child's id, or
/// invalid_pid after logging.
///
/// nginx: ngx_spawn_process()
pid_t spawn_process(Cycle& cycle, SpawnProc proc, void* data, const char* name, int respawn);

/// A program that a child executes.
///
/// nginx: ngx_exec_ctx_t
struct ExecCtx {
    std::string path;
    const char* name;
    std::vector<char*> argv;  // both end in a null pointer
    std::vector<char*> envp;
};

/// Exits a child.
///
/// Differs from nginx: destructors of static objects and handlers of atexit() belong to the first
/// process and are not run; nginx calls exit(). They are run under AddressSanitizer, because its
/// report of leaks is one of them.
[[noreturn]] void exit_child(int status) noexcept;

/// Starts a program as a detached child. Returns its id, or invalid_pid after logging. A failed
/// execve() is only logged by the child.
///
/// nginx: ngx_execute()
pid_t execute(Cycle& cycle, ExecCtx& ctx);

/// The descriptor by which wake_up() ends the wait of the loop; -1 in a process without a loop.
extern int signal_fd;

/// Ends the loop's current or next wait at once. Safe in a signal handler.
void wake_up() noexcept;

/// Installs the handlers of the signals that control the server; ignores SIGSYS and SIGPIPE.
/// Returns error after logging.
///
/// nginx: ngx_init_signals()
Rc init_signals(Log* log);

/// Sends the signal that -s calls `name` to the process `to`. Returns the exit status.
///
/// nginx: ngx_os_signal_process()
int os_signal_process(Cycle& cycle, std::string_view name, pid_t to);

/// Stops or aborts the process, if debug_points says so. Called where an impossible state is found.
///
/// nginx: ngx_debug_point()
void debug_point() noexcept;

}  // namespace ngx
