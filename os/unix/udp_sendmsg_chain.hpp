#pragma once

#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/core.hpp"
#include "os/unix/iovec.hpp"

namespace ngx {

/// The local address in a control message.
///
/// nginx: ngx_addrinfo_t
union AddrInfo {
    in_pktinfo pkt;
    in6_pktinfo pkt6;
};

/// Collects the first datagram of a chain, which ends with the first buffer that has `flush` or
/// `last_buf`. Returns the link after it, `in` if the datagram is incomplete, or chain_error after
/// logging if a buffer is not in memory or the datagram has too many parts.
///
/// nginx: ngx_udp_output_chain_to_iovec()
Chain* udp_output_chain_to_iovec(IoVec& vec, Chain* in, Log* log) noexcept;

/// Sends the collected bytes to the connection's peer, from the address to which the peer has
/// written. Returns the number of bytes, io_again, or io_error after logging. With a `segment` they
/// are several datagrams of that size in bytes, the last of which may be shorter; if the system
/// cannot send several at once, it returns Rc::declined as a number, and nothing was sent.
///
/// nginx: ngx_sendmsg_vec()
ssize_t sendmsg_vec(Connection& c, IoVec& vec, std::uint16_t segment) noexcept;

/// Sends a message once. Returns the number of bytes, io_again, or io_error after logging.
///
/// nginx: ngx_sendmsg()
ssize_t sendmsg(Connection& c, const msghdr& msg, int flags) noexcept;

/// Writes a control message that makes `local_sockaddr` the source of a datagram. `cmsg` must have
/// space for an AddrInfo. Returns the length of the control data, 0 for an address of another
/// family.
///
/// nginx: ngx_set_srcaddr_cmsg()
std::size_t set_srcaddr_cmsg(cmsghdr& cmsg, const sockaddr* local_sockaddr) noexcept;

/// If the message has the local address that a datagram was sent to, and it is of the same family
/// as `local_sockaddr`, copies the address there and returns true; otherwise returns false.
///
/// nginx: ngx_get_srcaddr_cmsg()
bool get_srcaddr_cmsg(const cmsghdr& cmsg, sockaddr* local_sockaddr) noexcept;

/// Resets what is known about sending several datagrams at once. For tests.
void udp_reset_segments() noexcept;

}  // namespace ngx
