#pragma once

#include <boost/intrusive/set.hpp>

#include <string_view>
#include <utility>

#include "core/buf.hpp"
#include "core/connection.hpp"
#include "core/core.hpp"
#include "event/event.hpp"

namespace ngx {

/// A client of a datagram listener, from its first datagram to the end of its session. Allocated in
/// the pool of its connection, which owns it. Only the loop's thread uses it.
///
/// nginx: ngx_udp_connection_t
struct UdpConnection {
    boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>> node{};
    Connection* connection = nullptr;
    Buf* buffer = nullptr;    // the datagram for which the read handler is running
    std::size_t dropped = 0;  // datagrams that the handler did not read
};

/// The maximum number of datagrams that a listener receives in one turn of the loop.
inline constexpr int udp_max_per_turn = 64;

/// Returns the size of the datagram for which the read handler of the connection is running; 0 if
/// there is none or it was read already.
inline std::size_t udp_datagram_size(const Connection& c) noexcept
{
    return c.udp && c.udp->buffer ? buf_size(*c.udp->buffer) : 0;
}

/// Identifies a client: the bytes of its address and, for a wildcard listener, of the local address
/// that it sends to.
using UdpKey = std::pair<std::string_view, std::string_view>;

/// Returns the key of a client. Its views refer to the bytes of the addresses.
UdpKey udp_key(const Listening& ls, const sockaddr* client, socklen_t client_len,
               const sockaddr* local, socklen_t local_len) noexcept;

/// Extracts the key of the tree.
struct UdpKeyOf {
    using type = UdpKey;
    UdpKey operator()(const UdpConnection& udp) const noexcept
    {
        const Connection& c = *udp.connection;
        return udp_key(*c.listening, c.sockaddr, c.socklen, c.local_sockaddr, c.local_socklen);
    }
};

/// The clients of a datagram listener, and the number of sessions that share its descriptor: a
/// client may be removed from the tree while its session continues. A multiset, because all unix
/// sockets without a name have the same key. The tree owns no clients, and only the loop's thread
/// uses it.
struct UdpConnections
    : boost::intrusive::multiset<
          UdpConnection,
          boost::intrusive::member_hook<
              UdpConnection,
              boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>>,
              &UdpConnection::node>,
          boost::intrusive::key_of_value<UdpKeyOf>, boost::intrusive::constant_time_size<false>> {
    std::size_t sessions = 0;
    bool closing = false;     // set by close_udp_connections()
    int fd = invalid_socket;  // when closing: the last session closes it
};

/// The read handler of a datagram listener: receives one datagram or, under multi_accept, all that
/// are waiting, but at most udp_max_per_turn in one turn. For a datagram of a known client it calls
/// the read handler of the client's connection, whose `recv` returns the datagram. A new client
/// gets a connection that shares the listener's descriptor and has the datagram in its `buffer`.
///
/// nginx: ngx_event_recvmsg()
void event_recvmsg(Event& ev) noexcept;

/// Records the ports of the cycle's datagram listeners. Datagrams from these listeners are dropped.
void init_udp_ports(const Cycle& cycle) noexcept;

/// Removes the client from the tree: its next datagram starts a new session, while this session may
/// continue. Called automatically when the connection's pool is destroyed. Does nothing if the
/// client was removed already.
///
/// nginx: ngx_delete_udp_connection()
void delete_udp_connection(Connection& c) noexcept;

/// Whether the connection belongs to a datagram listener that receives no more. A session that
/// finds this true, and has nothing to send or to wait for, should end itself.
inline bool udp_is_closing(const Connection& c) noexcept
{
    return c.shared && c.listening->udp_connections->closing;
}

/// Asks every session of a datagram listener that receives no more to end: calls its read handler,
/// which finds that udp_is_closing() is true. Returns true if some sessions continue because they
/// still have an answer to send: they now own the descriptor, and the last of them closes it.
/// Returns false if the caller has to close the descriptor. Does nothing and returns false for
/// other listeners.
///
/// The last server that uses the socket also makes it receive no more datagrams, since no process
/// would read them. If the new workers of a reload cannot start, the old workers continue, but
/// receive no datagrams on listeners that the new configuration does not have.
///
/// Differs from nginx: requests in progress get their answers. nginx closes the descriptor while
/// sessions use it, and the answers are lost. An old worker waits for missing answers for as long
/// as proxy_timeout and worker_shutdown_timeout allow; each session costs one more counter update.
bool close_udp_connections(const Listening& ls) noexcept;

}  // namespace ngx
