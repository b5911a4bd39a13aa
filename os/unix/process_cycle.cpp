#include "os/unix/process_cycle.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "core/core_module.hpp"
#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/log.hpp"
#include "core/log_limit.hpp"
#include "core/nginx.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "os/unix/channel.hpp"
#include "os/unix/daemon.hpp"
#include "os/unix/process.hpp"
#include "os/unix/setaffinity.hpp"
#include "os/unix/setproctitle.hpp"
#include "os/unix/systemd.hpp"

namespace ngx {

namespace {

constexpr uid_t no_user = static_cast<uid_t>(-1);

struct {
    LogLimit signal_failed{};

    int start_pipe[2] = {-1, -1};  // new workers report readiness to the master

    Msec reload_msec = 0;         // the start of the last reload, by monotonic_time()
    bool restart = false;         // start workers, as the new binary has exited
    std::int64_t sigio_left = 0;  // SIGIO signals to skip before the next TERM
} state;

[[noreturn]] void exit_process(int status)
{
    event_unlink_all();
    if (process == Process::worker) {
        exit_child(status);
    }
    std::exit(status);
}

void signal_fd_handler(Event& rev) noexcept
{
    std::uint64_t count = 0;
    if (::read(signal_fd, &count, sizeof(count)) == -1 && errno != EAGAIN) {
        log_limited(state.signal_failed, log_alert, rev.log, errno, "read() eventfd {} failed",
                    signal_fd);
    }
}

/// Creates the descriptor by which signals wake the loop.
///
/// Differs from nginx: a signal that arrives after the loop has checked the flags and before it
/// waits would be handled only after the next event, which may never come. nginx's workers get a
/// message on a channel, which wakes them; here a process without a master has its own
/// descriptor.
void init_signal_channel(Cycle& cycle)
{
    assert(signal_fd == -1);
    signal_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (signal_fd == -1) {
        log_error(log_alert, cycle.log, errno, "eventfd() failed");
        exit_process(exit_fatal);
    }
    if (add_channel_event(cycle, signal_fd, read_event, signal_fd_handler) != Rc::ok) {
        exit_process(exit_fatal);
    }
    wake_up();  // for a signal that arrived before there was a descriptor
}

/// Closes the old cycle's connection for the descriptor, and with it the descriptor.
void close_signal_channel(Cycle& old)
{
    for (Connection& c : connections_of(old)) {
        if (c.fd == signal_fd) {
            signal_fd = -1;
            close_connection(c);
            return;
        }
    }
}

void init_process(Cycle& cycle)
{
    const auto init = [&] {
        set_environment(cycle);
        return init_process_modules(cycle);
    };
    if (no_throw(cycle.log, init) != Rc::ok) {
        exit_process(exit_fatal);
    }
}

/// nginx: ngx_master_process_exit()
[[noreturn]] void master_process_exit(Cycle& cycle, int status = 0)
{
    delete_pidfile(cycle);
    if (new_binary != 0) {
        systemd_notify_pid("", new_binary, cycle.log);
    }
    log_error(log_notice, cycle.log, 0, "exit");

    for (const Module* module : modules_of(cycle)) {
        if (module->exit_master) {
            (void)no_throw(cycle.log, [&] {
                module->exit_master(cycle);
                return Rc::ok;
            });
        }
    }
    close_listening_sockets(cycle);
    exit_process(status);
}

[[noreturn]] void single_process_exit(Cycle& cycle)
{
    exit_process_modules(cycle);
    master_process_exit(cycle);
}

/// Reopens the logs. `user` becomes their owner, unless it is no_user.
void reopen_logs(Cycle& cycle, uid_t user)
{
    reopen = 0;
    log_error(log_notice, cycle.log, 0, "reopening logs");
    reopen_files(cycle, user);
}

/// Notifies systemd, unless a new binary continues the service.
void notify_stopping(Log* log)
{
    if (new_binary == 0) {
        systemd_notify("STOPPING=1", log);
    }
}

/// Starts a graceful shutdown: closes the listeners; the process exits when no timer is left that
/// holds a connection.
///
/// Differs from nginx: in nginx only a worker shuts down like this; a process without a master
/// exits at once on QUIT, as on TERM.
void start_quit(Cycle& cycle)
{
    quit = 0;
    log_error(log_notice, cycle.log, 0, "gracefully shutting down");
    if (exiting) {
        return;
    }
    exiting = true;
    if (process == Process::single) {
        notify_stopping(cycle.log);
    }
    set_shutdown_timer(cycle);
    close_listening_sockets(cycle);
    close_idle_connections(cycle);
    event_process_posted(cycle, posted_events);
}

/// Reloads the configuration in a process without a master.
///
/// Differs from nginx: without a master, nginx reads the new configuration but never calls
/// init_process for it, so that it has no connections and refuses every client until it is
/// restarted. In ngxx the new cycle takes over the listeners, closes the idle connections of the
/// old one, and the old cycle's other connections go on until they are closed. A module whose
/// init_process fails ends the process, as the old cycle has already lost its listeners.
Cycle* reload(Cycle* old)
{
    assert(process == Process::single);
    log_error(log_notice, old->log, 0, "reconfiguring");
    systemd_notify_reloading(old->log);

    Cycle* cycle = init_cycle(old);
    if (!cycle) {
        systemd_notify_ready(old->log);
        return old;
    }
    ngx_cycle = cycle;
    init_process(*cycle);
    close_signal_channel(*old);
    init_signal_channel(*cycle);
    close_idle_connections(*old);
    systemd_notify_ready(cycle->log);
    return cycle;
}

}  // namespace

void single_process_cycle(Cycle* cycle)
{
    init_process(*cycle);
    init_signal_channel(*cycle);
    daemon_ready();
    systemd_notify_ready(cycle->log);

    for (;;) {
        if (exiting && event_no_timers_left()) {
            log_error(log_notice, cycle->log, 0, "exiting");
            single_process_exit(*cycle);
        }

        log_debug(log_debug_event, cycle->log, 0, "worker cycle");
        process_events_and_timers(*cycle);
        systemd_notify_unsent(cycle->log);

        if (terminate) {
            notify_stopping(cycle->log);
            single_process_exit(*cycle);
        }
        if (quit) {
            start_quit(*cycle);
        }
        if (reconfigure) {
            reconfigure = 0;
            if (!exiting) {
                cycle = reload(cycle);
            }
        }
        if (reopen) {
            for (Cycle* old : old_cycles) {
                reopen_files(*old, no_user);
            }
            reopen_logs(*cycle, no_user);
        }
    }
}

namespace {

constexpr Msec first_delay = 50;      // ms between the first and the second TERM
constexpr Msec longest_delay = 1000;  // ms; after it comes KILL
constexpr Msec retry_delay = 1000;    // ms after a failed fork()
constexpr int start_timeout_ms = 5000;

/// Sets the title: "master process", from the first reload on "master process #2", and the words of
/// the command line. If memory runs out, the old title stays.
void set_master_title(const Cycle& cycle) noexcept
{
    (void)no_throw(cycle.log, [&] {
        std::string title = "master process";
        if (cycle.generation > 1) {
            title += fmt::format(" #{}", cycle.generation);
        }
        for (const std::string& word : argv) {
            title += ' ';
            title += word;
        }
        setproctitle(title, cycle.log);
        return Rc::ok;
    });
}

void set_worker_title(const Cycle& cycle, std::string_view what) noexcept
{
    std::array<char, 64> title;
    char* const last = title.data() + title.size();
    char* p = slprintf(title.data(), last, "worker process");
    if (cycle.generation > 1) {
        p = slprintf(p, last, " #{}", cycle.generation);
    }
    p = slprintf(p, last, "{}", what);
    setproctitle({title.data(), static_cast<std::size_t>(p - title.data())}, cycle.log);
}

/// Updates the process table from a channel message: a process was started, or has exited.
void know_channel(const Channel& ch, Log* log) noexcept
{
    ProcessSlot& other = slot_at(ch.slot);
    log_debug(log_debug_core, log, 0, "channel s:{} pid:{} fd:{}, ours: pid:{} fd:{}", ch.slot,
              ch.pid, ch.fd, other.pid, other.channel[0]);

    if (ch.command == cmd_open_channel) {
        other.pid = ch.pid;
        other.channel[0] = ch.fd;
    } else if (::close(std::exchange(other.channel[0], -1)) == -1) {
        log_error(log_alert, log, errno, "close() channel failed");
    }
}

/// Handles a message of the master. Commands set the flags that signals set, which the loop checks
/// at the end of its turn.
void obey(const Channel& ch, Log* log) noexcept
{
    log_debug(log_debug_core, log, 0, "channel command: {}", ch.command);

    if (ch.command == cmd_open_channel || ch.command == cmd_close_channel) {
        know_channel(ch, log);
        return;
    }
    quit = quit || ch.command == cmd_quit;
    terminate = terminate || ch.command == cmd_terminate;
    reopen = reopen || ch.command == cmd_reopen;
}

/// nginx: ngx_channel_handler()
void channel_handler(Event& ev) noexcept
{
    if (ev.timedout) {
        ev.timedout = 0;
        return;
    }

    Connection& c = connection_of(ev);
    log_debug(log_debug_core, ev.log, 0, "channel handler");

    for (;;) {
        Channel ch;
        switch (read_channel(c.fd, ch, ev.log)) {
        case Rc::ok:
            break;
        case Rc::again:
            return;
        default:
            // Other processes have this socket open too, so epoll would go on reporting it.
            if ((event_flags & use_epoll_event) != 0) {
                (void)event_actions.del_conn(c, 0);
            }
            close_connection(c);
            return;
        }
        obey(ch, ev.log);
    }
}

void set_worker_limits(const CoreConf& ccf, Log* log)
{
    if (ccf.priority != 0 && ::setpriority(PRIO_PROCESS, 0, static_cast<int>(ccf.priority)) == -1) {
        log_error(log_alert, log, errno, "setpriority({}) failed", ccf.priority);
    }
    const auto set_limit = [log](__rlimit_resource resource, std::string_view name, rlim_t value) {
        const rlimit rlmt{.rlim_cur = value, .rlim_max = value};
        if (::setrlimit(resource, &rlmt) == -1) {
            log_error(log_alert, log, errno, "setrlimit({}, {}) failed", name, value);
        }
    };
    if (ccf.rlimit_nofile) {
        set_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", static_cast<rlim_t>(*ccf.rlimit_nofile));
    }
    if (ccf.rlimit_core) {
        set_limit(RLIMIT_CORE, "RLIMIT_CORE", static_cast<rlim_t>(*ccf.rlimit_core));
    }
}

/// Keeps the right to bind to addresses of other machines after the change of user.
void keep_net_raw(Log* log)
{
    constexpr unsigned net_raw = 1U << CAP_NET_RAW;
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_1, .pid = 0};
    const __user_cap_data_struct data{.effective = net_raw, .permitted = net_raw, .inheritable = 0};
    if (::syscall(SYS_capset, &header, &data) == -1) {
        log_error(log_emerg, log, errno, "capset() failed");
        exit_child(exit_fatal);
    }
}

/// Changes to the user of the workers, which cannot be undone. The worker exits if that fails.
void drop_privileges(const CoreConf& ccf, Log* log)
{
    if (::geteuid() != 0) {
        return;
    }
    if (::setgid(ccf.group) == -1) {
        log_error(log_emerg, log, errno, "setgid({}) failed", ccf.group);
        exit_child(exit_fatal);
    }
    if (::initgroups(ccf.username.data(), ccf.group) == -1) {
        log_error(log_emerg, log, errno, "initgroups({}, {}) failed", ccf.username, ccf.group);
    }
    if (ccf.transparent && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1) {
        log_error(log_emerg, log, errno, "prctl(PR_SET_KEEPCAPS, 1) failed");
        exit_child(exit_fatal);
    }
    if (::setuid(*ccf.user) == -1) {
        log_error(log_emerg, log, errno, "setuid({}) failed", *ccf.user);
        exit_child(exit_fatal);
    }
    if (ccf.transparent) {
        keep_net_raw(log);
    }
}

/// Unblocks the signals that the master had blocked when it forked; a worker receives them at any
/// time.
void unblock_signals(Log* log)
{
    sigset_t set;
    sigemptyset(&set);
    if (::sigprocmask(SIG_SETMASK, &set, nullptr) == -1) {
        log_error(log_alert, log, errno, "sigprocmask() failed");
    }
}

/// Closes the channel ends that a worker does not use: it keeps the second end of its own channel,
/// to receive from the master, and the first ends of the others.
void close_unused_channels(Log* log)
{
    for (int n = 0; n < last_process; n++) {
        const ProcessSlot& p = slot_at(n);
        if (p.pid == invalid_pid || n == process_slot || p.channel[1] == -1) {
            continue;
        }
        if (::close(p.channel[1]) == -1) {
            log_error(log_alert, log, errno, "close() channel failed");
        }
    }
    if (::close(slot_at(process_slot).channel[0]) == -1) {
        log_error(log_alert, log, errno, "close() channel failed");
    }
}

void close_start_pipe(int end) noexcept
{
    if (const int fd = std::exchange(state.start_pipe[end], -1); fd != -1) {
        ::close(fd);
    }
}

/// Reports to the master that this worker serves. A respawned worker has no pipe.
void tell_ready() noexcept
{
    if (const int fd = state.start_pipe[1]; fd != -1) {
        [[maybe_unused]] const ssize_t n = ::write(fd, "", 1);
    }
    close_start_pipe(1);
}

/// Clears the master's flags in a new worker, and closes the master's end of the pipe.
///
/// Differs from nginx: nginx's worker inherits a pending `reopen`, and reopens logs that it no
/// longer has permission to open.
void leave_master() noexcept
{
    for (volatile std::sig_atomic_t* const flag :
         {&reap, &sigio, &sigalrm, &reconfigure, &reopen, &change_binary, &noaccept}) {
        *flag = 0;
    }
    close_start_pipe(0);
}

/// nginx: ngx_worker_process_init()
void worker_process_init(Cycle& cycle)
{
    set_environment(cycle);

    const CoreConf& ccf = *get_conf<CoreConf>(cycle.conf_ctx);
    set_worker_limits(ccf, cycle.log);
    drop_privileges(ccf, cycle.log);
    if (const cpu_set_t* cpu_affinity = get_cpu_affinity(cycle, ngx_worker)) {
        setaffinity(*cpu_affinity, cycle.log);
    }

    // setuid() has disabled core dumps; this enables them.
    if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1) {
        log_error(log_alert, cycle.log, errno, "prctl(PR_SET_DUMPABLE) failed");
    }
    if (ccf.working_directory && !ccf.working_directory->empty() &&
        ::chdir(ccf.working_directory->data()) == -1) {
        log_error(log_alert, cycle.log, errno, "chdir(\"{}\") failed", *ccf.working_directory);
        exit_child(exit_fatal);
    }
    unblock_signals(cycle.log);

