#include "event/event_udp.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <bitset>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <span>
#include <unistd.h>

#include "core/buf.hpp"
#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/log_limit.hpp"
#include "core/palloc.hpp"
#include "core/times.hpp"
#include "event/event_accept.hpp"
#include "event/event_core_module.hpp"
#include "event/event_counters.hpp"
#include "event/event_observer.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "os/unix/os.hpp"
#include "os/unix/udp_sendmsg_chain.hpp"

namespace ngx {

namespace {

constexpr std::size_t max_datagram = 65'535;
constexpr Msec retry_delay = 10;
constexpr int loopback_ifindex = 1;  // the number of `lo` in each network namespace

struct {
    std::array<char, max_datagram> buffer;  // the current datagram: only one at a time

    PostedQueue waiting{};  // write events that wait for `retry`
    Event retry{};
    Connection dumb{};  // for the timer's debug lines

    std::bitset<65'536> ports;  // ports of the datagram listeners
    std::size_t looped = 0;     // datagrams received from these ports

    LogLimit failed{};
    LogLimit truncated{};
} state;

/// The result of one recvmsg(): size and addresses. The data is in state.buffer.
struct Datagram {
    std::size_t size = 0;
    SockaddrUnion sa;
    socklen_t socklen = 0;
    SockaddrUnion local_sa;  // set for a wildcard listener
    const sockaddr* local = nullptr;
    socklen_t local_socklen = 0;
    bool over_loopback = false;  // set for a wildcard listener only

    Datagram() noexcept {}  // NOLINT(modernize-use-equals-default): unions stay uninitialized
};

/// Whether the client's unix socket has no name. Such clients cannot be distinguished.
bool is_unbound(const sockaddr* sa, socklen_t socklen) noexcept
{
    return sa->sa_family == AF_UNIX &&
           (socklen <= offsetof(sockaddr_un, sun_path) ||
            reinterpret_cast<const sockaddr_un*>(sa)->sun_path[0] == '\0');
}

/// Returns the interface index in a control message that get_srcaddr_cmsg() has accepted.
int ifindex_of(const cmsghdr& cmsg) noexcept
{
    if (cmsg.cmsg_level == IPPROTO_IP) {
        in_pktinfo pkt;
        std::memcpy(&pkt, CMSG_DATA(&cmsg), sizeof(pkt));
        return pkt.ipi_ifindex;
    }
    in6_pktinfo pkt;
    std::memcpy(&pkt, CMSG_DATA(&cmsg), sizeof(pkt));
    return static_cast<int>(pkt.ipi6_ifindex);
}

void take_addresses(const Listening& ls, msghdr& msg, Datagram& d) noexcept
{
    d.socklen = std::min<socklen_t>(msg.msg_namelen, sizeof(d.sa));
    if (d.socklen == 0) {
        // Linux returns no address for a unix socket without a name.
        d.socklen = sizeof(sockaddr);
        d.sa.any = {};
        d.sa.any.sa_family = ls.sockaddr.any.sa_family;
    }

    d.local = &ls.sockaddr.any;
    d.local_socklen = ls.socklen;
    if (!ls.wildcard) {
        return;
    }
    std::memcpy(&d.local_sa, &ls.sockaddr, ls.socklen);
    d.local = &d.local_sa.any;
    for (cmsghdr* cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
        if (get_srcaddr_cmsg(*cmsg, &d.local_sa.any)) {
            d.over_loopback = ifindex_of(*cmsg) == loopback_ifindex;
            break;
        }
    }
}

/// Receives one datagram. Returns ok; declined if the datagram was truncated and must be ignored;
/// again if there is none; error after a log line.
Rc receive(Event& ev, const Listening& ls, Datagram& d) noexcept
{
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(AddrInfo))> control;
    iovec iov{.iov_base = state.buffer.data(), .iov_len = state.buffer.size()};
    msghdr msg{};
    msg.msg_name = &d.sa;
    msg.msg_namelen = sizeof(d.sa);
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    if (ls.wildcard) {
        msg.msg_control = control.data();
        msg.msg_controllen = control.size();
    }

