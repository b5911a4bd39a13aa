#include "event/event_accept.hpp"

#include <cassert>
#include <cerrno>
#include <cstring>
#include <unistd.h>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/log_limit.hpp"
#include "core/palloc.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "event/event_counters.hpp"
#include "event/event_observer.hpp"
#include "event/event_timer.hpp"
#include "os/unix/os.hpp"

namespace ngx {

Atomic* accept_mutex_ptr;
Shmtx accept_mutex;
bool use_accept_mutex;
bool accept_events;
bool accept_mutex_held;
Msec accept_mutex_delay;
MsecInt accept_disabled;
bool use_exclusive_accept;

namespace {

constexpr int max_failed_per_turn = 64;

LogLimit failed_accepts{};

/// Stops watching the listeners. With `all` false (the mutex was lost) reuseport listeners, which
/// only this worker has, stay in the poller.
///
/// nginx: ngx_disable_accept_events()
Rc disable_accept_events(Cycle& cycle, bool all) noexcept
{
    for (const Listening& ls : cycle.listening) {
        Connection* const c = ls.connection;
        if (!c || !c->read->active || (ls.reuseport && !all)) {
            continue;
        }
        if (event_actions.del(*c->read, read_event, disable_event) == Rc::error) {
            return Rc::error;
        }
        assert(!c->read->active);
    }
    return Rc::ok;
}

/// With EPOLLEXCLUSIVE Linux always wakes the worker that was the first to watch the socket. Adding
/// the listener to the poller again now and then moves this worker to the end of that list.
///
/// Differs from nginx: a listener that cannot be added again is tried later; in nginx it is never
/// watched again.
///
/// nginx: ngx_reorder_accept_events()
void reorder_accept_events(Listening& ls) noexcept
{
    constexpr std::size_t every = 16;

    if (!use_exclusive_accept || ls.reuseport) {
        return;
    }
    Connection& c = *ls.connection;
    if (c.requests++ % every != 0 && accept_disabled <= 0) {
        return;
    }
    if (event_actions.del(*c.read, read_event, disable_event) == Rc::error) {
        return;
    }
    if (event_actions.add(*c.read, read_event, exclusive_event) == Rc::error) {
        add_timer(*c.read, accept_mutex_delay);
    }
}

/// nginx: ngx_close_accepted_connection()
void close_accepted_connection(Connection& c) noexcept
{
    free_connection(c);
    const int fd = std::exchange(c.fd, invalid_socket);
    if (::close(fd) == -1) {
        log_error(log_alert, c.log, errno, "close() failed");
    }
    if (c.pool) {
        destroy_pool(c.pool);
    }
    stat_active->fetch_sub(1, std::memory_order_relaxed);
}

unsigned accept_error_level(Err err) noexcept
{
    switch (err) {
    case ECONNABORTED:
        return log_err;
    case EMFILE:
    case ENFILE:
        return log_crit;
    default:
        return log_alert;
    }
}

/// Handles a failure of accept(): logs it and acts on it. Returns whether to call accept() again at
/// once.
bool accept_failed(Event& ev, Err err) noexcept
{
    if (err == EAGAIN) {
        log_debug(log_debug_event, ev.log, err, "accept() not ready");
        return false;
    }

    log_limited(failed_accepts, accept_error_level(err), ev.log, err, "{}() failed",
                inherited_nonblocking ? "accept4" : "accept");

    if (inherited_nonblocking && err == ENOSYS) {
        inherited_nonblocking = false;
        return true;
    }
    if (err == ECONNABORTED) {
        return ev.available != 0;
    }
    if (is_shortage(err)) {
        stop_accepting(ev);
    }
    return false;
}

/// Allocates the connection's pool, and in it its address and its log.
Rc init_accepted(Connection& c, Listening& ls, const SockaddrUnion& sa, socklen_t socklen)
{
    c.type = SOCK_STREAM;
    stat_active->fetch_add(1, std::memory_order_relaxed);

    c.pool = create_pool(ls.pool_size, ls.connection->log);

    c.socklen = std::min<socklen_t>(socklen, sizeof(sa));
    c.sockaddr = static_cast<sockaddr*>(c.pool->palloc(c.socklen));
    std::memcpy(c.sockaddr, &sa, c.socklen);

    c.log = c.pool->create<Log>(ls.log);
    c.pool->log = c.log;

    if (!inherited_nonblocking && nonblocking(c.fd) == -1) {
        log_error(log_alert, c.log, errno, "ioctl(FIONBIO) failed");
        return Rc::error;
    }

    c.recv = io.recv;
    c.send = io.send;
    c.recv_chain = io.recv_chain;
    c.send_chain = io.send_chain;

    c.listening = &ls;
    c.local_sockaddr = &ls.sockaddr.any;
    c.local_socklen = ls.socklen;

    if (c.sockaddr->sa_family == AF_UNIX) {
        c.tcp_nopush = TcpOption::disabled;
        c.tcp_nodelay = TcpOption::disabled;
    }
    return Rc::ok;
}

void init_accepted_events(Connection& c, const Event& ev) noexcept
{
    c.write->ready = 1;
    if (ev.deferred_accept) {
        c.read->ready = 1;
        c.read->available = 1;
    }
    c.read->log = c.log;
    c.write->log = c.log;
}

void log_accepted(Connection& c, const EventConf& ecf) noexcept
{
    if constexpr (have_debug) {
        debug_accepted_connection(ecf, c);

        log_debug(log_debug_event, c.log, 0, "*{} accept: {} fd:{}", c.number,
                  SockaddrText(c.sockaddr, c.socklen, true).view(), c.fd);
    }
}

/// Adds both events of the connection to pollers with add_conn, except epoll. epoll gets the
/// connection only when a read has found no data: most connections arrive with data.
///
/// Differs from nginx: in nginx an event for which the connection's owner sets no handler has none,
/// and the process crashes with SIGSEGV when the event is reported.
Rc watch_accepted(Connection& c) noexcept
{
    if (!event_actions.add_conn || (event_flags & use_epoll_event) != 0) {
        return Rc::ok;
    }
    for (Event* ev : {c.read, c.write}) {
        ev->handler = [](Event&) noexcept {};
    }
    return event_actions.add_conn(c);
}

/// Initializes the connection before its owner gets it. Errors have been logged.
Rc prepare_accepted(Connection& c, const Event& ev, Listening& ls, const SockaddrUnion& sa,
                    socklen_t socklen) noexcept
{
    return no_throw(c.log, [&] {
        if (init_accepted(c, ls, sa, socklen) != Rc::ok) {
            return Rc::error;
        }
        if (ls.addr_ntop) {
            set_addr_text(c);
        }
        init_accepted_events(c, ev);
        return Rc::ok;
    });
}

/// Creates a connection for the socket and passes it to the listener's handler. Returns false, with
/// the socket closed, if there is no free connection or no memory, or the poller fails.
bool take_connection(Event& ev, const EventConf& ecf, Listening& ls, int s, const SockaddrUnion& sa,
                     socklen_t socklen) noexcept
{
    assert(s != invalid_socket);
    assert(ls.handler);
    stat_accepted->fetch_add(1, std::memory_order_relaxed);
    update_accept_disabled();

    Connection* c = get_connection(s, ev.log);
    if (!c) {
        if (::close(s) == -1) {
            log_error(log_alert, ev.log, errno, "close() failed");
        }
        return false;
    }

    if (prepare_accepted(*c, ev, ls, sa, socklen) != Rc::ok) {
        close_accepted_connection(*c);
        return false;
    }

    begin_connection(*c);

    log_accepted(*c, ecf);
    event_observed(EventFactType::accepted, *c);

    if (watch_accepted(*c) == Rc::error) {
        close_accepted_connection(*c);
        return false;
    }

    c->log->data = nullptr;
    c->log->handler = nullptr;
    ls.handler(*c);
    return true;
}

}  // namespace

/// Differs from nginx: under multi_accept the number of aborted connections in one turn is limited,
/// so that they cannot prolong the turn without end. The cost is one more wait of the poller for
/// every 64 of them.
void event_accept(Event& ev) noexcept
{
    assert(ev.accept && ev.data);
    if (ev.timedout && resume_accepting(ev) != Rc::ok) {
        return;
    }

    const EventConf& ecf = *event_get_conf<EventConf>(ngx_cycle->conf_ctx);
    Connection& lc = connection_of(ev);
    assert(lc.listening && lc.listening->connection == &lc);
    Listening& ls = *lc.listening;
    ev.available = *ecf.multi_accept;
    ev.ready = 0;

    log_debug(log_debug_event, ev.log, 0, "accept on {}, ready: {}", ls.addr_text, ev.available);

    int failed = 0;
    do {
        SockaddrUnion sa;
        socklen_t socklen;
        const int s = io.accept(lc, sa, socklen);

        if (s == invalid_socket) {
            if (accept_failed(ev, errno) && ++failed < max_failed_per_turn) {
                continue;
            }
            return;
        }
        if (!take_connection(ev, ecf, ls, s, sa, socklen)) {
            return;
        }
    } while (ev.available);

    reorder_accept_events(ls);
}

void update_accept_disabled() noexcept
{
    const Cycle& cycle = *ngx_cycle;
    accept_disabled = static_cast<MsecInt>(cycle.connection_n / 8) -
                      static_cast<MsecInt>(cycle.free_connection_n);
}

void begin_connection(Connection& c) noexcept
{
    assert(c.number == 0);
    c.number =
        static_cast<std::uint64_t>(connection_counter->fetch_add(1, std::memory_order_relaxed));
    c.start_time = current_msec;
    stat_handled->fetch_add(1, std::memory_order_relaxed);
}

void set_addr_text(Connection& c)
{
    c.addr_text = c.pool->pstrdup(SockaddrText(c.sockaddr, c.socklen, false).view());
}

bool is_shortage(Err err) noexcept
{
    return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;
}

void stop_accepting(Event& ev) noexcept
{
    assert(ev.accept);
    assert(use_accept_mutex || !accept_mutex_held);
    // A failure has been logged. A listener that is still watched may wake this worker for nothing.
    (void)disable_accept_events(*ngx_cycle, true);

    if (!use_accept_mutex) {
        add_timer(ev, accept_mutex_delay);
        return;
    }
    if (accept_mutex_held) {
        shmtx_unlock(accept_mutex);
        accept_mutex_held = false;
        event_observed(EventFactType::mutex_unlocked);
    }
    accept_disabled = 1;
}

Rc resume_accepting(Event& ev) noexcept
{
    assert(ev.accept && ev.timedout);
    ev.timedout = 0;
    if (enable_accept_events(*ngx_cycle) != Rc::ok) {
        add_timer(ev, accept_mutex_delay);
        return Rc::error;
    }
    return Rc::ok;
}

Rc trylock_accept_mutex(Cycle& cycle) noexcept
{
    assert(in_loop_thread());
    assert(use_accept_mutex);
    if (!shmtx_trylock(accept_mutex)) {
        log_debug(log_debug_event, cycle.log, 0, "accept mutex lock failed: {:d}",
                  accept_mutex_held);
        event_observed(EventFactType::mutex_busy);
        if (accept_mutex_held && disable_accept_events(cycle, false) == Rc::error) {
            return Rc::error;
        }
        accept_mutex_held = false;
        return Rc::ok;
    }

    log_debug(log_debug_event, cycle.log, 0, "accept mutex locked");
    event_observed(EventFactType::mutex_locked);
    if (accept_mutex_held && !accept_events) {
        return Rc::ok;
    }
    if (enable_accept_events(cycle) == Rc::error) {
        shmtx_unlock(accept_mutex);
        event_observed(EventFactType::mutex_unlocked);
        return Rc::error;
    }
    accept_events = false;
    accept_mutex_held = true;
    return Rc::ok;
}

Rc enable_accept_events(Cycle& cycle) noexcept
{
    for (const Listening& ls : cycle.listening) {
        Connection* const c = ls.connection;
        if (!c || c->read->active) {
            continue;
        }
        if (event_actions.add(*c->read, read_event, 0) == Rc::error) {
            return Rc::error;
        }
        assert(c->read->active);
    }
    return Rc::ok;
}

char* accept_log_error(Log& log, char* buf, std::size_t len)
{
    const auto& ls = *static_cast<const Listening*>(log.data);
    return slprintf(buf, buf + len, " while accepting new connection on {}", ls.addr_text);
}

void debug_accepted_connection(const EventConf& ecf, Connection& c) noexcept
{
    assert(!c.listening || c.log != &c.listening->log);  // its level is changed
    for (const Cidr& cidr : ecf.debug_connection) {
        // cidr_match() would also match ::ffff:10.0.0.1 with 10.0.0.1, which is not wanted.
        if (cidr_contains(cidr, c.sockaddr)) {
            c.log->log_level = log_debug_connection | log_debug_all;
            return;
        }
    }
}

}  // namespace ngx