    const Time& now = timeofday();
    ::srandom((static_cast<unsigned>(pid) << 16) ^ static_cast<unsigned>(now.sec) ^ now.msec);

    init_process(cycle);
    close_unused_channels(cycle.log);
    if (add_channel_event(cycle, channel, read_event, channel_handler) != Rc::ok) {
        exit_process(exit_fatal);
    }
}

/// Reports connections that are still open at the end of a graceful shutdown: a module has not
/// closed them.
void report_open_sockets(Cycle& cycle)
{
    for (std::size_t i = 0; i < cycle.connection_n; i++) {
        const Connection& c = cycle.connections[i];
        if (c.fd == invalid_socket || !c.read || c.read->accept || c.read->channel ||
            c.read->resolver) {
            continue;
        }
        log_error(log_alert, cycle.log, 0, "*{} open socket #{} left in connection {}", c.number,
                  c.fd, i);
        debug_quit = 1;
    }
    if (debug_quit) {
        log_error(log_alert, cycle.log, 0, "aborting");
        debug_point();
    }
}

/// nginx: ngx_worker_process_exit()
[[noreturn]] void worker_process_exit(Cycle& cycle)
{
    exit_process_modules(cycle);
    if (exiting && !terminate) {
        report_open_sockets(cycle);
    }
    log_error(log_notice, cycle.log, 0, "exit");
    exit_process(0);
}