    const ssize_t n = io.recvmsg(connection_of(ev), msg);
    if (n == -1) {
        const Err err = errno;
        if (err == EAGAIN) {
            log_debug(log_debug_event, ev.log, err, "recvmsg() not ready");
            return Rc::again;
        }
        log_limited(state.failed, log_alert, ev.log, err, "recvmsg() failed");
        if (is_shortage(err)) {
            stop_accepting(ev);
        }
        return Rc::error;
    }
    if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        log_limited(state.truncated, log_alert, ev.log, 0, "recvmsg() truncated data");
        return Rc::declined;
    }
    d.size = static_cast<std::size_t>(n);
    take_addresses(ls, msg, d);
    return Rc::ok;
}

/// nginx: ngx_lookup_udp_connection()
Connection* lookup_udp_connection(Listening& ls, const Datagram& d) noexcept
{
    if (is_unbound(&d.sa.any, d.socklen)) {
        log_debug(log_debug_event, ngx_cycle->log, 0, "unbound unix socket");
        return nullptr;
    }
    UdpConnections& known = *ls.udp_connections;
    const auto udp = known.find(udp_key(ls, &d.sa.any, d.socklen, d.local, d.local_socklen));
    return udp == known.end() ? nullptr : udp->connection;
}

/// Converts an IPv4-mapped IPv6 address to an IPv4 address; returns other addresses unchanged.
SockaddrUnion unmapped(const SockaddrUnion& sa) noexcept
{
    if (sa.any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&sa.in6.sin6_addr)) {
        return sa;
    }
    SockaddrUnion to{};
    to.in.sin_family = AF_INET;
    to.in.sin_port = sa.in6.sin6_port;
    std::memcpy(&to.in.sin_addr, sa.in6.sin6_addr.s6_addr + 12, sizeof(to.in.sin_addr));
    return to;
}

/// Whether the listener receives on all addresses of the family.
bool has_all(const Listening& ls, sa_family_t family) noexcept
{
    const sa_family_t own = ls.sockaddr.any.sa_family;
    return inet_wildcard(&ls.sockaddr.any) &&
           (own == family || (own == AF_INET6 && family == AF_INET && !ls.ipv6only));
}

/// Whether a datagram was sent by a datagram listener of this server. A wildcard listener is
/// recognized as the sender only if the datagram came over the loopback interface to another
/// wildcard listener. A listener with a single address may answer such a datagram once; the answer
/// is dropped on arrival.
///
/// Differs from nginx: such a datagram is dropped. In nginx a datagram with a forged source makes
/// `return` answer itself for ever. The check makes no system call: it looks up the port of a new
/// client in a table. It adds 30 instructions to about 1900 for a datagram that `return` answers,
/// or 44 if the listener is a wildcard; 9 or 22 to about 700 for a further datagram of a client of
/// `echo`.
bool from_listener(const Datagram& d) noexcept
{
    if (!state.ports.test(inet_get_port(&d.sa.any))) {
        return false;
    }
    const SockaddrUnion sa = unmapped(d.sa);
    const auto is_source = [&](const Listening& ls) {
        if (ls.type != SOCK_DGRAM || inet_get_port(&ls.sockaddr.any) != inet_get_port(&sa.any)) {
            return false;
        }
        return cmp_sockaddr(&sa.any, d.socklen, &ls.sockaddr.any, ls.socklen, true) == Rc::ok ||
               (d.over_loopback && has_all(ls, sa.any.sa_family));
    };
    return std::ranges::any_of(ngx_cycle->listening, is_source);
}

/// Counts a dropped datagram, and logs whenever the count has reached a power of two.
void note_looped(const Event& ev, const Datagram& d) noexcept
{
    state.looped++;
    if (!std::has_single_bit(state.looped)) {
        return;
    }
    log_error(log_warn, ev.log, 0,
              "datagram from {}, which is a listener of this server, is dropped, {} so far",
              SockaddrText(&d.sa.any, d.socklen, true).view(), state.looped);
}

