#include "os/unix/process.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/log.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "os/unix/channel.hpp"
#include "os/unix/process_state.hpp"

namespace ngx {

namespace {

void signal_handler(int signo, siginfo_t* siginfo, void* ucontext);

/// A signal, its name in the log, and its name for -s. A signal without a handler is ignored.
///
/// nginx: ngx_signal_t
struct Signal {
    int signo;
    std::string_view signame;
    std::string_view name;
    void (*handler)(int signo, siginfo_t* siginfo, void* ucontext);
};

constexpr std::array<Signal, 12> signals = {{
    {SIGHUP, "SIGHUP", "reload", signal_handler},
    {SIGUSR1, "SIGUSR1", "reopen", signal_handler},
    {SIGWINCH, "SIGWINCH", "", signal_handler},
    {SIGTERM, "SIGTERM", "stop", signal_handler},
    {SIGQUIT, "SIGQUIT", "quit", signal_handler},
    {SIGUSR2, "SIGUSR2", "", signal_handler},
    {SIGALRM, "SIGALRM", "", signal_handler},
    {SIGINT, "SIGINT", "", signal_handler},
    {SIGIO, "SIGIO", "", signal_handler},
    {SIGCHLD, "SIGCHLD", "", signal_handler},
    {SIGSYS, "SIGSYS, SIG_IGN", "", nullptr},
    {SIGPIPE, "SIGPIPE, SIG_IGN", "", nullptr},
}};

/// Sets the flag for a signal in a master, or in a process without a master. Returns a note for the
/// log line.
std::string_view note_for_master(int signo, bool& refused) noexcept
{
    switch (signo) {
    case SIGQUIT:
        quit = 1;
        return ", shutting down";
    case SIGTERM:
    case SIGINT:
        terminate = 1;
        return ", exiting";
    case SIGWINCH:
        if (!daemonized) {
            return {};
        }
        noaccept = 1;
        return ", stop accepting connections";
    case SIGHUP:
        reconfigure = 1;
        return ", reconfiguring";
    case SIGUSR1:
        reopen = 1;
        return ", reopening logs";
    case SIGUSR2:
        // A third process is refused if this one was started by a running process or has started a
        // new binary.
        if (::getppid() == parent || new_binary > 0) {
            refused = true;
            return ", ignoring";
        }
        change_binary = 1;
        return ", changing binary";
    case SIGALRM:
        sigalrm = 1;
        return {};
    case SIGIO:
        sigio = 1;
        return {};
    case SIGCHLD:
        reap = 1;
        return {};
    default:
        return {};
    }
}

/// Sets the flag for a signal in a worker. Returns a note for the log line.
std::string_view note_for_worker(int signo) noexcept
{
    switch (signo) {
    case SIGWINCH:
        if (!daemonized) {
            return {};
        }
        debug_quit = 1;
        [[fallthrough]];
    case SIGQUIT:
        quit = 1;
        return ", shutting down";
    case SIGTERM:
    case SIGINT:
        terminate = 1;
        return ", exiting";
    case SIGUSR1:
        reopen = 1;
        return ", reopening logs";
    case SIGHUP:
    case SIGUSR2:
    case SIGIO:
        return ", ignoring";
    default:
        return {};
    }
}

/// Releases the mutexes of a process that died while it held them.
///
/// nginx: ngx_unlock_mutexes()
void unlock_mutexes(pid_t holder) noexcept
{
    if (accept_mutex_ptr) {
        (void)shmtx_force_unlock(accept_mutex, holder);
    }
    for (ShmZone& zone : ngx_cycle->shared_memory) {
        if (zone.pool && shmtx_force_unlock(zone.pool->mutex, holder)) {
            log_error(log_alert, ngx_cycle->log, 0, "shared memory zone \"{}\" was locked by {}",
                      zone.shm.name, holder);
        }
    }
}

/// Records and logs how a child has exited.
///
/// Differs from nginx: a worker that cannot start is given up only if its configuration has never
/// served; otherwise what it needs, such as memory or descriptors, may be available again soon.
/// nginx continues with one worker less.
void note_exit(pid_t child, int status) noexcept
{
    ProcessSlot unknown{.name = "unknown process"};
    ProcessSlot* slot = &unknown;
    for (int i = 0; i < last_process; i++) {
        ProcessSlot& p = slot_at(i);
        slot = p.pid == child ? &p : slot;
    }
    slot->status = status;
    slot->exited = 1;

    if (WIFSIGNALED(status)) {
        log_error(log_alert, ngx_cycle->log, 0, "{} {} exited on signal {}{}", slot->name, child,
                  WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
    } else {
        log_error(log_notice, ngx_cycle->log, 0, "{} {} exited with code {}", slot->name, child,
                  WEXITSTATUS(status));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == exit_fatal && slot->respawn &&
        slot->generation > served_generation) {
        log_error(log_alert, ngx_cycle->log, 0,
                  "{} {} exited with fatal code {} and cannot be respawned", slot->name, child,
                  WEXITSTATUS(status));
        slot->respawn = 0;
    }
    unlock_mutexes(child);
}

/// Collects every child that has exited: one signal may stand for several children.
///
/// nginx: ngx_process_get_status()
void process_get_status() noexcept
{
    bool one = false;
    for (;;) {
        int status = 0;
        const pid_t child = ::waitpid(-1, &status, WNOHANG);
        if (child == 0) {
            return;
        }
        if (child == -1) {
            const Err err = errno;
            if (err == EINTR) {
                continue;
            }
            // The children of later signals may have been collected already.
            if (err != ECHILD || !one) {
                log_error(err == ECHILD ? log_info : log_alert, ngx_cycle->log, err,
                          "waitpid() failed");
            }
            return;
        }
        one = true;
        note_exit(child, status);
    }
}

/// Only records the signal and logs it. The loop handles it.
///
/// nginx: ngx_signal_handler()
void signal_handler(int signo, siginfo_t* siginfo, void*)
{
    const Err err = errno;

    std::string_view signame;
    for (const Signal& sig : signals) {
        signame = sig.signo == signo ? sig.signame : signame;
    }

    time_sigsafe_update();
    bool refused = false;
    const std::string_view action =
        process <= Process::master ? note_for_master(signo, refused) : note_for_worker(signo);
    wake_up();

    if (siginfo && siginfo->si_pid != 0) {
        log_error(log_notice, ngx_cycle->log, 0, "signal {} ({}) received from {}{}", signo,
                  signame, siginfo->si_pid, action);
    } else {
        log_error(log_notice, ngx_cycle->log, 0, "signal {} ({}) received{}", signo, signame,
                  action);
    }
    if (refused) {
        log_error(log_crit, ngx_cycle->log, 0,
                  "the changing binary signal is ignored: you should shutdown or terminate before "
                  "either old or new binary's process");
    }
    if (signo == SIGCHLD) {
        process_get_status();
    }
    errno = err;
}

int install(const Signal& sig) noexcept
{
    struct sigaction sa {};
    sigemptyset(&sa.sa_mask);
    sa.sa_handler = SIG_IGN;
    if (sig.handler) {
        sa.sa_flags = SA_SIGINFO;
        sa.sa_sigaction = sig.handler;
    }
    return ::sigaction(sig.signo, &sa, nullptr);
}

}  // namespace

std::size_t served_generation;

std::vector<std::string> argv;
char** os_argv;

std::array<ProcessSlot, max_processes> processes;
int process_slot;
int channel = -1;
int last_process;
int signal_fd = -1;

void wake_up() noexcept
{
    if (signal_fd != -1) {
        constexpr std::uint64_t one = 1;
        // A full counter wakes the loop as well.
        [[maybe_unused]] const ssize_t n = ::write(signal_fd, &one, sizeof(one));
    }
}

namespace {

/// Creates a socket pair between the new child and all other processes. SIGIO notifies the master
/// when a child closes its end.
Rc open_channel(ProcessSlot& slot, const char* name, Log* log) noexcept
{
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, slot.channel) == -1) {
        log_error(log_alert, log, errno, "socketpair() failed while spawning \"{}\"", name);
        return Rc::error;
    }
    log_debug(log_debug_core, log, 0, "channel {}:{}", slot.channel[0], slot.channel[1]);