/// Runs a worker's loop; `data` is the worker's number.
///
/// nginx: ngx_worker_process_cycle()
[[noreturn]] void worker_process_cycle(Cycle& cycle, void* data)
{
    process = Process::worker;
    ngx_worker = reinterpret_cast<std::uintptr_t>(data);
    leave_master();

    worker_process_init(cycle);
    set_worker_title(cycle, "");
    tell_ready();

    while (!exiting || !event_no_timers_left()) {
        log_debug(log_debug_event, cycle.log, 0, "worker cycle");
        process_events_and_timers(cycle);

        if (terminate) {
            break;
        }
        if (quit) {
            set_worker_title(cycle, " is shutting down");
            start_quit(cycle);
        }
        if (reopen) {
            reopen_logs(cycle, no_user);
        }
    }
    log_error(log_notice, cycle.log, 0, "exiting");
    worker_process_exit(cycle);
}

/// Sends a message to every child for which `skip` is false.
template <typename Skip>
void tell_others(const Channel& ch, Log* log, Skip skip)
{
    for (int i = 0; i < last_process; i++) {
        const ProcessSlot& p = slot_at(i);
        if (p.pid == invalid_pid || p.channel[0] == -1 || skip(i, p)) {
            continue;
        }
        log_debug(log_debug_core, log, 0,
                  "pass channel command {} s:{} pid:{} fd:{} to s:{} "
                  "pid:{} fd:{}",
                  ch.command, ch.slot, ch.pid, ch.fd, i, p.pid, p.channel[0]);
        // A child whose channel is full misses the message.
        (void)write_channel(p.channel[0], ch, log);
    }
}

