#pragma once

#include <boost/intrusive/set.hpp>

#include <string_view>
#include <utility>

#include "core/buf.hpp"
#include "core/connection.hpp"
#include "core/core.hpp"
#include "event/event.hpp"

namespace ngx {

/// A client of a datagram listener, between its first datagram and the end of its session. It lies
/// in the pool of its connection.
///
/// nginx: ngx_udp_connection_t
struct UdpConnection {
    boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>> node{};
    Connection* connection = nullptr;
    Buf* buffer = nullptr;    // the datagram that its read handler is being called for
    std::size_t dropped = 0;  // datagrams that it did not take
};

/// How many datagrams a listener takes in one turn of the loop.
inline constexpr int udp_max_per_turn = 64;

/// The size of the datagram that the read handler of a client's connection is being called for.
inline std::size_t udp_datagram_size(const Connection& c) noexcept
{
    return c.udp && c.udp->buffer ? buf_size(*c.udp->buffer) : 0;
}

/// The bytes of the client's address and, of a wildcard listener, those of the one it writes to.
using UdpKey = std::pair<std::string_view, std::string_view>;

UdpKey udp_key(const Listening& ls, const sockaddr* client, socklen_t client_len,
               const sockaddr* local, socklen_t local_len) noexcept;

/// What the tree is ordered by.
struct UdpKeyOf {
    using type = UdpKey;
    UdpKey operator()(const UdpConnection& udp) const noexcept
    {
        const Connection& c = *udp.connection;
        return udp_key(*c.listening, c.sockaddr, c.socklen, c.local_sockaddr, c.local_socklen);
    }
};

/// The clients of a listener, and the sessions that share its descriptor: a client may be forgotten
/// while its session goes on. Unix sockets without a name are all alike, hence not a set.
struct UdpConnections
    : boost::intrusive::multiset<
          UdpConnection,
          boost::intrusive::member_hook<
              UdpConnection,
              boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>>,
              &UdpConnection::node>,
          boost::intrusive::key_of_value<UdpKeyOf>, boost::intrusive::constant_time_size<false>> {
    std::size_t sessions = 0;
    bool closing = false;     // close_udp_connections() was called
    int fd = invalid_socket;  // when closing: to be closed with the last session
};

/// The read handler of a datagram listener: takes one datagram or, under multi_accept, all that
/// wait, but no more in one turn than udp_max_per_turn. That of a known client goes to the read
/// handler of its connection, whose `recv` gives it out; a new client gets a connection that shares
/// the listener's descriptor and has the datagram in its `buffer`.
///
/// nginx: ngx_event_recvmsg()
void event_recvmsg(Event& ev) noexcept;

/// Notes the ports of the cycle's datagram listeners, from which no client sends.
void init_udp_ports(const Cycle& cycle) noexcept;

/// Forgets the client: its next datagram begins a new session, while this one may go on. Happens by
/// itself when the connection's pool goes.
///
/// nginx: ngx_delete_udp_connection()
void delete_udp_connection(Connection& c) noexcept;

/// Whether the connection is one of a datagram listener that receives no more. A session that has
/// nothing to send, and will have nothing, should end itself when it finds this true.
inline bool udp_is_closing(const Connection& c) noexcept
{
    return c.shared && c.listening->udp_connections->closing;
}

/// Asks every session of a datagram listener that receives no more to end: calls its read handler,
/// which finds udp_is_closing(). True if some go on, as they have an answer to send: they have the
/// descriptor now, which is closed when the last of them ends. False if the caller has to close it.
/// Other listeners are left alone.
///
/// The last server that has the socket also lets it receive no datagrams, which no process would
/// read. When the new workers of a reload cannot start, the old ones, which go on, receive none
/// either on listeners that the new configuration does not have.
///
/// Differs from nginx: requests under way get their answers. nginx closes the descriptor under the
/// sessions, and the answers are lost. An old worker waits for answers that do not come as long as
/// proxy_timeout and worker_shutdown_timeout allow; a session costs a counter more.
bool close_udp_connections(const Listening& ls) noexcept;

}  // namespace ngx
