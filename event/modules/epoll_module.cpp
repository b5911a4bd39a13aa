#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/log_limit.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "event/event_dispatch.hpp"
#include "event/event_observer.hpp"
#include "event/event_timer.hpp"
#include "os/unix/files.hpp"
#include "os/unix/os.hpp"

namespace ngx {

extern Module epoll_module;

namespace {

/// nginx: ngx_epoll_conf_t
struct EpollConf {
    static constexpr Module* module = &epoll_module;

    std::optional<std::int64_t> events{};
    std::optional<std::int64_t> aio_requests{};
};

struct {
    int ep = -1;
    std::unique_ptr<epoll_event[]> event_list{};
    std::size_t nevents = 0;

    int notify_fd = -1;
    std::atomic<EventHandler> notify_handler = nullptr;  // written by any thread
    Event notify_event{};
    Connection notify_conn{};

    std::int64_t aio_requests = 0;
    std::uint64_t aio_ready = 0;  // completed reads that are not yet fetched
    Event eventfd_event{};
    Connection eventfd_conn{};

    LogLimit listener_failed{};
    LogLimit eventfd_failed{};
    LogLimit aio_failed{};
} state;

// The flags of add and del are passed to epoll unchanged.
static_assert(clear_event == EPOLLET);
static_assert(exclusive_event == EPOLLEXCLUSIVE);

constexpr std::uint32_t read_events = EPOLLIN | EPOLLRDHUP;
constexpr std::uint32_t write_events = EPOLLOUT;

constexpr Msec aio_retry_delay = 100;

extern const EventModule epoll_module_ctx;

/// Returns the data that epoll reports with an event: the connection, and in the lowest bit of the
/// pointer, which is unused, the instance of the slot. It identifies stale events: those for an
/// earlier connection of the same slot.
static_assert(alignof(Connection) > 1, "the lowest bit of the address is the instance");

void* tag(const Connection& c, unsigned instance) noexcept
{
    return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(&c) | instance);
}

int call_ctl(int op, int fd, std::uint32_t events, void* data) noexcept
{
    epoll_event ee{.events = events, .data = {.ptr = data}};
    return ::epoll_ctl(state.ep, op, fd, &ee);
}

/// Calls epoll_ctl() and logs a failure.
Rc control(int op, int fd, std::uint32_t events, void* data, Log* log) noexcept
{
    if (call_ctl(op, fd, events, data) == -1) {
        log_error(log_alert, log, errno, "epoll_ctl({}, {}) failed", op, fd);
        return Rc::error;
    }
    return Rc::ok;
}

/// Calls epoll_ctl() for an event and logs a failure. A listener that cannot be added or removed
/// under the accept mutex is tried again in each turn.
Rc control(int op, const Event& ev, const Connection& c, std::uint32_t events) noexcept
{
    if (call_ctl(op, c.fd, events, tag(c, ev.instance)) != -1) {
        return Rc::ok;
    }
    if (ev.accept) {
        log_limited(state.listener_failed, log_alert, ev.log, errno, "epoll_ctl({}, {}) failed", op,
                    c.fd);
    } else {
        log_error(log_alert, ev.log, errno, "epoll_ctl({}, {}) failed", op, c.fd);
    }
    return Rc::error;
}

void close_fd(int& fd, std::string_view what, Log* log) noexcept
{
    if (fd != -1 && ::close(fd) == -1) {
        log_error(log_alert, log, errno, "{}close() failed", what);
    }
    fd = -1;
}

/// The eventfd is edge-triggered, so each write is reported, and it is read only before its counter
/// would overflow.
///
/// nginx: ngx_epoll_notify_handler()
void epoll_notify_handler(Event& ev) noexcept
{
    if (++ev.index == std::numeric_limits<std::uint32_t>::max()) {
        ev.index = 0;
        std::uint64_t count = 0;
        const ssize_t n = ::read(state.notify_fd, &count, sizeof(count));
        const Err err = errno;
        log_debug(log_debug_event, ev.log, 0, "read() eventfd {}: {} count:{}", state.notify_fd, n,
                  count);
        if (n != sizeof(count)) {
            log_error(log_alert, ev.log, err, "read() eventfd {} failed", state.notify_fd);
        }
    }
    state.notify_handler.load(std::memory_order_relaxed)(ev);
}

/// nginx: ngx_epoll_notify_init()
Rc epoll_notify_init(Log* log)
{
    state.notify_fd = ::eventfd(0, EFD_CLOEXEC);
    if (state.notify_fd == -1) {
        log_error(log_emerg, log, errno, "eventfd() failed");
        return Rc::error;
    }
    log_debug(log_debug_event, log, 0, "notify eventfd: {}", state.notify_fd);

    Event& ev = state.notify_event;
    Connection& c = state.notify_conn;
    ev.handler = epoll_notify_handler;
    ev.log = log;
    ev.data = &c;
    ev.active = 1;
    c.fd = state.notify_fd;
    c.read = &ev;
    c.log = log;

    if (control(EPOLL_CTL_ADD, state.notify_fd, EPOLLIN | EPOLLET, &c, log) != Rc::ok) {
        close_fd(state.notify_fd, "eventfd ", log);
        return Rc::error;
    }
    return Rc::ok;
}

// The C library has no wrappers for these system calls.

int io_setup(std::int64_t requests, aio_context_t* ctx) noexcept
{
    constexpr std::int64_t max = std::numeric_limits<unsigned>::max();
    return static_cast<int>(::syscall(SYS_io_setup, std::min(requests, max), ctx));
}

int io_destroy(aio_context_t ctx) noexcept
{
    return static_cast<int>(::syscall(SYS_io_destroy, ctx));
}

int io_getevents(aio_context_t ctx, long min, std::span<io_event> events,
                 timespec* timeout) noexcept
{
    long n = 0;
    do {
        n = ::syscall(SYS_io_getevents, ctx, min, events.size(), events.data(), timeout);
    } while (n == -1 && errno == EINTR);
    return static_cast<int>(n);
}

/// Returns the number of completed reads that the eventfd has counted; 0 if it cannot be read,
/// which is logged.
std::uint64_t read_eventfd(Log* log) noexcept
{
    std::uint64_t ready = 0;
    const ssize_t n = ::read(eventfd, &ready, sizeof(ready));
    const Err err = errno;
    log_debug(log_debug_event, log, 0, "eventfd: {}", n);

    if (n == sizeof(ready)) {
        return ready;
    }
    if (n != -1) {
        log_limited(state.eventfd_failed, log_alert, log, 0, "read(eventfd) returned only {} bytes",
                    n);
    } else if (err != EAGAIN) {
        log_limited(state.eventfd_failed, log_alert, log, err, "read(eventfd) failed");
    }
    return 0;
}

/// Stores the result of a completed read and posts the event of the file.
void complete_read(const io_event& event, Log* log) noexcept
{
    assert(event.data != 0);
    log_debug(log_debug_event, log, 0, "io_event: {:X} {:X} {} {}", event.data, event.obj,
              event.res, event.res2);
    Event& e = *reinterpret_cast<Event*>(event.data);
    assert(e.active && !e.complete && e.data);
    e.complete = 1;
    e.active = 0;
    e.ready = 1;
    static_cast<EventAio*>(e.data)->res = event.res;
    post_event(e, posted_events);
}

/// Fetches as many completed reads as the eventfd has counted, 64 in a call. Their events are
/// posted, because a handler may close a file whose other reads are not fetched yet.
///
/// Differs from nginx: reads that cannot be fetched are tried again later. In nginx they wait until
/// another read completes, and a signal can cause this.
///
/// nginx: ngx_epoll_eventfd_handler()
void epoll_eventfd_handler(Event& ev) noexcept
{
    log_debug(log_debug_event, ev.log, 0, "eventfd handler");

    ev.timedout = 0;
    state.aio_ready += read_eventfd(ev.log);
    while (state.aio_ready != 0) {
        std::array<io_event, 64> list;
        timespec no_wait{};
        const int events = io_getevents(aio_ctx, 1, list, &no_wait);
        const Err err = errno;
        log_debug(log_debug_event, ev.log, 0, "io_getevents: {}", events);
        if (events == -1) {
            log_limited(state.aio_failed, log_alert, ev.log, err, "io_getevents() failed");
            add_timer(ev, aio_retry_delay);
            return;
        }
        const auto n = static_cast<std::size_t>(events);
        // More reads may have completed than the eventfd had counted. If none is left, the count
        // included reads that were fetched before.
        state.aio_ready -= n == 0 ? state.aio_ready : std::min<std::uint64_t>(state.aio_ready, n);
        for (const io_event& event : std::span(list).first(n)) {
            complete_read(event, ev.log);
        }
    }
}

void aio_release(Log* log) noexcept
{
    if (aio_ctx != 0 && io_destroy(aio_ctx) == -1) {
        log_error(log_alert, log, errno, "io_destroy() failed");
    }
    close_fd(eventfd, "eventfd ", log);
    if (state.eventfd_event.timer_set()) {
        del_timer(state.eventfd_event);
    }
    state.aio_ready = 0;
    aio_ctx = 0;
    file_aio = false;
}

/// Creates the kernel's context for asynchronous reads, and an eventfd that becomes readable when
/// reads complete. If that fails, files are read as if `aio` were off.
///
/// nginx: ngx_epoll_aio_init()
void epoll_aio_init(Cycle& cycle, const EpollConf& epcf)
{
    Log* const log = cycle.log;
    eventfd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (eventfd == -1) {
        log_error(log_emerg, log, errno, "eventfd() failed");
        return;
    }
    log_debug(log_debug_event, log, 0, "eventfd: {}", eventfd);

    state.aio_requests = *epcf.aio_requests;
    if (io_setup(state.aio_requests, &aio_ctx) == -1) {
        log_error(log_emerg, log, errno, "io_setup() failed");
        aio_release(log);
        return;
    }

    Event& ev = state.eventfd_event;
    Connection& c = state.eventfd_conn;
    ev.data = &c;
    ev.handler = epoll_eventfd_handler;
    ev.active = 1;
    ev.cancelable = 1;
    c.fd = eventfd;
    c.read = &ev;
    if (control(EPOLL_CTL_ADD, eventfd, EPOLLIN | EPOLLET, &c, log) != Rc::ok) {
        aio_release(log);
        return;
    }
    file_aio = true;
}

/// Tests EPOLLRDHUP on a socket pair whose other end is closed. Some emulations of Linux accept the
/// flag and never report it; a recv() that relied on it would miss the end of the data.
///
/// nginx: ngx_epoll_test_rdhup()
void epoll_test_rdhup(Log* log)
{
    constexpr int wait_ms = 5000;
    use_epoll_rdhup = false;

    int s[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == -1) {
        log_error(log_alert, log, errno, "socketpair() failed");
        return;
    }

    const Rc rc =
        control(EPOLL_CTL_ADD, s[0], EPOLLET | EPOLLIN | EPOLLRDHUP, &state.notify_conn, log);
    close_fd(s[1], "", log);

    if (rc == Rc::ok) {
        epoll_event ee{};
        const int events = ::epoll_wait(state.ep, &ee, 1, wait_ms);
        if (events == -1) {
            log_error(log_alert, log, errno, "epoll_wait() failed");
        } else if (events == 0) {
            log_error(log_alert, log, ETIMEDOUT, "epoll_wait() timed out");
        } else {
            use_epoll_rdhup = (ee.events & EPOLLRDHUP) != 0;
        }
        log_debug(log_debug_event, log, 0, "testing the EPOLLRDHUP flag: {}",
                  use_epoll_rdhup ? "success" : "fail");
    }
    close_fd(s[0], "", log);
}

/// nginx: ngx_epoll_init()
Rc epoll_init(Cycle& cycle, Msec)
{
    const EpollConf& epcf = *event_get_conf<EpollConf>(cycle.conf_ctx);
    bool has_notify = state.notify_fd != -1;

    if (state.ep == -1) {
        state.ep = ::epoll_create1(EPOLL_CLOEXEC);
        if (state.ep == -1) {
            log_error(log_emerg, cycle.log, errno, "epoll_create1() failed");
            return Rc::error;
        }
        has_notify = epoll_notify_init(cycle.log) == Rc::ok;
        epoll_aio_init(cycle, epcf);
        epoll_test_rdhup(cycle.log);
    } else if (file_aio && state.aio_requests != *epcf.aio_requests) {
        log_error(log_warn, cycle.log, 0,
                  "without a master process \"worker_aio_requests\" stays {} until the server is "
                  "started again",
                  state.aio_requests);
    }
    for (Event* ev : {&state.notify_event, &state.eventfd_event}) {
        ev->log = cycle.log;
    }
    for (Connection* c : {&state.notify_conn, &state.eventfd_conn}) {
        c->log = cycle.log;
    }

    const auto events = static_cast<std::size_t>(*epcf.events);
    if (state.nevents < events) {
        state.event_list = std::make_unique<epoll_event[]>(events);
    }
    state.nevents = events;

    io = os_io;
    event_actions = epoll_module_ctx.actions;
    if (!has_notify) {
        event_actions.notify = nullptr;
    }
    event_flags = use_clear_event | use_greedy_event | use_epoll_event;
    return Rc::ok;
}

/// nginx: ngx_epoll_done()
void epoll_done(Cycle& cycle)
{
    close_fd(state.ep, "epoll ", cycle.log);
    close_fd(state.notify_fd, "eventfd ", cycle.log);
    aio_release(cycle.log);
    state.event_list.reset();
    state.nevents = 0;
    state.notify_event.index = 0;
}

/// nginx: ngx_epoll_add_event()
Rc epoll_add_event(Event& ev, EventType event, unsigned flags) noexcept
{
    assert(ev.data);
    assert((event == write_event) == (ev.write != 0));
    const Connection& c = connection_of(ev);
    const bool read = event == read_event;
    const Event* const e = read ? c.write : c.read;
    const bool other = e && e->active;
    const int op = other ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    std::uint32_t events = read ? read_events : write_events;
    if (other) {
        events |= read ? write_events : read_events;
    }
    // The kernel rejects EPOLLRDHUP together with EPOLLEXCLUSIVE.
    if ((flags & exclusive_event) != 0) {
        events &= ~std::uint32_t{EPOLLRDHUP};
    }

    log_debug(log_debug_event, ev.log, 0, "epoll add event: fd:{} op:{} ev:{:08X}", c.fd, op,
              events | flags);
    if (control(op, ev, c, events | flags) != Rc::ok) {
        return Rc::error;
    }
    ev.active = 1;
    return Rc::ok;
}

/// nginx: ngx_epoll_del_event()
Rc epoll_del_event(Event& ev, EventType event, unsigned flags) noexcept
{
    // The kernel removes a descriptor that is closed.
    if ((flags & close_event) != 0) {
        ev.active = 0;
        return Rc::ok;
    }

    const Connection& c = connection_of(ev);
    const bool read = event == read_event;
    const Event* const e = read ? c.write : c.read;
    const bool other = e && e->active;
    const int op = other ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

    // The other event stays edge-triggered only if the caller passes clear_event.
    //
    // Differs from nginx: disable_event is not passed on; its value is that of EPOLLPRI.
    const std::uint32_t events =
        other ? (read ? write_events : read_events) | (flags & clear_event) : 0;

    log_debug(log_debug_event, ev.log, 0, "epoll del event: fd:{} op:{} ev:{:08X}", c.fd, op,
              events);
    if (control(op, ev, c, events) != Rc::ok) {
        return Rc::error;
    }
    ev.active = 0;
    return Rc::ok;
}

/// nginx: ngx_epoll_add_connection()
Rc epoll_add_connection(Connection& c) noexcept
{
    assert(!c.read->active && !c.write->active);
    assert(c.read->instance == c.write->instance);
    constexpr std::uint32_t events = read_events | write_events | EPOLLET;

    log_debug(log_debug_event, c.log, 0, "epoll add connection: fd:{} ev:{:08X}", c.fd, events);
    if (control(EPOLL_CTL_ADD, c.fd, events, tag(c, c.read->instance), c.log) != Rc::ok) {
        return Rc::error;
    }
    c.read->active = 1;
    c.write->active = 1;
    return Rc::ok;
}

/// nginx: ngx_epoll_del_connection()
Rc epoll_del_connection(Connection& c, unsigned flags) noexcept
{
    if ((flags & close_event) == 0) {
        log_debug(log_debug_event, c.log, 0, "epoll del connection: fd:{}", c.fd);
        if (control(EPOLL_CTL_DEL, c.fd, 0, nullptr, c.log) != Rc::ok) {
            return Rc::error;
        }
    }
    c.read->active = 0;
    c.write->active = 0;
    return Rc::ok;
}

/// nginx: ngx_epoll_notify()
Rc epoll_notify(EventHandler handler) noexcept
{
    assert(handler && state.notify_fd != -1);
    constexpr std::uint64_t inc = 1;
    state.notify_handler.store(handler, std::memory_order_relaxed);

    if (::write(state.notify_fd, &inc, sizeof(inc)) != sizeof(inc)) {
        log_error(log_alert, state.notify_event.log, errno, "write() to eventfd {} failed",
                  state.notify_fd);
        return Rc::error;
    }
    return Rc::ok;
}

/// Dispatches one reported event, to the read handler and then to the write handler. The read
/// handler may close the connection, and a new connection may get its slot, so the instance is
/// checked again before the write handler.
void dispatch(const epoll_event& ee, unsigned flags, Log* log) noexcept
{
    const auto data = reinterpret_cast<std::uintptr_t>(ee.data.ptr);
    const unsigned instance = data & 1;
    Connection& c = *reinterpret_cast<Connection*>(data & ~std::uintptr_t{1});

    Event& rev = *c.read;
    if (c.fd == -1 || rev.instance != instance) {
        log_debug(log_debug_event, log, 0, "epoll: stale event {}", fmt::ptr(&c));
        event_observed(EventFactType::stale, c);
        return;
    }

    std::uint32_t revents = ee.events;
    log_debug(log_debug_event, log, 0, "epoll: fd:{} ev:{:04X} d:{}", c.fd, revents,
              reinterpret_cast<void*>(data));

    // An error counts as ready in both directions: the active handler gets the error from its own
    // call.
    if ((revents & (EPOLLERR | EPOLLHUP)) != 0) {
        log_debug(log_debug_event, log, 0, "epoll_wait() error on fd:{} ev:{:04X}", c.fd, revents);
        revents |= EPOLLIN | EPOLLOUT;
    }

    if ((revents & EPOLLIN) != 0 && rev.active) {
        if ((revents & EPOLLRDHUP) != 0) {
            rev.pending_eof = 1;
        }
        rev.available = -1;
        dispatch_event(rev, flags);
    }

    Event* const wev = c.write;
    if ((revents & EPOLLOUT) != 0 && wev && wev->active) {
        if (c.fd == -1 || wev->instance != instance) {
            log_debug(log_debug_event, log, 0, "epoll: stale event {}", fmt::ptr(&c));
            event_observed(EventFactType::stale, c);
            return;
        }
        wev->complete = 1;  // tells sendfile() in a thread that there is room now
        dispatch_event(*wev, flags);
    }
}

/// nginx: ngx_epoll_process_events()
Rc epoll_process_events(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    log_debug(log_debug_event, cycle.log, 0, "epoll timer: {}", timer);

    const int events = ::epoll_wait(state.ep, state.event_list.get(),
                                    static_cast<int>(state.nevents), wait_timeout(timer));
    const Rc rc = after_wait(cycle, events, timer, flags, "epoll_wait");

    for (int i = 0; i < events; i++) {
        dispatch(state.event_list[static_cast<std::size_t>(i)], flags, cycle.log);
    }
    return rc;
}

/// nginx: ngx_epoll_create_conf()
void* epoll_create_conf(Cycle& cycle)
{
    return cycle.pool->create<EpollConf>();
}

/// nginx: ngx_epoll_init_conf()
const char* epoll_init_conf(Cycle&, void* conf)
{
    EpollConf& epcf = *static_cast<EpollConf*>(conf);
    conf_init_value(epcf.events, 512);
    conf_init_value(epcf.aio_requests, 32);
    return conf_ok;
}

/// Differs from nginx: nginx accepts 0, and epoll_wait() then always fails.
constexpr ConfNumBounds epoll_events_bounds = {.low = 1, .high = std::numeric_limits<int>::max()};

constexpr Command epoll_commands[] = {
    {
        .name = "epoll_events",
        .type = event_conf | conf_take1,
        .set = conf_set_num_slot<&EpollConf::events, &epoll_events_bounds>,
        .show = conf_show_slot<&EpollConf::events>,
    },
    {
        .name = "worker_aio_requests",
        .type = event_conf | conf_take1,
        .set = conf_set_num_slot<&EpollConf::aio_requests>,
        .show = conf_show_slot<&EpollConf::aio_requests>,
    },
};

constexpr EventModule epoll_module_ctx = {
    .name = "epoll",
    .create_conf = epoll_create_conf,
    .init_conf = epoll_init_conf,
    .actions =
        {
            .add = epoll_add_event,
            .del = epoll_del_event,
            .enable = epoll_add_event,
            .disable = epoll_del_event,
            .add_conn = epoll_add_connection,
            .del_conn = epoll_del_connection,
            .notify = epoll_notify,
            .process_events = epoll_process_events,
            .init = epoll_init,
            .done = epoll_done,
        },
    .file_aio = true,
};

}  // namespace

constinit Module epoll_module = {
    .ctx = &epoll_module_ctx,
    .commands = epoll_commands,
    .type = ModuleType::event,
};

}  // namespace ngx