/// Sends the newest child's channel to all other children.
///
/// nginx: ngx_pass_open_channel()
void pass_open_channel(Cycle& cycle)
{
    const Channel ch{.command = cmd_open_channel,
                     .pid = slot_at(process_slot).pid,
                     .slot = process_slot,
                     .fd = slot_at(process_slot).channel[0]};
    tell_others(ch, cycle.log, [](int i, const ProcessSlot&) { return i == process_slot; });
}

/// Waits until each new worker has written its byte, or has exited, which closes its end of the
/// pipe. Returns how many serve; after a timeout it returns `started`.
std::int64_t wait_for_workers(int fd, std::int64_t started, Log* log)
{
    std::int64_t ready = 0;
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    while (ready < started) {
        if (::poll(&entry, 1, start_timeout_ms) != 1) {
            log_error(log_warn, log, 0, "{} of {} worker processes are not ready after {} ms",
                      started - ready, started, start_timeout_ms);
            return started;
        }
        char byte = 0;
        if (::read(fd, &byte, 1) != 1) {
            break;
        }
        ready++;
    }
    return ready;
}

/// Starts the workers and waits until they serve. Returns how many serve.
///
/// Differs from nginx: nginx's master does not know whether a worker could start; after a reload it
/// waits 100 ms and then ends the old ones.
///
/// nginx: ngx_start_worker_processes()
std::int64_t start_worker_processes(Cycle& cycle, std::int64_t n, int type)
{
    log_error(log_notice, cycle.log, 0, "start worker processes");

    if (::pipe2(state.start_pipe, O_CLOEXEC) == -1) {
        log_error(log_alert, cycle.log, errno, "pipe2() failed");
        return 0;
    }

    std::int64_t started = 0;
    for (std::int64_t i = 0; i < n; i++) {
        if (spawn_process(cycle, worker_process_cycle,
                          reinterpret_cast<void*>(static_cast<std::uintptr_t>(i)), "worker process",
                          type) != invalid_pid) {
            pass_open_channel(cycle);
            started++;
        }
    }

    close_start_pipe(1);
    const std::int64_t ready = wait_for_workers(state.start_pipe[0], started, cycle.log);
    close_start_pipe(0);
    if (ready == n) {
        served_generation = cycle.generation;
    }
    return ready;
}