/// Uses the client's log, because debug_connection may have raised its level, but without the text
/// that its handler would add.
void log_known(Connection& c, std::size_t size) noexcept
{
    if constexpr (have_debug) {
        const LogHandler handler = std::exchange(c.log->handler, nullptr);
        log_debug(log_debug_event, c.log, 0, "recvmsg: fd:{} n:{}", c.fd, size);
        c.log->handler = handler;
    }
}

/// Handles a datagram that the handler did not read: it is lost, since it cannot be stored.
///
/// Differs from nginx: such datagrams are counted, and the first of each client is logged. nginx
/// drops them silently.
void note_dropped(const Connection& c) noexcept
{
    assert(c.udp && c.udp->buffer);
    c.udp->buffer = nullptr;
    if (c.udp->dropped++ == 0) {
        log_error(log_warn, c.log, 0, "datagrams are dropped");
    }
}

/// Calls the client's read handler, which may read the datagram with udp_shared_recv().
void hand_over(Connection& c, std::size_t size) noexcept
{
    assert(c.shared && c.udp && !c.udp->buffer);
    assert(size <= state.buffer.size());
    log_known(c, size);

    Buf buf;
    buf.pos = state.buffer.data();
    buf.last = buf.pos + size;
    buf.memory = 1;
    c.udp->buffer = &buf;

    Event& rev = *c.read;
    const std::uint64_t number = c.number;
    rev.ready = 1;
    rev.active = 0;
    rev.handler(rev);

    // The handler may have closed the connection, and another connection may use its slot by now.
    if (rev.closed || c.number != number) {
        return;
    }
    if (c.udp && c.udp->buffer) {
        note_dropped(c);
    }
    rev.ready = 0;
    rev.active = 1;
}

/// The `recv` of a connection with a shared descriptor: returns the current datagram, truncated to
/// `size` bytes.
///
/// nginx: ngx_udp_shared_recv()
ssize_t udp_shared_recv(Connection& c, char* buf, std::size_t size) noexcept
{
    assert(c.shared);
    c.read->ready = 0;
    c.read->active = 1;
    if (!c.udp || !c.udp->buffer) {
        return io_again;
    }
    const Buf& b = *std::exchange(c.udp->buffer, nullptr);
    const std::size_t n = std::min(static_cast<std::size_t>(b.last - b.pos), size);
    std::memcpy(buf, b.pos, n);
    return static_cast<ssize_t>(n);
}

/// Counts down the sessions. The last session of a listener that receives no more closes the
/// descriptor.
void release_descriptor(UdpConnections& known) noexcept
{
    assert(known.sessions > 0);
    known.sessions--;
    if (known.sessions == 0 && known.fd != invalid_socket && io.close(known.fd) == -1) {
        log_error(log_alert, ngx_cycle->log, errno, "close() {} failed", known.fd);
    }
}

/// nginx: ngx_insert_udp_connection()
void insert_udp_connection(Connection& c)
{
    assert(c.pool && !c.udp);
    assert(c.listening && c.listening->udp_connections);
    c.udp = c.pool->create<UdpConnection>();
    c.udp->connection = &c;
    // Cleanups run in reverse order, so this one runs while the object still exists.
    c.pool->cleanup_add(
        [](void* data) {
            Connection& ended = *static_cast<Connection*>(data);
            delete_udp_connection(ended);
            release_descriptor(*ended.listening->udp_connections);
        },
        &c);
    c.listening->udp_connections->sessions++;
    c.listening->udp_connections->insert(*c.udp);
}

sockaddr* copy_address(Pool& pool, const SockaddrUnion& sa, socklen_t socklen)
{
    return static_cast<sockaddr*>(std::memcpy(pool.palloc(socklen), &sa, socklen));
}