    int on = 1;
    if (::ioctl(slot.channel[0], FIOASYNC, &on) == -1) {
        log_error(log_alert, log, errno, "ioctl(FIOASYNC) failed while spawning \"{}\"", name);
    } else if (::fcntl(slot.channel[0], F_SETOWN, pid) == -1) {
        log_error(log_alert, log, errno, "fcntl(F_SETOWN) failed while spawning \"{}\"", name);
    } else {
        return Rc::ok;
    }
    close_channel(slot.channel, log);
    return Rc::error;
}

/// Returns a free slot for a new child, or -1 after logging.
int free_slot(Log* log) noexcept
{
    int s = 0;
    while (s < last_process && slot_at(s).pid != invalid_pid) {
        s++;
    }
    if (s == max_processes) {
        log_error(log_alert, log, 0, "no more than {} processes can be spawned", max_processes);
        return -1;
    }
    return s;
}

/// Runs the child. An exception does not reach the functions that called fork().
[[noreturn]] void run_child(Cycle& cycle, SpawnProc proc, void* data) noexcept
{
    parent = pid;
    pid = ::getpid();
    log_pid = pid;
    (void)no_throw(cycle.log, [&] {
        proc(cycle, data);
        return Rc::ok;
    });
    exit_child(exit_fatal);
}

void describe(ProcessSlot& slot, int respawn) noexcept
{
    slot.exiting = 0;
    slot.pause = 0;
    slot.respawn = respawn == process_respawn || respawn == process_just_respawn;
    slot.just_spawn = respawn == process_just_spawn || respawn == process_just_respawn;
    slot.detached = respawn == process_detached;
}

}  // namespace