unsigned command_of(int signo) noexcept
{
    switch (signo) {
    case SIGQUIT:
        return cmd_quit;
    case SIGTERM:
        return cmd_terminate;
    case SIGUSR1:
        return cmd_reopen;
    default:
        return 0;
    }
}

/// Notifies one worker over its channel, or by the signal if that fails or if the channel has no
/// such command.
void signal_worker(ProcessSlot& p, int signo, Log* log)
{
    const Channel ch{.command = command_of(signo)};
    if (ch.command != 0 && write_channel(p.channel[0], ch, log) == Rc::ok) {
        p.exiting = p.exiting || signo != SIGUSR1;
        return;
    }

    log_debug(log_debug_core, log, 0, "kill ({}, {})", p.pid, signo);
    if (::kill(p.pid, signo) == -1) {
        const Err err = errno;
        log_error(log_alert, log, err, "kill({}, {}) failed", p.pid, signo);
        if (err == ESRCH) {
            p.exited = 1;
            p.exiting = 0;
            reap = 1;
        }
        return;
    }
    p.exiting = p.exiting || signo != SIGUSR1;
}

/// Passes a signal on to the workers, except those that were started since the last one.
///
/// nginx: ngx_signal_worker_processes()
void signal_worker_processes(Cycle& cycle, int signo)
{
    for (int i = 0; i < last_process; i++) {
        ProcessSlot& p = slot_at(i);
        log_debug(log_debug_event, cycle.log, 0, "child: {} {} e:{:d} t:{:d} d:{:d} r:{:d} j:{:d}",
                  i, p.pid, p.exiting, p.exited, p.detached, p.respawn, p.just_spawn);
        if (p.detached || p.pid == invalid_pid) {
            continue;
        }
        if (p.just_spawn) {
            p.just_spawn = 0;
            continue;
        }
        if (p.exited) {  // its id may be reused; reap_children() handles it
            p.exiting = p.exiting || signo != SIGUSR1;
            reap = 1;
            continue;
        }
        if (!p.exiting || signo != SIGQUIT) {
            signal_worker(p, signo, cycle.log);
        }
    }
}