/// Allocates the connection's pool, and in it the addresses, the log and the first datagram.
void init_udp_connection(Connection& c, Listening& ls, const Datagram& d)
{
    c.shared = 1;
    c.type = SOCK_DGRAM;
    c.listening = &ls;
    stat_active->fetch_add(1, std::memory_order_relaxed);

    c.pool = create_pool(ls.pool_size, ls.connection->log);
    c.socklen = d.socklen;
    c.sockaddr = copy_address(*c.pool, d.sa, d.socklen);
    c.local_socklen = d.local_socklen;
    c.local_sockaddr =
        ls.wildcard ? copy_address(*c.pool, d.local_sa, d.local_socklen) : &ls.sockaddr.any;

    c.log = c.pool->create<Log>(ls.log);
    c.pool->log = c.log;

    c.recv = udp_shared_recv;
    c.send = io.udp_send;
    c.send_chain = io.udp_send_chain;

    c.buffer = create_temp_buf(*c.pool, d.size);
    c.buffer->last = std::copy_n(state.buffer.data(), d.size, c.buffer->last);

    // The poller watches the descriptor for the listener, so it must not be added again.
    c.read->active = 1;
    c.write->ready = 1;
    c.read->log = c.log;
    c.write->log = c.log;

    if (ls.addr_ntop) {
        set_addr_text(c);
    }
}

void log_received(Connection& c, const EventConf& ecf, std::size_t size) noexcept
{
    if constexpr (have_debug) {
        debug_accepted_connection(ecf, c);

        log_debug(log_debug_event, c.log, 0, "*{} recvmsg: {} fd:{} n:{}", c.number,
                  SockaddrText(c.sockaddr, c.socklen, true).view(), c.fd, size);
    }
}

/// Releases the connection but not its descriptor, which belongs to the listener.
///
/// nginx: ngx_close_accepted_udp_connection()
void close_accepted_udp_connection(Connection& c) noexcept
{
    free_connection(c);
    c.fd = invalid_socket;
    if (c.pool) {
        destroy_pool(c.pool);
    }
    stat_active->fetch_sub(1, std::memory_order_relaxed);
}

/// Initializes the connection before its owner gets it, and adds its client to the tree. Returns
/// error, after a log line, if there is no memory.
Rc prepare_udp_connection(Connection& c, Listening& ls, const Datagram& d) noexcept
{
    return no_throw(c.log, [&] {
        init_udp_connection(c, ls, d);
        insert_udp_connection(c);
        return Rc::ok;
    });
}

/// Creates a connection for a datagram and passes it to the listener's handler. Returns false, and
/// the datagram is lost, if there is no free connection or no memory.
bool take_client(const Event& ev, const EventConf& ecf, Listening& ls, const Datagram& d) noexcept
{
    assert(ls.type == SOCK_DGRAM);
    assert(ls.handler);
    stat_accepted->fetch_add(1, std::memory_order_relaxed);
    update_accept_disabled();

    Connection* const c = get_connection(ls.fd, ev.log);
    if (!c) {
        return false;
    }
    if (prepare_udp_connection(*c, ls, d) != Rc::ok) {
        close_accepted_udp_connection(*c);
        return false;
    }

    begin_connection(*c);

    log_received(*c, ecf, d.size);
    event_observed(EventFactType::accepted, *c);

    c->log->data = nullptr;
    c->log->handler = nullptr;
    ls.handler(*c);
    return true;
}

/// Connects a socket that no server will read any more to itself, so that it receives nothing,
/// while sessions of this or another process can still send through it. The kernel rejects new
/// datagrams, or delivers them to another socket with the same address.
void refuse_datagrams(const Listening& ls) noexcept
{
    if (ls.type != SOCK_DGRAM || ls.sockaddr.any.sa_family == AF_UNIX || !owns_socket(ls)) {
        return;
    }
    if (::connect(ls.fd, &ls.sockaddr.any, ls.socklen) == -1) {
        log_error(log_alert, ngx_cycle->log, errno,
                  "connect() of the closed listener {} failed, ignored", ls.addr_text);
    }
}

