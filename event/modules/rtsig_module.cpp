#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <new>
#include <poll.h>
#include <span>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/log_limit.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "event/event_dispatch.hpp"
#include "event/event_timer.hpp"
#include "os/unix/os.hpp"

namespace ngx {

extern Module rtsig_module;

/// The event method that nginx had before epoll: the kernel queues a real-time signal for each
/// change of a descriptor (F_SETSIG, O_ASYNC). The queue is short, and when a signal is read the
/// descriptor may have changed again, or belong to another connection. The state belongs to the
/// process; only the loop's thread uses it.
///
/// Differs from nginx: nginx (until 1.9) read one signal with each sigtimedwait(), acted on it
/// without a check, and called poll() only after an overflow of the queue. Here a signal is a hint:
/// one poll() checks all descriptors of the signals that were read in a turn. A stale signal has no
/// effect, and after an overflow poll() checks every descriptor. This costs up to two more system
/// calls per turn than sigtimedwait(). Descriptors that send no signals (an eventfd), or whose
/// state must be reported again and again (a listener), are in the poll() that waits.
namespace {

/// nginx 1.8: ngx_rtsig_conf_t
struct RtsigConf {
    static constexpr Module* module = &rtsig_module;

    std::optional<std::int64_t> signo{};
};

constexpr std::size_t no_level = static_cast<std::size_t>(-1);

/// How many descriptors that are not connections a worker may have before the loop has to allocate.
constexpr std::size_t other_files = 1024;

/// The state of one descriptor.
struct Watch {
    std::size_t level = no_level;  // its index in `levels`
    bool async = false;            // the kernel sends signals for it
    bool hinted = false;           // it is in `hints`
};

struct {
    int signal_fd = -1;
    int signo = 0;
    sigset_t old_mask{};
    pid_t owner = 0;  // the loop's thread

    std::vector<Watch> watches{};  // by descriptor
    std::vector<pollfd> levels{};  // the poll() that waits has these; the first is signal_fd
    std::vector<pollfd> hints{};   // the descriptors to check after the wait
    std::vector<int> roomless{};   // sockets for whose room the kernel sends no signal
    std::array<signalfd_siginfo, 64> signals{};

    LogLimit read_failed{};
    LogLimit poll_failed{};
} state;

extern const EventModule rtsig_module_ctx;

short poll_events(EventType event) noexcept
{
    return event == read_event ? POLLIN : POLLOUT;
}

bool has_watch(int fd) noexcept
{
    assert(fd >= 0);
    return static_cast<std::size_t>(fd) < state.watches.size();
}

Watch& watch_of(int fd) noexcept
{
    assert(has_watch(fd));
    return state.watches[static_cast<std::size_t>(fd)];
}

/// Makes poll() check the descriptor after the next wait.
void add_hint(int fd) noexcept
{
    Watch& watch = watch_of(fd);
    if (!watch.hinted) {
        watch.hinted = true;
        state.hints.push_back({.fd = fd, .events = POLLIN | POLLOUT, .revents = 0});
    }
}

/// Returns the signals of the queue: the configured one, and SIGIO, which the kernel sends when the
/// queue is full.
sigset_t signal_set() noexcept
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, state.signo);
    sigaddset(&set, SIGIO);
    return set;
}

Rc open_signal_queue(Cycle& cycle)
{
    state.signo = static_cast<int>(*event_get_conf<RtsigConf>(cycle.conf_ctx)->signo);
    state.owner = ::gettid();

    const sigset_t set = signal_set();
    if (const Err err = ::pthread_sigmask(SIG_BLOCK, &set, &state.old_mask); err != 0) {
        log_error(log_emerg, cycle.log, err, "pthread_sigmask() failed");
        return Rc::error;
    }
    state.signal_fd = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (state.signal_fd == -1) {
        log_error(log_emerg, cycle.log, errno, "signalfd() failed");
        (void)::pthread_sigmask(SIG_SETMASK, &state.old_mask, nullptr);
        return Rc::error;
    }
    state.levels.push_back({.fd = state.signal_fd, .events = POLLIN, .revents = 0});
    return Rc::ok;
}

