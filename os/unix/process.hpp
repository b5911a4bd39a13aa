#pragma once

#include <array>
#include <csignal>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "core/core.hpp"

namespace ngx {

/// What this process is.
///
/// nginx: NGX_PROCESS_SINGLE and the others
enum class Process { single, master, signaller, worker, helper };

extern Process process;
extern pid_t pid;
extern pid_t parent;

/// The command line: a copy, for a new binary, and the original, which titles are written over.
extern std::vector<std::string> argv;
extern char** os_argv;

inline constexpr pid_t invalid_pid = -1;

/// The exit status of a process that could not start.
inline constexpr int exit_fatal = 2;

/// The last generation of which all workers have served. A later one whose worker exits with
/// exit_fatal would not start a second time.
extern std::size_t served_generation;

/// What a child runs. If it returns, or throws, the child ends with exit_fatal.
using SpawnProc = void (*)(Cycle& cycle, void* data);

/// One child. Every process has the table, as it was when it was forked and as channel messages
/// have changed it since; a slot is the same child in each.
///
/// nginx: ngx_process_t
struct ProcessSlot {
    pid_t pid = invalid_pid;  // -1 in a free slot
    int status = 0;
    int channel[2] = {-1, -1};  // the others write to the first, the child reads the second

    SpawnProc proc = nullptr;
    void* data = nullptr;
    const char* name = nullptr;
    std::size_t generation = 0;  // of the configuration that it was started with

    Msec started = 0;     // when it was forked, by monotonic_time()
    Msec pause = 0;       // before it is started again, growing with each early end
    Msec respawn_at = 0;  // one that has ended: when it is started again, or 0

    unsigned respawn : 1 = 0;     // start it again when it ends
    unsigned just_spawn : 1 = 0;  // the next command is for those before it
    unsigned detached : 1 = 0;    // no channel, and it may outlive this process
    unsigned exiting : 1 = 0;     // it was told to end
    unsigned exited : 1 = 0;      // it has ended and was not yet dealt with
};

inline constexpr int max_processes = 1024;

/// How spawn_process() is to treat the child; a number from 0 on is a slot in which to start it
/// again as it was.
inline constexpr int process_norespawn = -1;
inline constexpr int process_just_spawn = -2;
inline constexpr int process_respawn = -3;
inline constexpr int process_just_respawn = -4;
inline constexpr int process_detached = -5;

extern std::array<ProcessSlot, max_processes> processes;
extern int process_slot;  // this process's own slot, and in the master the last child's
extern int channel;       // this process's end of its channel
extern int last_process;  // the slots in use lie before it

inline ProcessSlot& slot_at(int i) noexcept
{
    return processes[static_cast<std::size_t>(i)];
}

/// Forks a child that runs `proc(cycle, data)`, in a free slot of `processes` or in the one that
/// `respawn` names. Returns its id, or invalid_pid after a log line.
///
/// nginx: ngx_spawn_process()
pid_t spawn_process(Cycle& cycle, SpawnProc proc, void* data, const char* name, int respawn);

/// A program to run in place of a child.
///
/// nginx: ngx_exec_ctx_t
struct ExecCtx {
    std::string path;
    const char* name;
    std::vector<char*> argv;  // both end in a null pointer
    std::vector<char*> envp;
};

/// Ends a child.
///
/// Differs from nginx: destructors of static objects, and what atexit() was given, are the first
/// process's and not run; nginx calls exit(). Under AddressSanitizer they are, for its report of
/// leaks is among them.
[[noreturn]] void exit_child(int status) noexcept;

/// Starts a program as a detached child. Whether it could be executed, only its log line tells.
///
/// nginx: ngx_execute()
pid_t execute(Cycle& cycle, ExecCtx& ctx);

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
