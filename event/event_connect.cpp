#include "event/event_connect.hpp"

#include <cassert>
#include <cerrno>
#include <netinet/in.h>
#include <unistd.h>

#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_counters.hpp"
#include "os/unix/os.hpp"

namespace ngx {

namespace {

bool may_bind_without_port = true;  // false once the kernel has refused it

/// Sets an option that the connection can do without: a failure is logged and ignored.
void set_option(const PeerConnection& pc, int s, int option, int value, const char* name) noexcept
{
    if (::setsockopt(s, SOL_SOCKET, option, &value, sizeof(value)) == -1) {
        log_error(log_alert, pc.log, errno, "setsockopt({}, {}) failed, ignored", name, value);
    }
}

void set_options(const PeerConnection& pc, int s) noexcept
{
    if (pc.rcvbuf != 0) {
        set_option(pc, s, SO_RCVBUF, pc.rcvbuf, "SO_RCVBUF");
    }
    if (pc.sndbuf != 0) {
        set_option(pc, s, SO_SNDBUF, pc.sndbuf, "SO_SNDBUF");
    }
    if (pc.so_keepalive) {
        set_option(pc, s, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
    }
}

/// nginx: ngx_event_connect_set_transparent()
Rc event_connect_set_transparent(const PeerConnection& pc, int s) noexcept
{
    const bool in6 = pc.local->sockaddr.any.sa_family == AF_INET6;
    const int on = 1;
    if (::setsockopt(s, in6 ? IPPROTO_IPV6 : IPPROTO_IP, in6 ? IPV6_TRANSPARENT : IP_TRANSPARENT,
                     &on, sizeof(on)) == -1) {
        log_error(log_alert, pc.log, errno, "setsockopt({}) failed",
                  in6 ? "IPV6_TRANSPARENT" : "IP_TRANSPARENT");
        return Rc::error;
    }
    return Rc::ok;
}

/// Lets connect() choose the local port: connect() knows the peer and can use one port for several
/// peers, while bind() needs a port that is not in use at all.
void bind_address_no_port(const PeerConnection& pc, int s) noexcept
{
    if (!may_bind_without_port || pc.sockaddr->sa_family == AF_UNIX) {
        return;
    }
    const int on = 1;
    if (::setsockopt(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) == 0) {
        return;
    }
    const Err err = errno;
    if (err == EOPNOTSUPP || err == ENOPROTOOPT) {
        may_bind_without_port = false;
        return;
    }
    log_error(log_alert, pc.log, err, "setsockopt(IP_BIND_ADDRESS_NO_PORT) failed, ignored");
}

/// Binds the socket to `local`, if there is one.
Rc bind_local(const PeerConnection& pc, int s) noexcept
{
    if (!pc.local) {
        return Rc::ok;
    }
    if (pc.transparent && event_connect_set_transparent(pc, s) != Rc::ok) {
        return Rc::error;
    }

    const in_port_t port = inet_get_port(&pc.local->sockaddr.any);
    if (port == 0) {
        bind_address_no_port(pc, s);
    }
    // Datagram sockets to different peers may share a local port that is configured by number.
    const int on = 1;
    if (pc.type == SOCK_DGRAM && port != 0 &&
        ::setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1) {
        log_error(log_alert, pc.log, errno, "setsockopt(SO_REUSEADDR) failed");
        return Rc::error;
    }

    if (::bind(s, &pc.local->sockaddr.any, pc.local->socklen) == -1) {
        log_error(log_crit, pc.log, errno, "bind({}) failed", pc.local->name);
        return Rc::error;
    }
    return Rc::ok;
}

void init_peer_connection(PeerConnection& pc, Connection& c) noexcept
{
    assert(pc.sockaddr && pc.socklen != 0);
    c.type = pc.type;
    c.send = io.send;
    if (pc.type == SOCK_STREAM) {
        c.recv = io.recv;
        c.recv_chain = io.recv_chain;
        c.send_chain = io.send_chain;
        c.sendfile = 1;
        if (pc.sockaddr->sa_family == AF_UNIX) {
            c.tcp_nopush = TcpOption::disabled;
            c.tcp_nodelay = TcpOption::disabled;
        }
    } else {
        c.recv = io.udp_recv;
        c.send_chain = io.udp_send_chain;
    }

    c.log_error = pc.log_error;
    c.read->log = pc.log;
    c.write->log = pc.log;
    c.number =
        static_cast<std::uint64_t>(connection_counter->fetch_add(1, std::memory_order_relaxed));
    c.start_time = current_msec;
    pc.connection = &c;
}

/// The log level for a failure of connect(): err if the peer or the network refuses, otherwise
/// crit.
unsigned connect_error_level(Err err) noexcept
{
    switch (err) {
    case EAGAIN:  // a unix socket with a full queue: Linux does not report ECONNREFUSED
    case ECONNREFUSED:
    case ECONNRESET:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
        return log_err;
    default:
        return log_crit;
    }
}

/// Whether connect() failed because this machine lacks a resource, usually a free port. The peer is
/// not at fault.
bool is_own_shortage(const PeerConnection& pc, Err err) noexcept
{
    return err == EADDRNOTAVAIL || is_shortage(err) ||
           (err == EAGAIN && pc.sockaddr->sa_family != AF_UNIX);
}

/// Adds the events for pollers without add_conn (the others added both before connect()): the write
/// event only if the connection is not established yet.
Rc watch_peer(Connection& c, bool connected) noexcept
{
    assert(!c.read->active && !c.write->active);
    const unsigned flags = (event_flags & use_clear_event) != 0 ? clear_event : level_event;
    if (event_actions.add(*c.read, read_event, flags) != Rc::ok) {
        return Rc::error;
    }
    return connected ? Rc::ok : event_actions.add(*c.write, write_event, flags);
}

Rc drop_peer(PeerConnection& pc, Rc rc) noexcept
{
    assert(pc.connection);
    assert(rc != Rc::ok && rc != Rc::again);
    close_connection(*pc.connection);
    pc.connection = nullptr;
    return rc;
}

/// Connects the socket of `c` and adds its events to the poller. Closes the connection on failure.
///
/// Differs from nginx: nginx counts a shortage of this machine as a failure of the peer.
Rc connect_peer(PeerConnection& pc, Connection& c) noexcept
{
    if (event_actions.add_conn && event_actions.add_conn(c) == Rc::error) {
        return drop_peer(pc, Rc::error);
    }
    log_debug(log_debug_event, pc.log, 0, "connect to {}, fd:{} #{}", pc.name, c.fd, c.number);

    const bool connected = ::connect(c.fd, pc.sockaddr, pc.socklen) == 0;
    const Err err = connected ? 0 : errno;
    if (!connected && err != EINPROGRESS) {
        log_error(connect_error_level(err), c.log, err, "connect() to {} failed", pc.name);
        return drop_peer(pc, is_own_shortage(pc, err) ? Rc::abort : Rc::declined);
    }

    if (!event_actions.add_conn && watch_peer(c, connected) != Rc::ok) {
        return drop_peer(pc, Rc::error);
    }
    if (!connected) {
        return Rc::again;
    }
    log_debug(log_debug_event, pc.log, 0, "connected");
    c.write->ready = 1;
    return Rc::ok;
}

}  // namespace

Rc event_connect_peer(PeerConnection& pc)
{
    assert(in_loop_thread());
    assert(pc.get && pc.log);
    if (const Rc rc = pc.get(pc, pc.data); rc != Rc::ok) {
        return rc;
    }

    // Differs from nginx: the socket is created as nonblocking, which saves an ioctl().
    const int s = ::socket(pc.sockaddr->sa_family, pc.type | SOCK_NONBLOCK, 0);
    log_debug(log_debug_event, pc.log, 0, "{} socket {}",
              pc.type == SOCK_STREAM ? "stream" : "dgram", s);
    if (s == invalid_socket) {
        log_error(log_alert, pc.log, errno, "socket() failed");
        return Rc::error;
    }

    Connection* const c = get_connection(s, pc.log);
    if (!c) {
        if (::close(s) == -1) {
            log_error(log_alert, pc.log, errno, "close() socket failed");
        }
        return Rc::error;
    }
    init_peer_connection(pc, *c);

    set_options(pc, s);
    if (bind_local(pc, s) != Rc::ok) {
        return drop_peer(pc, Rc::error);
    }
    return connect_peer(pc, *c);
}

Rc event_get_peer(PeerConnection&, void*) noexcept
{
    return Rc::ok;
}

}  // namespace ngx