/// Logs that the last worker of an old configuration has exited, and how long that took.
void report_generation(Cycle& cycle, std::size_t generation)
{
    if (generation >= cycle.generation) {
        return;
    }
    for (int i = 0; i < last_process; i++) {
        const ProcessSlot& p = slot_at(i);
        if (p.pid != invalid_pid && !p.detached && p.generation == generation) {
            return;
        }
    }
    log_error(log_notice, cycle.log, 0,
              "generation {} is gone: its last worker ended {} ms after "
              "the reload to generation {}",
              generation, monotonic_time() - state.reload_msec, cycle.generation);
}

/// Makes this process the server again after the new binary has exited.
void take_over_from_new_binary(Cycle& cycle)
{
    const CoreConf& ccf = *get_conf<CoreConf>(cycle.conf_ctx);
    if (::rename(ccf.oldpid.c_str(), ccf.pid->data()) == -1) {
        log_error(log_alert, cycle.log, errno,
                  "rename() {} back to {} failed after the new binary process \"{}\" exited",
                  ccf.oldpid, *ccf.pid, argv[0]);
    }
    new_binary = 0;
    if (noaccepting) {
        state.restart = true;
        noaccepting = false;
    }
}

/// Closes the channel of an exited child, and notifies the other children.
void withdraw_channel(Cycle& cycle, int slot)
{
    ProcessSlot& gone = slot_at(slot);
    close_channel(gone.channel, cycle.log);
    const Channel ch{.command = cmd_close_channel, .pid = gone.pid, .slot = slot};
    tell_others(ch, cycle.log, [](int, const ProcessSlot& p) { return p.exited; });
}

/// Returns how many ms to wait before a child is started again.
///
/// Differs from nginx: a worker that exits early repeatedly, except one that was killed, is started
/// after a pause that doubles; nginx starts it at once, which costs a processor and fills the log.
/// Meanwhile the other workers serve its clients.
Msec respawn_pause(ProcessSlot& p, Msec now, Log* log) noexcept
{
    constexpr Msec early = 1000;
    constexpr Msec first_pause = 100;
    constexpr Msec longest_pause = 10'000;

    const bool killed = WIFSIGNALED(p.status) && WTERMSIG(p.status) == SIGKILL;
    if (killed || now - p.started >= early) {
        p.pause = 0;
        return 0;
    }
    const Msec pause = std::exchange(p.pause, std::clamp(2 * p.pause, first_pause, longest_pause));
    if (pause == first_pause) {
        log_error(
            log_alert, log, 0,
            "{} {} has ended early once more, it is started again after pauses of {} to {} ms",
            p.name, p.pid, first_pause, longest_pause);
    }
    return pause;
}

/// Starts an exited child again when its pause is over.
///
/// Differs from nginx: a fork() that fails is tried again every second until it succeeds; nginx
/// continues without the child.
void respawn(Cycle& cycle, int slot)
{
    ProcessSlot& p = slot_at(slot);
    const Msec now = monotonic_time();
    if (p.respawn_at == 0) {
        p.respawn_at = now + respawn_pause(p, now, cycle.log);
    }
    if (p.respawn_at > now) {
        return;
    }
    if (spawn_process(cycle, p.proc, p.data, p.name, slot) == invalid_pid) {
        log_error(log_alert, cycle.log, 0, "could not respawn {}", p.name);
        p.respawn_at = now + retry_delay;
        return;
    }
    pass_open_channel(cycle);
}