void exit_child(int status) noexcept
{
    if constexpr (have_asan) {
        std::exit(status);
    }
    ::_exit(status);
}

pid_t spawn_process(Cycle& cycle, SpawnProc proc, void* data, const char* name, int respawn)
{
    assert(proc && name);
    assert(respawn < last_process);
    const int s = respawn >= 0 ? respawn : free_slot(cycle.log);
    if (s == -1) {
        return invalid_pid;
    }
    ProcessSlot& slot = slot_at(s);

    if (respawn == process_detached) {
        slot.channel[0] = slot.channel[1] = -1;
    } else if (open_channel(slot, name, cycle.log) != Rc::ok) {
        return invalid_pid;
    }
    channel = slot.channel[1];
    process_slot = s;

    const pid_t child = ::fork();
    switch (child) {
    case -1:
        log_error(log_alert, cycle.log, errno, "fork() failed while spawning \"{}\"", name);
        if (respawn != process_detached) {
            close_channel(slot.channel, cycle.log);
        }
        return invalid_pid;
    case 0:
        run_child(cycle, proc, data);
    default:
        break;
    }

    log_error(log_notice, cycle.log, 0, "start {} {}", name, child);
    slot.pid = child;
    slot.exited = 0;
    slot.generation = cycle.generation;
    slot.started = monotonic_time();
    slot.respawn_at = 0;
    if (respawn >= 0) {
        return child;
    }

    slot.proc = proc;
    slot.data = data;
    slot.name = name;
    describe(slot, respawn);
    last_process = std::max(last_process, s + 1);
    assert(last_process <= max_processes);
    return child;
}

namespace {

/// Executes the program of an ExecCtx.
///
/// Differs from nginx: the signals that the master blocks between its waits are unblocked for the
/// program, as one that is not a master would never receive them.
///
/// nginx: ngx_execute_proc()
[[noreturn]] void execute_proc(Cycle& cycle, void* data)
{
    const auto& ctx = *static_cast<ExecCtx*>(data);
    sigset_t none;
    sigemptyset(&none);
    (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(ctx.path.c_str(), ctx.argv.data(), ctx.envp.data());
    log_error(log_alert, cycle.log, errno, "execve() failed while executing {} \"{}\"", ctx.name,
              ctx.path);
    // Not exit(): the exit handlers belong to the master.
    ::_exit(1);
}

}  // namespace

pid_t execute(Cycle& cycle, ExecCtx& ctx)
{
    return spawn_process(cycle, execute_proc, &ctx, ctx.name, process_detached);
}

Rc init_signals(Log* log)
{
    for (const Signal& sig : signals) {
        if (install(sig) == -1) {
            log_error(log_emerg, log, errno, "sigaction({}) failed", sig.signame);
            return Rc::error;
        }
    }
    return Rc::ok;
}

int os_signal_process(Cycle& cycle, std::string_view name, pid_t to)
{
    for (const Signal& sig : signals) {
        if (sig.name != name) {
            continue;
        }
        if (::kill(to, sig.signo) != -1) {
            return 0;
        }
        log_error(log_alert, cycle.log, errno, "kill({}, {}) failed", to, sig.signo);
    }
    return 1;
}

void debug_point() noexcept
{
    switch (*get_conf<CoreConf>(ngx_cycle->conf_ctx)->debug_points) {
    case DebugPoints::off:
        break;
    case DebugPoints::stop:
        ::raise(SIGSTOP);
        break;
    case DebugPoints::abort:
        std::abort();
    }
}

}  // namespace ngx
