#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "core/core.hpp"

namespace ngx {

inline constexpr unsigned io_sendfile = 1;

/// The calls that move data. A poller chooses them in its init; an accepted connection takes them
/// from `io`.
///
/// nginx: ngx_os_io_t
struct OsIo {
    ssize_t (*recv)(Connection& c, char* buf, std::size_t size) noexcept = nullptr;
    ssize_t (*recv_chain)(Connection& c, Chain* in, off_t limit) noexcept = nullptr;
    ssize_t (*udp_recv)(Connection& c, char* buf, std::size_t size) noexcept = nullptr;
    ssize_t (*send)(Connection& c, const char* buf, std::size_t size) noexcept = nullptr;
    ssize_t (*udp_send)(Connection& c, const char* buf, std::size_t size) noexcept = nullptr;
    Chain* (*udp_send_chain)(Connection& c, Chain* in, off_t limit) noexcept = nullptr;
    Chain* (*send_chain)(Connection& c, Chain* in, off_t limit) = nullptr;
    unsigned flags = 0;  // io_sendfile
};

extern const OsIo os_io;
extern OsIo io;

extern int ncpu;
extern std::size_t pagesize;
extern long max_sockets;

/// False until a socket that accept4() returns is found to be blocking.
extern bool inherited_nonblocking;

/// Finds out what the system is like: processors, page size, limits, kernel.
///
/// nginx: ngx_os_init()
Rc os_init(Log* log);

/// Logs what os_init() has found.
///
/// nginx: ngx_os_status()
void os_status(Log* log);

/// nginx: ngx_os_specific_init()
Rc os_specific_init(Log* log);

/// nginx: ngx_os_specific_status()
void os_specific_status(Log* log);

/// Reads once, up to `size` bytes: their number, 0 at the end of the data, io_again, or io_error
/// after a log line. Keeps `ready`, `eof`, `error` and `available` of the read event.
///
/// nginx: ngx_unix_recv()
ssize_t unix_recv(Connection& c, char* buf, std::size_t size) noexcept;

/// As unix_recv(), into the free ends of a chain's buffers, at most `limit` bytes unless it is 0.
/// Does not move their `last`.
///
/// nginx: ngx_readv_chain()
ssize_t readv_chain(Connection& c, Chain* in, off_t limit) noexcept;

/// Writes once: the number of bytes, io_again, or io_error after a log line.
///
/// nginx: ngx_unix_send()
ssize_t unix_send(Connection& c, const char* buf, std::size_t size) noexcept;

/// Writes a chain until it is all sent, the socket is full, or `limit` bytes (0: no limit) are
/// sent. Returns what is left, null if nothing, or chain_error after a log line. When something
/// is left below the limit, the write event is not ready any more.
///
/// nginx: ngx_writev_chain()
Chain* writev_chain(Connection& c, Chain* in, off_t limit) noexcept;

/// As writev_chain(), but that a buffer may be a piece of a file; a file whose owner has threads is
/// sent by one of them. At most 2 GB go in one call.
///
/// nginx: ngx_linux_sendfile_chain()
Chain* linux_sendfile_chain(Connection& c, Chain* in, off_t limit);

/// Takes the next datagram, cut to `size` bytes: its length, which may be 0, io_again, or io_error
/// after a log line.
///
/// nginx: ngx_udp_unix_recv()
ssize_t udp_unix_recv(Connection& c, char* buf, std::size_t size) noexcept;

/// Sends one datagram to the connection's peer: its length, io_again, or io_error after a log line.
/// From a wildcard socket it comes from the address that the system chooses;
/// udp_unix_sendmsg_chain() sends from the one that the peer has written to.
///
/// nginx: ngx_udp_unix_send()
ssize_t udp_unix_send(Connection& c, const char* buf, std::size_t size) noexcept;

/// Sends a chain of datagrams to the connection's peer, each of which ends with a buffer that has
/// `flush` or `last_buf`, until all are sent, the socket is full, or `limit` bytes (0: no limit)
/// are sent. Returns what is left, null if nothing, or chain_error after a log line. What is left
/// is either a datagram whose end has not come yet, or the write event is not ready any more.
///
/// nginx: ngx_udp_unix_sendmsg_chain()
Chain* udp_unix_sendmsg_chain(Connection& c, Chain* in, off_t limit) noexcept;

/// nginx: ngx_nonblocking()
int nonblocking(int s) noexcept;

/// TCP_CORK on.
///
/// nginx: ngx_tcp_nopush()
int tcp_nopush(int s) noexcept;

/// TCP_CORK off.
///
/// nginx: ngx_tcp_push()
int tcp_push(int s) noexcept;

/// The system's text for an errno.
///
/// nginx: ngx_strerror()
const char* strerror(Err err) noexcept;

}  // namespace ngx