/// nginx 1.8: ngx_rtsig_init()
Rc rtsig_init(Cycle& cycle, Msec)
{
    if (state.signal_fd == -1) {
        if (open_signal_queue(cycle) != Rc::ok) {
            return Rc::error;
        }
    } else if (state.signo != *event_get_conf<RtsigConf>(cycle.conf_ctx)->signo) {
        log_error(log_warn, cycle.log, 0,
                  "without a master process \"rtsig_signo\" stays {} until the server is started "
                  "again",
                  state.signo);
    }
    // Reserves all the memory, so that the loop does not allocate. Entries from before a reload
    // remain in use.
    state.watches.resize(std::max(state.watches.size(), cycle.connection_n + other_files));
    const auto open =
        static_cast<std::size_t>(std::ranges::count(state.watches, true, &Watch::async));
    state.levels.reserve(state.levels.size() + open + cycle.connection_n);
    state.hints.reserve(state.levels.capacity());
    state.roomless.reserve(state.levels.capacity());

    io = os_io;
    event_actions = rtsig_module_ctx.actions;
    event_flags = use_clear_event | use_greedy_event | use_fd_event;
    return Rc::ok;
}

bool set_async(int fd, bool on) noexcept
{
    const int flags = ::fcntl(fd, F_GETFL);
    return flags != -1 && ::fcntl(fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC) != -1;
}

/// Undoes watch_changes(). Returns false if a call failed.
bool unwatch_changes(int fd) noexcept
{
    const bool ok = set_async(fd, false);
    return ::fcntl(fd, F_SETOWN, 0) != -1 && ::fcntl(fd, F_SETSIG, 0) != -1 && ok;
}

/// Reads all queued signals. Returns whether signals were lost.
bool take_signals(Log* log) noexcept
{
    assert(state.signal_fd != -1);
    bool overflow = false;
    const std::size_t size = sizeof(state.signals);
    ssize_t n = 0;
    do {
        n = ::read(state.signal_fd, state.signals.data(), size);
        if (n == -1 && errno != EAGAIN) {
            log_limited(state.read_failed, log_alert, log, errno, "read() signalfd {} failed",
                        state.signal_fd);
        }
        for (ssize_t i = 0; i < n / static_cast<ssize_t>(sizeof(signalfd_siginfo)); i++) {
            const signalfd_siginfo& si = state.signals[static_cast<std::size_t>(i)];
            log_debug(log_debug_event, log, 0, "rtsig signo:{} fd:{} band:{:X}", si.ssi_signo,
                      si.ssi_fd, si.ssi_band);
            if (si.ssi_signo == SIGIO) {
                overflow = true;
            } else if (has_watch(si.ssi_fd) && watch_of(si.ssi_fd).async) {
                add_hint(si.ssi_fd);
            }
        }
    } while (n == static_cast<ssize_t>(size));
    return overflow;
}

/// Reads the signals that are still queued before it unblocks them: unblocked, they would terminate
/// the process.
///
/// nginx 1.8: ngx_rtsig_done()
void rtsig_done(Cycle& cycle)
{
    for (std::size_t fd = 0; fd < state.watches.size(); fd++) {
        if (state.watches[fd].async) {
            (void)unwatch_changes(static_cast<int>(fd));
        }
    }
    (void)take_signals(cycle.log);
    if (::close(state.signal_fd) == -1) {
        log_error(log_alert, cycle.log, errno, "close() signalfd failed");
    }
    (void)::pthread_sigmask(SIG_SETMASK, &state.old_mask, nullptr);
    state = {};
}

