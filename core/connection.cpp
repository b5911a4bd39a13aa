#include "core/connection.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "core/conf_file.hpp"
#include "core/cycle.hpp"
#include "core/palloc.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_counters.hpp"
#include "event/event_observer.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "event/event_udp.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process_state.hpp"

namespace ngx {

namespace {

/// Closes a listener's socket, and logs a failure with the listener's address.
void close_logged(int s, const Listening& ls, Log* log) noexcept
{
    if (::close(s) == -1) {
        log_error(log_emerg, log, errno, "close() {} failed", ls.addr_text);
    }
}

/// Sets an option of a listener that is being opened. A failure is an error.
Rc set_option(int s, int level, int name, int value, std::string_view text, const Listening& ls,
              Log* log) noexcept
{
    if (::setsockopt(s, level, name, &value, sizeof(value)) == -1) {
        log_error(log_emerg, log, errno, "setsockopt({}) {} failed", text, ls.addr_text);
        return Rc::error;
    }
    return Rc::ok;
}

/// Does everything between socket() and bind().
Rc prepare_listening_socket(int s, const Listening& ls, Log* log) noexcept
{
    // Under -t, SO_REUSEADDR would let a datagram socket share the port with the server under test.
    if ((ls.type != SOCK_DGRAM || !test_config) &&
        set_option(s, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR", ls, log) != Rc::ok) {
        return Rc::error;
    }
    if ((ls.reuseport || ls.change_protocol) && !test_config &&
        set_option(s, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", ls, log) != Rc::ok) {
        return Rc::error;
    }
    if (ls.sockaddr.any.sa_family == AF_INET6) {
        const int ipv6only = ls.ipv6only;
        if (::setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6only, sizeof(ipv6only)) == -1) {
            log_error(log_emerg, log, errno, "setsockopt(IPV6_V6ONLY) {} failed, ignored",
                      ls.addr_text);
        }
    }
    if (nonblocking(s) == -1) {
        log_error(log_emerg, log, errno, "ioctl(FIONBIO) {} failed", ls.addr_text);
        return Rc::error;
    }
    return Rc::ok;
}

/// Returns declined for an address in use: it may become free, so it is tried again. Under -t the
/// running server may hold the address, which is not an error.
Rc bind_failed(Err err) noexcept
{
    return err == EADDRINUSE ? Rc::declined : Rc::error;
}

void share_unix_socket(const Listening& ls, Log* log) noexcept
{
    const char* const name = ls.sockaddr.un.sun_path;
    constexpr mode_t everybody = S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH;

    if (::chmod(name, everybody) == -1) {
        log_error(log_emerg, log, errno, "chmod() \"{}\" failed", name);
    }
    if (test_config && ::unlink(name) == -1) {
        log_error(log_emerg, log, errno, "unlink() {} failed", name);
    }
}

/// Tells whether the socket at the address refuses a connection of this type.
bool refuses(const Listening& ls, int type) noexcept
{
    const int s = ::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s == invalid_socket) {
        return false;
    }
    const bool refused = ::connect(s, &ls.sockaddr.any, ls.socklen) == -1 && errno == ECONNREFUSED;
    ::close(s);
    return refused;
}

/// Tells whether the address is the file of a unix socket that no process has open any more. A live
/// socket that does not listen also refuses a connection of its own type, but answers another type
/// with EPROTOTYPE, so two types are tried.
bool is_stale_unix_socket(const Listening& ls) noexcept
{
    struct stat info {};
    if (ls.sockaddr.any.sa_family != AF_UNIX || ::lstat(ls.sockaddr.un.sun_path, &info) == -1 ||
        !S_ISSOCK(info.st_mode)) {
        return false;
    }
    return refuses(ls, SOCK_DGRAM) && refuses(ls, SOCK_SEQPACKET);
}

/// Binds the socket.
///
/// Differs from nginx: the file of a unix socket whose server is gone is removed, with a warning;
/// with nginx an administrator has to remove it before the server starts again. It costs the socket
/// of another machine whose file system this one shares, as this machine's kernel does not know
/// that socket.
int bind_socket(int s, const Listening& ls, Log* log) noexcept
{
    const int rc = ::bind(s, &ls.sockaddr.any, ls.socklen);
    if (rc == -1 && errno == EADDRINUSE && !test_config) {
        if (is_stale_unix_socket(ls) && ::unlink(ls.sockaddr.un.sun_path) == 0) {
            log_error(log_warn, log, 0, "{} was left behind by a server that is gone, removed",
                      ls.addr_text);
            return ::bind(s, &ls.sockaddr.any, ls.socklen);
        }
        errno = EADDRINUSE;
    }
    return rc;
}

Rc bind_and_listen(int s, Listening& ls, Log* log) noexcept
{
    log_debug(log_debug_core, log, 0, "bind() {} #{}", ls.addr_text, s);

    if (bind_socket(s, ls, log) == -1) {
        const Err err = errno;
        if (err != EADDRINUSE || !test_config) {
            log_error(log_emerg, log, err, "bind() to {} failed", ls.addr_text);
        }
        return bind_failed(err);
    }
    if (ls.sockaddr.any.sa_family == AF_UNIX) {
        share_unix_socket(ls, log);
    }
    if (ls.type != SOCK_STREAM) {
        return Rc::ok;
    }
    if (::listen(s, ls.backlog) == -1) {
        const Err err = errno;
        if (err != EADDRINUSE || !test_config) {
            log_error(log_emerg, log, err, "listen() to {}, backlog {} failed", ls.addr_text,
                      ls.backlog);
        }
        return bind_failed(err);
    }
    ls.listen = 1;
    return Rc::ok;
}

/// Returns ok, declined if the address is in use, or error.
Rc open_listening_socket(Listening& ls, Log* log) noexcept
{
    const int s = ::socket(ls.sockaddr.any.sa_family, ls.type, ls.protocol);
    if (s == invalid_socket) {
        log_error(log_emerg, log, errno, "socket() {} failed", ls.addr_text);
        return Rc::error;
    }

    Rc rc = prepare_listening_socket(s, ls, log);
    if (rc == Rc::ok) {
        rc = bind_and_listen(s, ls, log);
    }
    if (rc != Rc::ok) {
        close_logged(s, ls, log);
        return rc;
    }
    ls.fd = s;
    ls.open = 1;
    return Rc::ok;
}

/// SO_REUSEPORT must be set on the existing socket before others can bind to its port.
void add_reuseport(Listening& ls, Log* log) noexcept
{
    const int on = 1;
    if (::setsockopt(ls.fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == -1) {
        log_error(log_alert, log, errno, "setsockopt(SO_REUSEPORT) {} failed, ignored",
                  ls.addr_text);
    }
    ls.add_reuseport = 0;
}

/// Opens the listeners that are not open. Returns declined if an address was in use.
Rc try_listening_sockets(Cycle& cycle) noexcept
{
    bool in_use = false;

    for (Listening& ls : cycle.listening) {
        if (ls.ignore) {
            continue;
        }
        if (ls.add_reuseport || ls.change_protocol) {
            add_reuseport(ls, cycle.log);
        }
        if ((ls.fd != invalid_socket && !ls.change_protocol) || ls.inherited) {
            continue;
        }
        const Rc rc = open_listening_socket(ls, cycle.log);
        if (rc == Rc::error) {
            return Rc::error;
        }
        in_use |= rc == Rc::declined && !test_config;
    }
    return in_use ? Rc::declined : Rc::ok;
}

/// Sets an option of an open listener. A failure is logged and ignored.
void configure_option(const Listening& ls, int level, int name, int value, std::string_view text,
                      Log* log) noexcept
{
    if (::setsockopt(ls.fd, level, name, &value, sizeof(value)) == -1) {
        log_error(log_alert, log, errno, "setsockopt({}, {}) {} failed, ignored", text, value,
                  ls.addr_text);
    }
}

/// Requests the destination address of each datagram to a wildcard socket.
void configure_local_address(const Listening& ls, Log* log) noexcept
{
    const int family = ls.sockaddr.any.sa_family;
    if (!ls.wildcard || ls.type != SOCK_DGRAM || (family != AF_INET && family != AF_INET6)) {
        return;
    }
    const int on = 1;
    const bool v4 = family == AF_INET;
    if (::setsockopt(ls.fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &on,
                     sizeof(on)) == -1) {
        log_error(log_alert, log, errno, "setsockopt({}) for {} failed, ignored",
                  v4 ? "IP_PKTINFO" : "IPV6_RECVPKTINFO", ls.addr_text);
    }
}

void configure_listening_socket(Listening& ls, Log* log) noexcept
{
    const auto set = [&](bool wanted, int level, int name, int value, std::string_view text) {
        if (wanted) {
            configure_option(ls, level, name, value, text, log);
        }
    };

    set(ls.rcvbuf != -1, SOL_SOCKET, SO_RCVBUF, ls.rcvbuf, "SO_RCVBUF");
    set(ls.sndbuf != -1, SOL_SOCKET, SO_SNDBUF, ls.sndbuf, "SO_SNDBUF");
    set(ls.keepalive != 0, SOL_SOCKET, SO_KEEPALIVE, ls.keepalive == 1, "SO_KEEPALIVE");
    set(ls.keepidle != 0, IPPROTO_TCP, TCP_KEEPIDLE, ls.keepidle, "TCP_KEEPIDLE");
    set(ls.keepintvl != 0, IPPROTO_TCP, TCP_KEEPINTVL, ls.keepintvl, "TCP_KEEPINTVL");
    set(ls.keepcnt != 0, IPPROTO_TCP, TCP_KEEPCNT, ls.keepcnt, "TCP_KEEPCNT");
    set(ls.fastopen != -1, IPPROTO_TCP, TCP_FASTOPEN, ls.fastopen, "TCP_FASTOPEN");

    // A second listen() changes the backlog.
    if (ls.listen && ::listen(ls.fd, ls.backlog) == -1) {
        log_error(log_alert, log, errno, "listen() to {}, backlog {} failed, ignored", ls.addr_text,
                  ls.backlog);
    }

    // TCP_DEFER_ACCEPT takes a timeout: 1 s, as nginx.
    set(ls.add_deferred || ls.delete_deferred, IPPROTO_TCP, TCP_DEFER_ACCEPT, ls.add_deferred,
        "TCP_DEFER_ACCEPT");
    configure_local_address(ls, log);
}

bool belongs_to(const Connection& c, const Cycle& cycle) noexcept
{
    const Connection* first = cycle.connections.get();
    return &c >= first && &c < first + cycle.connection_n;
}

template <typename T>
void renew(T& object) noexcept
{
    std::destroy_at(&object);
    std::construct_at(&object);
}

/// Resets an event for the slot's next connection.
void reset_event(Event& ev, Connection& c, bool instance) noexcept
{
    assert(!ev.timer_set() && !ev.posted());
    renew(ev);
    ev.instance = instance;
    ev.index = invalid_index;
    ev.data = &c;
}

/// Removes a connection from the poller, which may leave that to the close of the descriptor.
void stop_watching(Connection& c) noexcept
{
    if (event_actions.del_conn) {
        (void)event_actions.del_conn(c, close_event);
        return;
    }
    if (c.read->active || c.read->disabled) {
        (void)event_actions.del(*c.read, read_event, close_event);
    }
    if (c.write->active || c.write->disabled) {
        (void)event_actions.del(*c.write, write_event, close_event);
    }
}

/// Removes an event from the timers and the posted queue; a free slot must be in neither.
void unlink_event(Event& ev) noexcept
{
    if (ev.timer_set()) {
        del_timer(ev);
    }
    if (ev.posted()) {
        delete_posted_event(ev);
    }
}

unsigned close_error_level(Err err, ConnectionError log_error) noexcept
{
    if (err != ECONNRESET && err != ENOTCONN) {
        return log_crit;
    }
    switch (log_error) {
    case ConnectionError::info:
        return log_info;
    case ConnectionError::err:
        return log_err;
    default:
        return log_crit;
    }
}

/// Tells whether the peer or the network caused the error, so that the administrator cannot mend
/// it.
bool is_peer_error(Err err) noexcept
{
    switch (err) {
    case 0:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
    case ETIMEDOUT:
    case ECONNREFUSED:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
        return true;
    default:
        return false;
    }
}

/// Tells whether this server deletes the file of the unix socket when it stops listening.
bool owns_unix_socket(const Listening& ls) noexcept
{
    return ls.sockaddr.any.sa_family == AF_UNIX && owns_socket(ls);
}

/// Reads the address that the socket is bound to, and formats it.
Rc inherit_address(Cycle& cycle, Listening& ls)
{
    ls.socklen = sizeof(ls.sockaddr);
    if (::getsockname(ls.fd, &ls.sockaddr.any, &ls.socklen) == -1) {
        log_error(log_crit, cycle.log, errno, "getsockname() of the inherited socket #{} failed",
                  ls.fd);
        // Differs from nginx: a descriptor that is not a socket is not closed. It may be a log of
        // this process.
        if (errno == ENOTSOCK) {
            ls.fd = invalid_socket;
        }
        return Rc::declined;
    }
    ls.socklen = std::min<socklen_t>(ls.socklen, sizeof(ls.sockaddr));

    switch (ls.sockaddr.any.sa_family) {
    case AF_INET:
    case AF_INET6:
    case AF_UNIX:
        break;
    default:
        log_error(log_crit, cycle.log, 0,
                  "the inherited socket #{} has an unsupported protocol family", ls.fd);
        return Rc::declined;
    }

    ls.addr_text = cycle.pool->pstrdup(SockaddrText(&ls.sockaddr.any, ls.socklen, true).view());
    return Rc::ok;
}

/// Reads an option of an inherited socket. Logs a failure and returns `unknown`.
int inherited_option(const Listening& ls, int level, int name, std::string_view text,
                     std::string_view consequence, int unknown, unsigned log_level, Log* log)
{
    int value = 0;
    socklen_t len = sizeof(value);
    if (::getsockopt(ls.fd, level, name, &value, &len) == -1) {
        log_error(log_level, log, errno, "getsockopt({}) {} failed{}", text, ls.addr_text,
                  consequence);
        return unknown;
    }
    return value;
}

Rc inherit_socket(Cycle& cycle, Listening& ls)
{
    if (inherit_address(cycle, ls) != Rc::ok) {
        return Rc::declined;
    }

    Log* const log = cycle.log;
    const auto option = [&](int level, int name, std::string_view text, int unknown) {
        return inherited_option(ls, level, name, text, ", ignored", unknown, log_alert, log);
    };
    ls.type = inherited_option(ls, SOL_SOCKET, SO_TYPE, "SO_TYPE", "", -1, log_crit, log);
    if (ls.type == -1) {
        return Rc::declined;
    }
    ls.rcvbuf = option(SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", -1);
    ls.sndbuf = option(SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF", -1);
    ls.reuseport = option(SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT", 0) != 0;

    if (ls.type == SOCK_STREAM) {
        ls.protocol = option(SOL_SOCKET, SO_PROTOCOL, "SO_PROTOCOL", 0);
        ls.protocol = ls.protocol == IPPROTO_TCP ? 0 : ls.protocol;  // the value that `listen` sets
    }
    if (ls.type == SOCK_STREAM && ls.sockaddr.any.sa_family != AF_UNIX) {
        ls.fastopen = option(IPPROTO_TCP, TCP_FASTOPEN, "TCP_FASTOPEN", -1);
        ls.deferred_accept = option(IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", 0) != 0;
    }
    return Rc::ok;
}

}  // namespace

void set_connection_log(Connection& c, const Log& l) noexcept
{
    assert(c.log);
    c.log->file = l.file;
    c.log->next = l.next;
    c.log->writer = l.writer;
    c.log->wdata = l.wdata;
    if ((c.log->log_level & log_debug_connection) == 0) {
        c.log->log_level = l.log_level;
    }
}

Listening* create_listening(Conf& cf, const sockaddr* sa, socklen_t socklen)
{
    Listening& ls = cf.cycle->listening.emplace_back();
    std::memcpy(&ls.sockaddr, sa, socklen);
    ls.socklen = socklen;

    ls.addr_text = cf.pool->pstrdup(SockaddrText(sa, socklen, true).view());
    return &ls;
}

void clone_listening(Cycle& cycle, const Listening& ls)
{
    if (!ls.reuseport || ls.worker != 0) {
        return;
    }
    const Listening first = ls;  // a copy, as the vector may reallocate
    const auto n = static_cast<std::size_t>(*get_conf<CoreConf>(cycle.conf_ctx)->worker_processes);
    for (std::size_t i = 1; i < n; i++) {
        cycle.listening.push_back(first);
        cycle.listening.back().worker = i;
    }
}

void set_inherited_sockets(Cycle& cycle)
{
    for (Listening& ls : cycle.listening) {
        ls.ignore = inherit_socket(cycle, ls) != Rc::ok;
    }
}

Rc open_listening_sockets(Cycle& cycle)
{
    constexpr int tries = 5;
    constexpr std::chrono::milliseconds delay{500};

    for (int i = 0; i < tries; i++) {
        const Rc rc = try_listening_sockets(cycle);
        if (rc != Rc::declined) {
            return rc;
        }
        log_error(log_notice, cycle.log, 0, "try again to bind() after {}ms", delay.count());
        std::this_thread::sleep_for(delay);
    }
    log_error(log_emerg, cycle.log, 0, "still could not bind()");
    return Rc::error;
}

void configure_listening_sockets(Cycle& cycle)
{
    for (Listening& ls : cycle.listening) {
        // The log's handler and its data stay the listener's own.
        const LogHandler handler = ls.log.handler;
        ls.log = *ls.logp;
        ls.log.handler = handler;
        ls.log.data = &ls;

        configure_listening_socket(ls, cycle.log);
    }
}

void close_listening_sockets(Cycle& cycle)
{
    accept_mutex_held = false;
    use_accept_mutex = false;

    for (Listening& ls : cycle.listening) {
        if (ls.fd == invalid_socket) {
            continue;
        }
        detach_listening(ls);
        log_debug(log_debug_core, cycle.log, 0, "close listening {} #{}", ls.addr_text, ls.fd);
        if (!close_udp_connections(ls)) {
            close_logged(ls.fd, ls, cycle.log);
        }

        if (owns_unix_socket(ls) && ::unlink(ls.sockaddr.un.sun_path) == -1) {
            log_error(log_emerg, cycle.log, errno, "unlink() {} failed", ls.sockaddr.un.sun_path);
        }
        ls.fd = invalid_socket;
    }
}

bool owns_socket(const Listening& ls) noexcept
{
    return !ls.activated && process <= Process::master && new_binary == 0 &&
           (!inherited || ::getppid() != parent);
}

void detach_listening(Listening& ls) noexcept
{
    Connection* const c = ls.connection;
    if (!c) {
        return;
    }

    // Without close_event: the socket may stay open in another process or in the next cycle, and
    // epoll would go on reporting it.
    assert(c->read->accept && c->listening == &ls);
    if (c->read->active) {
        (void)event_actions.del(*c->read, read_event, 0);
    }
    unlink_event(*c->read);
    free_connection(*c);
    c->fd = invalid_socket;
    ls.connection = nullptr;
}

void resize_files(Cycle& cycle, std::size_t n)
{
    assert(n >= cycle.files_n);
    cycle.files_storage.resize(n);
    cycle.files = cycle.files_storage.data();
    cycle.files_n = n;
}

namespace {

/// Makes the table of connections by descriptor large enough for a descriptor. Returns false, after
/// a log line, if there is no memory.
bool grow_files(Cycle& cycle, int s, Log* log) noexcept
try {
    resize_files(cycle, static_cast<std::size_t>(s) + 1);
    return true;
} catch (const std::bad_alloc&) {
    log_error(log_alert, log, 0, "the new socket has number {}, but only {} files are available", s,
              cycle.files_n);
    return false;
}

}  // namespace

Connection* get_connection(int s, Log* log) noexcept
{
    assert(in_loop_thread());
    assert(s >= 0);
    Cycle& cycle = *ngx_cycle;

    if (cycle.files && static_cast<std::size_t>(s) >= cycle.files_n && !grow_files(cycle, s, log)) {
        return nullptr;
    }

    drain_connections(cycle);

    Connection* const c = cycle.free_connections;
    if (!c) {
        log_error(log_alert, log, 0, "{} worker_connections are not enough", cycle.connection_n);
        return nullptr;
    }
    assert(belongs_to(*c, cycle));
    assert(cycle.free_connection_n > 0);
    cycle.free_connections = static_cast<Connection*>(c->data);
    cycle.free_connection_n--;

    if (cycle.files && !cycle.files[s]) {
        cycle.files[s] = c;
    }

    Event* const rev = c->read;
    Event* const wev = c->write;
    renew(*c);
    c->read = rev;
    c->write = wev;
    c->fd = s;
    c->log = log;

    const bool instance = !rev->instance;
    reset_event(*rev, *c, instance);
    reset_event(*wev, *c, instance);
    wev->write = 1;
    event_observed(EventFactType::connection_taken, *c);
    return c;
}

void free_connection(Connection& c) noexcept
{
    assert(in_loop_thread());
    assert(!c.read->timer_set() && !c.read->posted());
    assert(!c.write->timer_set() && !c.write->posted());
    Cycle& cycle = *ngx_cycle;

    // A slot of an old cycle is not used again. An old cycle is destroyed when all its slots are
    // free.
    if (belongs_to(c, cycle)) {
        c.data = cycle.free_connections;
        cycle.free_connections = &c;
        cycle.free_connection_n++;
        assert(cycle.free_connection_n <= cycle.connection_n);
    }
    if (static_cast<std::size_t>(c.fd) < cycle.files_n && cycle.files[c.fd] == &c) {
        cycle.files[c.fd] = nullptr;
    }
    event_observed(EventFactType::connection_freed, c);
}

void close_connection(Connection& c) noexcept
{
    assert(in_loop_thread());
    assert(c.read && c.write);
    if (c.fd == invalid_socket) {
        log_error(log_alert, c.log, 0, "connection already closed");
        return;
    }

    if (!c.shared) {
        stop_watching(c);
    }
    unlink_event(*c.read);
    unlink_event(*c.write);
    c.read->closed = 1;
    c.write->closed = 1;
    reusable_connection(c, false);

    free_connection(c);
    const int fd = std::exchange(c.fd, invalid_socket);

    if (!c.shared && io.close(fd) == -1) {
        const Err err = errno;
        log_error(close_error_level(err, c.log_error), c.log, err, "close() {} failed", fd);
    }
}

void reusable_connection(Connection& c, bool reusable) noexcept
{
    Cycle& cycle = *ngx_cycle;
    log_debug(log_debug_core, c.log, 0, "reusable connection: {:d}", reusable);

    if (c.reusable) {
        assert(c.queue.is_linked() && cycle.reusable_connections_n > 0);
        cycle.reusable_connections_queue.erase(cycle.reusable_connections_queue.iterator_to(c));
        cycle.reusable_connections_n--;
        stat_waiting->fetch_sub(1, std::memory_order_relaxed);
    }
    c.reusable = reusable;
    if (reusable) {
        assert(c.fd != invalid_socket && c.read->handler);
        cycle.reusable_connections_queue.push_front(c);
        cycle.reusable_connections_n++;
        stat_waiting->fetch_add(1, std::memory_order_relaxed);
    }
}

void drain_connections(Cycle& cycle) noexcept
{
    const bool enough = cycle.free_connection_n > cycle.connection_n / 16;
    if (enough || cycle.reusable_connections_n == 0) {
        return;
    }

    // The warning is logged at most once a second.
    if (std::exchange(cycle.connections_reuse_time, time()) != time()) {
        log_error(log_warn, cycle.log, 0,
                  "{} worker_connections are not enough, reusing connections", cycle.connection_n);
    }

    const std::size_t n = std::clamp<std::size_t>(cycle.reusable_connections_n / 8, 1, 32);
    Connection* c = nullptr;
    for (std::size_t i = 0; i < n && !cycle.reusable_connections_queue.empty(); i++) {
        c = &cycle.reusable_connections_queue.back();
        log_debug(log_debug_core, c->log, 0, "reusing connection");
        c->close = 1;
        c->read->handler(*c->read);
    }

    // A connection that did not close at once, such as one that waits for its peer, is asked again.
    if (cycle.free_connection_n == 0 && c && c->reusable) {
        log_debug(log_debug_core, c->log, 0, "reusing connection again");
        c->close = 1;
        c->read->handler(*c->read);
    }
}

void close_idle_connections(Cycle& cycle) noexcept
{
    for (Connection& c : connections_of(cycle)) {
        if (c.fd != invalid_socket && c.idle) {
            c.close = 1;
            c.read->handler(*c.read);
        }
    }
}

Rc connection_local_sockaddr(Connection& c, char* text, std::size_t* len, bool port)
{
    if (c.local_socklen == 0 || inet_wildcard(c.local_sockaddr)) {
        SockaddrUnion sa{};
        socklen_t socklen = sizeof(sa);
        if (::getsockname(c.fd, &sa.any, &socklen) == -1) {
            connection_error(c, errno, "getsockname() failed");
            return Rc::error;
        }
        c.local_sockaddr = static_cast<sockaddr*>(c.pool->palloc(socklen));
        std::memcpy(c.local_sockaddr, &sa, socklen);
        c.local_socklen = socklen;
    }

    if (text) {
        *len = sock_ntop(c.local_sockaddr, c.local_socklen, text, sockaddr_strlen, port);
    }
    return Rc::ok;
}

Rc tcp_nodelay(Connection& c) noexcept
{
    if (c.tcp_nodelay != TcpOption::unset) {
        return Rc::ok;
    }
    log_debug(log_debug_core, c.log, 0, "tcp_nodelay");

    if (io.nodelay(c) == -1) {
        connection_error(c, errno, "setsockopt(TCP_NODELAY) failed");
        return Rc::error;
    }
    c.tcp_nodelay = TcpOption::set;
    return Rc::ok;
}

ssize_t connection_error(Connection& c, Err err, const char* text) noexcept
{
    if ((err == ECONNRESET && c.log_error == ConnectionError::ignore_econnreset) ||
        (err == EMSGSIZE && c.log_error == ConnectionError::ignore_emsgsize)) {
        return 0;
    }

    unsigned level = log_alert;
    if (is_peer_error(err)) {
        const bool quiet = c.log_error >= ConnectionError::info;
        level = quiet ? log_info : log_err;
    }
    log_error(level, c.log, err, "{}", text);
    return io_error;
}

}  // namespace ngx
