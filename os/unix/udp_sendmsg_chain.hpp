#pragma once

#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/core.hpp"
#include "os/unix/iovec.hpp"

namespace ngx {

/// What a control message may say of a datagram's local address.
///
/// nginx: ngx_addrinfo_t
union AddrInfo {
    in_pktinfo pkt;
    in6_pktinfo pkt6;
};

/// Collects the datagram that a chain begins with: it ends with the first buffer that has `flush`
/// or `last_buf`. Returns the link behind it; `in` when its end has not come yet; or chain_error,
/// after an alert, when a buffer is not in memory or the datagram has too many parts.
///
/// nginx: ngx_udp_output_chain_to_iovec()
Chain* udp_output_chain_to_iovec(IoVec& vec, Chain* in, Log* log) noexcept;

/// Sends what was collected to the connection's peer, from the address that the peer has written
/// to: the number of bytes, io_again, or io_error after a log line. With a `segment` it is not one
/// datagram but several of so many bytes each, the last of them perhaps shorter; when the system
/// does not send several at once, declined (as a number) is returned and nothing was sent.
///
/// nginx: ngx_sendmsg_vec()
ssize_t sendmsg_vec(Connection& c, IoVec& vec, std::uint16_t segment) noexcept;

/// Sends a message once: the number of bytes, io_again, or io_error after a log line.
///
/// nginx: ngx_sendmsg()
ssize_t sendmsg(Connection& c, const msghdr& msg, int flags) noexcept;

/// Writes a control message that makes `local_sockaddr` the source of a datagram; `cmsg` has room
/// for an AddrInfo. Returns the length of the control data, 0 for an address of another family.
///
/// nginx: ngx_set_srcaddr_cmsg()
std::size_t set_srcaddr_cmsg(cmsghdr& cmsg, const sockaddr* local_sockaddr) noexcept;

/// If the message says which of our addresses a datagram was sent to, puts that into
/// `local_sockaddr`, whose family it has to be of: ok, else declined.
///
/// nginx: ngx_get_srcaddr_cmsg()
Rc get_srcaddr_cmsg(const cmsghdr& cmsg, sockaddr* local_sockaddr) noexcept;

/// Forgets what was found out about sending several datagrams at once. For tests.
void udp_reset_segments() noexcept;

}  // namespace ngx