/// Whether the kernel signals room in the socket. It does not for unix datagram sockets, which have
/// room again when their peer reads: only poll() reports this.
bool signals_room(const Connection& c) noexcept
{
    int domain = AF_UNSPEC;
    socklen_t len = sizeof(domain);
    return c.type != SOCK_DGRAM ||
           (::getsockopt(c.fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain != AF_UNIX);
}

/// Makes the kernel send signals for the descriptor. Returns false if there are none for this kind
/// of file: the kernel then reports no error, but leaves O_ASYNC off.
bool watch_changes(const Connection& c, Log* log) noexcept
{
    assert(state.owner != 0 && !watch_of(c.fd).async);
    const f_owner_ex owner{.type = F_OWNER_TID, .pid = state.owner};
    if (::fcntl(c.fd, F_SETSIG, state.signo) == -1 || ::fcntl(c.fd, F_SETOWN_EX, &owner) == -1 ||
        !set_async(c.fd, true)) {
        log_error(log_alert, log, errno, "fcntl() of fd:{} for signals failed", c.fd);
        return false;
    }
    watch_of(c.fd).async = (::fcntl(c.fd, F_GETFL) & O_ASYNC) != 0;
    if (!watch_of(c.fd).async) {
        (void)unwatch_changes(c.fd);
    } else if (!signals_room(c)) {
        state.roomless.push_back(c.fd);
    }
    return watch_of(c.fd).async;
}

/// Adds a direction of the descriptor to the poll() that waits.
void watch_level(int fd, EventType event) noexcept
{
    Watch& watch = watch_of(fd);
    if (watch.level == no_level) {
        watch.level = state.levels.size();
        state.levels.push_back({.fd = fd, .events = 0, .revents = 0});
    }
    short& events = state.levels[watch.level].events;
    events = static_cast<short>(events | poll_events(event));
}

/// Removes a direction of the descriptor from the poll() that waits. The last entry replaces an
/// entry that is removed.
void unwatch_level(int fd, EventType event) noexcept
{
    Watch& watch = watch_of(fd);
    assert(watch.level > 0 && watch.level < state.levels.size());  // the first is signal_fd
    pollfd& entry = state.levels[watch.level];
    assert(entry.fd == fd);
    entry.events = static_cast<short>(entry.events & ~poll_events(event));
    if (entry.events == 0) {
        entry = state.levels.back();
        watch_of(entry.fd).level = watch.level;
        watch.level = no_level;
        state.levels.pop_back();
    }
}

/// Grows the table for a descriptor that is larger than rtsig_init() expected. The kernel assigns
/// the lowest free number, so that the process then has as many other files. Returns false after
/// logging if memory ran out.
bool reserve_watch(int fd, Log* log) noexcept
try {
    if (!has_watch(fd)) {
        state.watches.resize(static_cast<std::size_t>(fd) + 1);
    }
    return true;
} catch (const std::bad_alloc&) {
    log_error(log_emerg, log, 0, "no memory to watch fd:{}", fd);
    return false;
}

/// The kernel does not signal data that arrived before the add, so that the next turn checks the
/// descriptor.
Rc rtsig_add_event(Event& ev, EventType event, unsigned flags) noexcept
{
    assert(ev.data && !ev.active);
    assert((event == write_event) == (ev.write != 0));
    const Connection& c = connection_of(ev);
    log_debug(log_debug_event, ev.log, 0, "rtsig add event: fd:{} ev:{}", c.fd, poll_events(event));

    if (!reserve_watch(c.fd, ev.log)) {
        return Rc::error;
    }
    ev.active = 1;
    ev.oneshot = 0;
    if ((flags & clear_event) != 0 && (watch_of(c.fd).async || watch_changes(c, ev.log))) {
        add_hint(c.fd);
        return Rc::ok;
    }
    ev.oneshot = (flags & clear_event) != 0;  // no signals: poll() reports a state
    watch_level(c.fd, event);
    return Rc::ok;
}

Rc rtsig_del_event(Event& ev, EventType event, unsigned flags) noexcept
{
    assert(ev.data);
    assert((event == write_event) == (ev.write != 0));
    const Connection& c = connection_of(ev);
    log_debug(log_debug_event, ev.log, 0, "rtsig del event: fd:{} ev:{}", c.fd, poll_events(event));

    ev.active = 0;
    if (!has_watch(c.fd)) {
        return Rc::ok;
    }
    Watch& watch = watch_of(c.fd);
    if (watch.level != no_level) {
        unwatch_level(c.fd, event);
    }
    const Event* const other = event == read_event ? c.write : c.read;
    if (watch.async && !(other && other->active)) {
        watch.async = false;
        std::erase(state.roomless, c.fd);
        if ((flags & close_event) == 0 && !unwatch_changes(c.fd)) {
            log_error(log_alert, ev.log, errno, "fcntl() of fd:{} failed", c.fd);
            return Rc::error;
        }
    }
    return Rc::ok;
}

/// nginx 1.8: ngx_rtsig_add_connection()
Rc rtsig_add_connection(Connection& c) noexcept
{
    assert(!c.read->active && !c.write->active);
    (void)rtsig_add_event(*c.read, read_event, clear_event);
    return rtsig_add_event(*c.write, write_event, clear_event);
}

/// nginx 1.8: ngx_rtsig_del_connection()
Rc rtsig_del_connection(Connection& c, unsigned flags) noexcept
{
    (void)rtsig_del_event(*c.read, read_event, flags);
    return rtsig_del_event(*c.write, write_event, flags);
}

/// Posts the event. One that is watched for a single report is removed before its handler runs.
void report(Event& ev, int fd, EventType event) noexcept
{
    if (ev.oneshot) {
        ev.active = 0;
        unwatch_level(fd, event);
    }
    post_ready_event(ev);
}

/// Posts the active events of a descriptor that are ready. Returns whether there were any.
bool dispatch(const pollfd& entry, Log* log) noexcept
{
    int revents = entry.revents;
    log_debug(log_debug_event, log, 0, "rtsig: fd:{} ev:{:04X} rev:{:04X}", entry.fd, entry.events,
              revents);
    assert(static_cast<std::size_t>(entry.fd) < ngx_cycle->files_n);
    const Connection* const c = ngx_cycle->files[entry.fd];
    if (revents == 0 || !c || c->fd == -1) {
        return false;
    }

    // An error counts as ready in both directions: the active handler gets the error from its own
    // call.
    if ((revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
        revents |= entry.events;
    }
    const bool readable = (revents & POLLIN) != 0 && c->read->active;
    const bool writable = (revents & POLLOUT) != 0 && c->write->active;
    if (readable) {
        c->read->available = -1;
        report(*c->read, entry.fd, read_event);
    }
    if (writable) {
        report(*c->write, entry.fd, write_event);
    }
    return readable || writable;
}

/// Adds a full socket to the poll() that waits, until it has room. The kernel signals room only if
/// a send has failed since O_ASYNC was set.
void watch_room(const pollfd& entry) noexcept
{
    const Connection* const c = ngx_cycle->files[entry.fd];
    if (c && c->write->active && (entry.revents & (POLLOUT | POLLERR | POLLHUP)) == 0) {
        watch_level(entry.fd, write_event);
    }
}

/// Adds the full sockets for whose room the kernel sends no signal to the poll() that waits.
void watch_roomless() noexcept
{
    for (const int fd : state.roomless) {
        const Connection* const c = ngx_cycle->files[fd];
        if (c && c->write->active && !c->write->ready) {
            watch_level(fd, write_event);
        }
    }
}

/// Handles the loss of signals: poll() checks every descriptor.
///
/// Differs from nginx: nginx logs an alert. Here it is level info, because no event is lost.
///
/// nginx 1.8: ngx_rtsig_process_overflow()
void rtsig_process_overflow(Log* log) noexcept
{
    log_error(log_info, log, 0, "rt signal queue overflowed");
    for (std::size_t fd = 0; fd < state.watches.size(); fd++) {
        if (state.watches[fd].async) {
            add_hint(static_cast<int>(fd));
        }
    }
}

/// Checks the descriptors in `hints` and posts the events that are ready. Returns whether there
/// were any.
bool dispatch_hints(Log* log) noexcept
{
    if (state.hints.empty()) {
        return false;
    }
    while (::poll(state.hints.data(), state.hints.size(), 0) == -1) {
        const Err err = errno;
        log_limited(state.poll_failed, err == EINTR ? log_info : log_alert, log, err,
                    "poll() failed");
        if (err != EINTR) {
            return false;
        }
    }
    bool found = false;
    for (const pollfd& entry : state.hints) {
        watch_of(entry.fd).hinted = false;
        if (watch_of(entry.fd).async) {
            found = dispatch(entry, log) || found;
            watch_room(entry);
        }
    }
    state.hints.clear();
    return found;
}

/// Posts the events that the wait has found, then reads the signals and checks their descriptors.
/// The loop runs backwards, because the last entry, which was handled already, replaces an entry
/// that is removed. Returns whether any event was posted.
bool dispatch_levels(Log* log) noexcept
{
    assert(!state.levels.empty() && state.levels.front().fd == state.signal_fd);
    bool found = false;
    for (std::size_t i = state.levels.size() - 1; i > 0; i--) {
        const pollfd entry = state.levels[i];
        if (entry.revents == 0) {
            continue;
        }
        found = dispatch(entry, log) || found;
        if (watch_of(entry.fd).async) {
            unwatch_level(entry.fd, write_event);
        }
    }
    if (state.levels.front().revents != 0 && take_signals(log)) {
        rtsig_process_overflow(log);
    }
    return dispatch_hints(log) || found;
}

/// Waits again for the rest of the time if the signals were only about changes that no event waits
/// for. Handlers run only after all tables have been checked, so that they do not change the tables
/// during the checks.
///
/// nginx 1.8: ngx_rtsig_process_events()
Rc rtsig_process_events(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    log_debug(log_debug_event, cycle.log, 0, "rtsig timer: {}", timer);

    assert(in_loop_thread() && !state.levels.empty());
    watch_roomless();
    const Msec start = monotonic_time();
    Msec left = dispatch_hints(cycle.log) ? 0 : timer;
    for (;;) {
        const int events = ::poll(state.levels.data(), state.levels.size(), wait_timeout(left));
        const Rc rc = after_wait(cycle, events, left, flags, "poll");
        if (events <= 0 || dispatch_levels(cycle.log) || left == 0) {
            return rc;
        }
        if (timer != timer_infinite) {
            left = timer - std::min(timer, monotonic_time() - start);
        }
    }
}

/// nginx 1.8: ngx_rtsig_create_conf()
void* rtsig_create_conf(Cycle& cycle)
{
    return cycle.pool->create<RtsigConf>();
}

/// nginx 1.8: ngx_rtsig_init_conf()
const char* rtsig_init_conf(Cycle&, void* conf)
{
    auto& rtscf = *static_cast<RtsigConf*>(conf);
    conf_init_value(rtscf.signo, SIGRTMIN + 10);
    return conf_ok;
}

/// The range of real-time signals. Not a constant: the C library reserves some of them when it
/// starts.
///
/// Differs from nginx: nginx accepts any number, and then each connection fails.
const ConfNumBounds signo_bounds = {.low = SIGRTMIN, .high = SIGRTMAX};

constexpr Command rtsig_commands[] = {
    {
        .name = "rtsig_signo",
        .type = event_conf | conf_take1,
        .set = conf_set_num_slot<&RtsigConf::signo, &signo_bounds>,
        .show = conf_show_slot<&RtsigConf::signo>,
    },
};

constexpr EventModule rtsig_module_ctx = {
    .name = "rtsig",
    .create_conf = rtsig_create_conf,
    .init_conf = rtsig_init_conf,
    .actions =
        {
            .add = rtsig_add_event,
            .del = rtsig_del_event,
            .enable = rtsig_add_event,
            .disable = rtsig_del_event,
            .add_conn = rtsig_add_connection,
            .del_conn = rtsig_del_connection,
            .notify = nullptr,
            .process_events = rtsig_process_events,
            .init = rtsig_init,
            .done = rtsig_done,
        },
};

}  // namespace

constinit Module rtsig_module = {
    .ctx = &rtsig_module_ctx,
    .commands = rtsig_commands,
    .type = ModuleType::event,
};

}  // namespace ngx