/// Handles the children that have exited. Returns whether a child is left.
///
/// nginx: ngx_reap_children()
bool reap_children(Cycle& cycle)
{
    bool live = false;
    for (int i = 0; i < last_process; i++) {
        ProcessSlot& p = slot_at(i);
        log_debug(log_debug_event, cycle.log, 0, "child: {} {} e:{:d} t:{:d} d:{:d} r:{:d} j:{:d}",
                  i, p.pid, p.exiting, p.exited, p.detached, p.respawn, p.just_spawn);
        if (p.pid == invalid_pid) {
            continue;
        }
        if (!p.exited) {
            live = live || p.exiting || !p.detached;
            continue;
        }

        if (!p.detached && p.channel[0] != -1) {
            withdraw_channel(cycle, i);
        }
        if (p.respawn && !p.exiting && !terminate && !quit) {
            respawn(cycle, i);
            live = true;
            continue;
        }
        if (p.pid == new_binary) {
            take_over_from_new_binary(cycle);
        }
        const bool is_worker = !p.detached;
        assert(p.pid > 0);
        if (i == last_process - 1) {
            last_process--;
        }
        p.pid = invalid_pid;
        if (is_worker) {
            report_generation(cycle, p.generation);
        }
    }
    return live;
}

/// Blocks the signals that sigsuspend() waits for, so that none is delivered between two waits.
void block_signals(Log* log)
{
    sigset_t set;
    sigemptyset(&set);
    for (const int signo :
         {SIGCHLD, SIGALRM, SIGIO, SIGINT, SIGHUP, SIGUSR1, SIGWINCH, SIGTERM, SIGQUIT, SIGUSR2}) {
        sigaddset(&set, signo);
    }
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) == -1) {
        log_error(log_alert, log, errno, "sigprocmask() failed");
    }
}

void set_alarm(Msec delay, Log* log)
{
    itimerval itv{};
    itv.it_value.tv_sec = static_cast<time_t>(delay / 1000);
    itv.it_value.tv_usec = static_cast<suseconds_t>(delay % 1000 * 1000);
    if (::setitimer(ITIMER_REAL, &itv, nullptr) == -1) {
        log_error(log_alert, log, errno, "setitimer() failed");
    }
}

/// Returns the ms until the next retry; 0 if none is pending.
Msec next_try() noexcept
{
    Msec next = systemd_has_unsent() ? retry_delay : 0;
    const Msec now = monotonic_time();
    for (int i = 0; i < last_process; i++) {
        const ProcessSlot& p = slot_at(i);
        if (p.pid != invalid_pid && p.exited && p.respawn_at != 0) {
            const Msec left = p.respawn_at > now ? p.respawn_at - now : 1;
            next = next == 0 ? left : std::min(next, left);
        }
    }
    return next;
}

/// Waits for a signal. `delay` is that of a fast shutdown; each alarm doubles it.
void master_wait(Cycle& cycle, Msec& delay)
{
    systemd_notify_unsent(cycle.log);
    if (reap) {
        return;  // set without a signal
    }

    if (delay != 0) {
        if (sigalrm) {
            sigalrm = 0;
            state.sigio_left = 0;
            delay *= 2;
        }
        log_debug(log_debug_event, cycle.log, 0, "termination cycle: {}", delay);
        set_alarm(delay, cycle.log);
    } else if (const Msec next = next_try(); next != 0) {
        set_alarm(next, cycle.log);
    }

    log_debug(log_debug_event, cycle.log, 0, "sigsuspend");
    sigset_t none;
    sigemptyset(&none);
    ::sigsuspend(&none);
    time_update();
    log_debug(log_debug_event, cycle.log, 0, "wake up, sigio {}", sigio);

    if (delay == 0 && sigalrm) {
        sigalrm = 0;
        reap = 1;
    }
}

/// Performs a fast shutdown: sends TERM repeatedly at growing intervals, then KILL. After each
/// round it skips as many SIGIO as there are channels, because workers that exit close theirs.
void master_terminate(Cycle& cycle, Msec& delay)
{
    if (delay == 0) {
        delay = first_delay;
        notify_stopping(cycle.log);
    }
    if (state.sigio_left > 0) {
        state.sigio_left--;
        return;
    }
    state.sigio_left = *get_conf<CoreConf>(cycle.conf_ctx)->worker_processes + 2;
    signal_worker_processes(cycle, delay > longest_delay ? SIGKILL : SIGTERM);
}