/// The send buffer may have room again: posts the write events that are waiting.
void retry_writes(Event&) noexcept
{
    while (!state.waiting.empty()) {
        Event& wev = state.waiting.front();
        delete_posted_event(wev);
        assert(event_shared(wev));
        wev.ready = 1;
        post_event(wev, posted_events);
    }
}

}  // namespace

UdpKey udp_key(const Listening& ls, const sockaddr* client, socklen_t client_len,
               const sockaddr* local, socklen_t local_len) noexcept
{
    const auto bytes = [](const sockaddr* sa, socklen_t len) {
        return std::string_view(reinterpret_cast<const char*>(sa), len);
    };
    return {bytes(client, client_len), ls.wildcard ? bytes(local, local_len) : std::string_view()};
}

void init_udp_ports(const Cycle& cycle) noexcept
{
    state.ports.reset();
    state.looped = 0;
    for (const Listening& ls : cycle.listening) {
        if (ls.type == SOCK_DGRAM) {
            state.ports.set(inet_get_port(&ls.sockaddr.any));
        }
    }
    state.ports.reset(0);  // the port of unix sockets
}

/// Differs from nginx: under multi_accept the number of datagrams received in one turn is limited,
/// so that one source that sends as fast as it is answered cannot prolong the turn without end. The
/// cost is one more wait of the poller for every 64 waiting datagrams.
void event_recvmsg(Event& ev) noexcept
{
    assert(ev.accept && ev.data);
    if (ev.timedout && resume_accepting(ev) != Rc::ok) {
        return;
    }

    const EventConf& ecf = *event_get_conf<EventConf>(ngx_cycle->conf_ctx);
    const Connection& lc = connection_of(ev);
    Listening& ls = *lc.listening;
    ev.available = *ecf.multi_accept;
    ev.ready = 0;

    log_debug(log_debug_event, ev.log, 0, "recvmsg on {}, ready: {}", ls.addr_text, ev.available);

    int left = udp_max_per_turn;
    do {
        left--;
        Datagram d;
        const Rc rc = receive(ev, ls, d);
        if (rc == Rc::declined) {
            continue;
        }
        if (rc != Rc::ok) {
            return;
        }
        if (Connection* const c = lookup_udp_connection(ls, d)) {
            hand_over(*c, d.size);
        } else if (from_listener(d)) {
            note_looped(ev, d);
        } else if (!take_client(ev, ecf, ls, d)) {
            return;
        }
    } while (ev.available && left > 0);

    if (ev.available) {
        post_event(ev, posted_next_events);
    }
}

void delete_udp_connection(Connection& c) noexcept
{
    if (UdpConnection* const udp = std::exchange(c.udp, nullptr)) {
        UdpConnections& known = *c.listening->udp_connections;
        known.erase(known.iterator_to(*udp));
    }
}

bool close_udp_connections(const Listening& ls) noexcept
{
    assert(in_loop_thread());
    assert(ls.fd != invalid_socket);
    refuse_datagrams(ls);
    if (!ls.udp_connections) {
        return false;  // not a datagram listener, or one that this process does not serve
    }
    UdpConnections& known = *ls.udp_connections;
    known.closing = true;
    // Asks every session on this descriptor, including those whose client was removed from the
    // tree.
    const auto ask = [&](Cycle& cycle) {
        for (Connection& c : connections_of(cycle)) {
            if (c.shared && c.fd == ls.fd) {
                c.read->handler(*c.read);
            }
        }
    };
    ask(*ngx_cycle);
    for (Cycle* old : old_cycles) {
        ask(*old);
    }
    if (known.sessions == 0) {
        return false;
    }
    known.fd = ls.fd;
    return true;
}

void udp_wait_to_write(Event& wev) noexcept
{
    assert(event_shared(wev) && wev.write);
    assert(!wev.ready);
    post_event(wev, state.waiting);

    Event& retry = state.retry;
    if (!retry.timer_set()) {
        retry.handler = retry_writes;
        retry.data = &state.dumb;
        retry.log = ngx_cycle->log;
        retry.cancelable = 1;
        add_timer(retry, retry_delay);
    }
}

}  // namespace ngx
