#include "os/unix/process_cycle.hpp"

#include <algorithm>
#include <array>
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

#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/log.hpp"
#include "core/nginx.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "os/unix/channel.hpp"
#include "os/unix/daemon.hpp"
#include "os/unix/process.hpp"
#include "os/unix/setaffinity.hpp"
#include "os/unix/setproctitle.hpp"
#include "os/unix/systemd.hpp"

namespace ngx {

volatile std::sig_atomic_t reap;
volatile std::sig_atomic_t sigio;
volatile std::sig_atomic_t sigalrm;
volatile std::sig_atomic_t terminate;
volatile std::sig_atomic_t quit;
volatile std::sig_atomic_t debug_quit;
volatile std::sig_atomic_t reconfigure;
volatile std::sig_atomic_t reopen;
volatile std::sig_atomic_t change_binary;
volatile std::sig_atomic_t noaccept;

bool exiting;
bool inherited;
bool daemonized;
bool noaccepting;
pid_t new_binary;
std::size_t ngx_worker;

namespace {

constexpr uid_t no_user = static_cast<uid_t>(-1);

struct {
    int signal_fd = -1;  // written by a signal handler, read by the loop

    int start_pipe[2] = {-1, -1};  // new workers write to it when they serve, the master reads

    Msec reload_msec = 0;         // when the last reload began, by monotonic_time()
    bool restart = false;         // workers are to be started, as the new binary is gone
    std::int64_t sigio_left = 0;  // how many more to pass over before the next TERM
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
    if (::read(state.signal_fd, &count, sizeof(count)) == -1 && errno != EAGAIN) {
        log_error(log_alert, rev.log, errno, "read() eventfd {} failed", state.signal_fd);
    }
}

/// Differs from nginx: a signal that comes after the loop has looked at the flags and before it
/// waits would be obeyed only at the next event, which may be never. nginx's worker is spoken to by
/// a channel and so wakes up; a process without a master gets a channel to itself here.
void init_signal_channel(Cycle& cycle)
{
    state.signal_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (state.signal_fd == -1) {
        log_error(log_alert, cycle.log, errno, "eventfd() failed");
        exit_process(exit_fatal);
    }
    if (add_channel_event(cycle, state.signal_fd, read_event, signal_fd_handler) != Rc::ok) {
        exit_process(exit_fatal);
    }
    wake_up();  // for a signal that came while there was no channel
}

/// The old cycle's connection for it is closed with the descriptor.
void close_signal_channel(Cycle& old)
{
    for (Connection& c : std::span{old.connections.get(), old.connection_n}) {
        if (c.fd == state.signal_fd) {
            state.signal_fd = -1;
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

/// `user`, unless it is no_user, becomes the owner of the logs.
void reopen_logs(Cycle& cycle, uid_t user)
{
    reopen = 0;
    log_error(log_notice, cycle.log, 0, "reopening logs");
    reopen_files(cycle, user);
}

/// With a new binary the service goes on.
void notify_stopping(Log* log)
{
    if (new_binary == 0) {
        systemd_notify("STOPPING=1", log);
    }
}

/// A graceful end: accept no more, and wait until no timer holds a connection.
///
/// Differs from nginx: there only a worker ends like this; a process without a master exits at once
/// on QUIT, as on TERM.
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

/// Differs from nginx: there a process without a master reads the new configuration, but never
/// calls init_process for it, so that it has no connections and refuses every client until it is
/// started again. Here the new cycle takes over the listeners and the idle connections, and
/// those of the old cycle go on until they end. A module that cannot start in init_process ends the
/// process, as the old cycle has given its listeners away.
Cycle* reload(Cycle* old)
{
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

bool owns_socket(const Listening& ls) noexcept
{
    return !ls.activated && process <= Process::master && new_binary == 0 &&
           (!inherited || ::getppid() != parent);
}

void wake_up() noexcept
{
    if (state.signal_fd != -1) {
        constexpr std::uint64_t one = 1;
        // A counter that is full wakes the loop as well.
        [[maybe_unused]] const ssize_t n = ::write(state.signal_fd, &one, sizeof(one));
    }
}

void single_process_cycle(Cycle* cycle)
{
    init_process(*cycle);
    init_signal_channel(*cycle);
    daemon_ready();
    systemd_notify_ready(cycle->log);

    for (;;) {
        if (exiting && event_no_timers_left() == Rc::ok) {
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

constexpr Msec first_delay = 50;      // between the first and the second TERM
constexpr Msec longest_delay = 1000;  // then KILL
constexpr Msec retry_delay = 1000;    // after a fork() that failed
constexpr int start_timeout_ms = 5000;

/// "master process", and from the first reload on "master process #2"; and the words of the command
/// line. Without memory the old title stays.
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

/// There is a new process, and this is how to reach it; or one is gone. Each worker knows of all.
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

/// What the master says, the loop sees at the end of its turn, as it sees a signal.
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

    Connection& c = *static_cast<Connection*>(ev.data);
    log_debug(log_debug_core, ev.log, 0, "channel handler");

    for (;;) {
        Channel ch;
        switch (read_channel(c.fd, ch, ev.log)) {
        case Rc::ok:
            break;
        case Rc::again:
            return;
        default:
            // Other processes have this socket, too, and epoll would go on to report it.
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

/// Lets the workers bind to addresses that are not this machine's, whoever they become.
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

/// Becomes the user of the workers. There is no way back, and no way on when it fails.
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

/// The master's signals were blocked while it forked; a worker takes them at any time.
void unblock_signals(Log* log)
{
    sigset_t set;
    sigemptyset(&set);
    if (::sigprocmask(SIG_SETMASK, &set, nullptr) == -1) {
        log_error(log_alert, log, errno, "sigprocmask() failed");
    }
}

/// A worker speaks to nobody but hears the master: of its own channel it keeps the second end, of
/// the others' the first.
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

/// A worker that was started in place of another has no pipe.
void tell_ready() noexcept
{
    if (const int fd = state.start_pipe[1]; fd != -1) {
        [[maybe_unused]] const ssize_t n = ::write(fd, "", 1);
    }
    close_start_pipe(1);
}

/// Differs from nginx: what the master has still to obey is not the worker's. nginx's worker takes
/// over a `reopen`, and opens logs that it is no longer allowed to.
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

    // setuid() has taken away that a core may be written.
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

/// A connection that nobody waits for any more, at the end of a graceful shutdown, was forgotten.
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

/// The loop of a worker; `data` is its number.
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

    while (!exiting || event_no_timers_left() != Rc::ok) {
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

/// Sends a message to every child but those to be skipped.
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
        // One whose channel is full does without.
        (void)write_channel(p.channel[0], ch, log);
    }
}

/// Gives all other children the channel of the newest.
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

/// Waits until each of the new workers has written its byte, or has ended and so closed the pipe.
/// Returns how many serve.
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

/// Starts the workers and waits until they serve. Returns how many do.
///
/// Differs from nginx: there the master never knows whether a worker could start; after a reload it
/// gives them 100 ms, and then ends the old ones.
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

/// Tells one worker by its channel or, where that fails or there is no word for it, by the signal.
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

/// Passes a signal on to the workers, less those that were started since the last one.
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
        if (p.exited) {  // its number may be another's already; reap_children() has to know
            p.exiting = p.exiting || signo != SIGUSR1;
            reap = 1;
            continue;
        }
        if (!p.exiting || signo != SIGQUIT) {
            signal_worker(p, signo, cycle.log);
        }
    }
}

/// Says when the last worker of an old configuration is gone, and how long that took.
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

/// The new binary is gone: this process is the server again.
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

/// Lets the others forget the channel of a child that has ended.
void withdraw_channel(Cycle& cycle, int slot)
{
    ProcessSlot& gone = slot_at(slot);
    close_channel(gone.channel, cycle.log);
    const Channel ch{.command = cmd_close_channel, .pid = gone.pid, .slot = slot};
    tell_others(ch, cycle.log, [](int, const ProcessSlot& p) { return p.exited; });
}

/// How long to wait before a child is started again.
///
/// Differs from nginx: a worker that ends early again and again, but for those that are killed, is
/// started after a pause that doubles; nginx starts it at once, and spends a processor and the log
/// on that. Its clients are the other workers' meanwhile.
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

/// Starts a child again that has ended by itself, when it is time.
///
/// Differs from nginx: a child that cannot be forked is tried again every second, until it can be;
/// nginx goes on without it.
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

/// Deals with the children that have ended; says whether one is left.
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

/// What the master waits for: nothing of it may come between two waits.
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

/// How long until something is to be tried again; 0 if there is no such thing.
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

/// Waits for a signal. `delay` is that of a fast shutdown, which each alarm doubles.
void master_wait(Cycle& cycle, Msec& delay)
{
    systemd_notify_unsent(cycle.log);
    if (reap) {
        return;  // it was set without a signal
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

/// A fast shutdown: TERM, again and again at growing intervals, then KILL. After each round as many
/// SIGIO as there are channels are passed over: they say that workers close theirs.
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

/// Tells the workers that were just started to end, and not those before them.
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

/// The new workers have started: the old ones may go.
///
/// Differs from nginx: when a new worker cannot start, it is the new ones that go, and the old ones
/// that serve on; nginx ends the old ones all the same, and may be left with none.
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

/// Returns the cycle to go on with.
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

/// The signals that do not end the master, in the order of their urgency.
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