/// Tells only the workers that were just started to exit.
void quit_just_spawned(Cycle& cycle)
{
    for (int i = 0; i < last_process; i++) {
        ProcessSlot& p = slot_at(i);
        if (p.pid != invalid_pid && p.just_spawn) {
            p.just_spawn = 0;
            p.respawn = 0;
            signal_worker(p, SIGQUIT, cycle.log);
        }
    }
}

/// Starts the new workers, and then ends the old ones.
///
/// Differs from nginx: if a new worker cannot start, the new ones are ended and the old ones
/// continue to serve; nginx ends the old ones in any case, and may have no worker left.
void replace_workers(Cycle& cycle)
{
    const std::int64_t n = *get_conf<CoreConf>(cycle.conf_ctx)->worker_processes;
    const std::int64_t ready = start_worker_processes(cycle, n, process_just_respawn);
    if (ready < n) {
        log_error(log_emerg, cycle.log, 0,
                  "{} of {} new worker processes could not be started, the old ones go on",
                  n - ready, n);
        quit_just_spawned(cycle);
        return;
    }
    signal_worker_processes(cycle, SIGQUIT);
}

/// Reloads the configuration, or starts workers if a new binary runs. Returns the current cycle.
Cycle* master_reconfigure(Cycle* cycle)
{
    if (new_binary != 0) {
        (void)start_worker_processes(*cycle, *get_conf<CoreConf>(cycle->conf_ctx)->worker_processes,
                                     process_respawn);
        noaccepting = false;
        return cycle;
    }

    log_error(log_notice, cycle->log, 0, "reconfiguring");
    systemd_notify_reloading(cycle->log);

    const Msec start = monotonic_time();
    Cycle* const fresh = init_cycle(cycle);
    if (fresh) {
        ngx_cycle = cycle = fresh;
        state.reload_msec = start;
        log_error(log_notice, cycle->log, 0, "generation {}", cycle->generation);
        set_master_title(*cycle);
        replace_workers(*cycle);
    }
    systemd_notify_ready(cycle->log);
    return cycle;
}

/// Handles the signals that do not end the master, in order of urgency. Returns the current cycle.
Cycle* master_obey(Cycle* cycle, bool& live)
{
    if (reconfigure) {
        reconfigure = 0;
        cycle = master_reconfigure(cycle);
        live = true;
    }
    const CoreConf& ccf = *get_conf<CoreConf>(cycle->conf_ctx);
    if (std::exchange(state.restart, false)) {
        (void)start_worker_processes(*cycle, *ccf.worker_processes, process_respawn);
        live = true;
    }
    if (reopen) {
        reopen_logs(*cycle, ccf.user.value_or(no_user));
        signal_worker_processes(*cycle, SIGUSR1);
    }
    if (change_binary) {
        change_binary = 0;
        log_error(log_notice, cycle->log, 0, "changing binary");
        (void)no_throw(cycle->log, [&] {
            new_binary = std::max(exec_new_binary(*cycle), 0);
            return Rc::ok;
        });
    }
    if (noaccept) {
        noaccept = 0;
        noaccepting = true;
        signal_worker_processes(*cycle, SIGQUIT);
    }
    return cycle;
}

}  // namespace

void master_process_cycle(Cycle* cycle)
{
    block_signals(cycle->log);
    set_master_title(*cycle);

    int status = 0;
    const std::int64_t n = *get_conf<CoreConf>(cycle->conf_ctx)->worker_processes;
    if (start_worker_processes(*cycle, n, process_respawn) < n) {
        log_error(log_emerg, cycle->log, 0, "not all worker processes could be started");
        status = 1;
        terminate = 1;
        reap = 1;
    } else {
        daemon_ready();
        systemd_notify_ready(cycle->log);
    }

    bool live = true;
    Msec delay = 0;
    for (;;) {
        master_wait(*cycle, delay);

        if (reap) {
            reap = 0;
            log_debug(log_debug_event, cycle->log, 0, "reap children");
            live = reap_children(*cycle);
        }
        if (!live && (terminate || quit)) {
            master_process_exit(*cycle, status);
        }
        if (terminate) {
            master_terminate(*cycle, delay);
            continue;
        }
        if (quit) {
            notify_stopping(cycle->log);
            signal_worker_processes(*cycle, SIGQUIT);
            close_listening_sockets(*cycle);
            continue;
        }
        cycle = master_obey(cycle, live);
    }
}

}  // namespace ngx
