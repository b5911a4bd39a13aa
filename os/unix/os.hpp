#pragma once

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "core/core.hpp"

namespace ngx {

union SockaddrUnion;

/// A flag of OsIo: send_chain sends files.
///
/// nginx: NGX_IO_SENDFILE
inline constexpr unsigned io_sendfile = 1;

/// The functions that move data, and those that come before and after. A poller sets `io` in its
/// init; accepted connections copy those that move data from `io`.
///
/// Differs from nginx: nginx calls accept4(), setsockopt(), recvmsg(), sendmsg(), shutdown() and
/// close() itself. A poller that sends later than it is told to must also close later, and one
/// whose kernel accepts must be asked for the connection. The cost is three calls through a pointer
/// for each connection, and two for a datagram and its answer.
///
/// nginx: ngx_os_io_t
struct OsIo {
    /// Accepts a connection of a listener, nonblocking while inherited_nonblocking is true. Writes
    /// its address. Returns the descriptor, or -1 with errno.
    ///
    /// Used where nginx calls accept4(), in ngx_event_accept().
    int (*accept)(Connection& lc, SockaddrUnion& sa, socklen_t& socklen) noexcept = nullptr;

    /// Sets TCP_NODELAY. Returns -1 with errno on failure.
    ///
    /// Used where nginx calls setsockopt(), in ngx_tcp_nodelay().
    int (*nodelay)(Connection& c) noexcept = nullptr;

    /// Receives a datagram of a listener, as recvmsg(2) without flags: its data, which has one
    /// piece of 65,535 bytes or more, its address and its control data. Returns its length, or -1
    /// with errno.
    ///
    /// Used where nginx calls recvmsg(), in ngx_event_recvmsg().
    ssize_t (*recvmsg)(Connection& lc, msghdr& msg) noexcept = nullptr;

    /// Sends a datagram to the connection's peer, as sendmsg(2). Returns its length, or -1 with
    /// errno.
    ///
    /// Used where nginx calls sendmsg(), in ngx_sendmsg().
    ssize_t (*sendmsg)(Connection& c, const msghdr& msg, int flags) noexcept = nullptr;

    /// nginx: ngx_recv(), ngx_recv_pt
    ssize_t (*recv)(Connection& c, char* buf, std::size_t size) noexcept = nullptr;

    /// nginx: ngx_recv_chain(), ngx_recv_chain_pt
    ssize_t (*recv_chain)(Connection& c, Chain* in, off_t limit) noexcept = nullptr;

    /// nginx: ngx_udp_recv()
    ssize_t (*udp_recv)(Connection& c, char* buf, std::size_t size) noexcept = nullptr;

    /// nginx: ngx_send(), ngx_send_pt
    ssize_t (*send)(Connection& c, const char* buf, std::size_t size) noexcept = nullptr;

    /// nginx: ngx_udp_send()
    ssize_t (*udp_send)(Connection& c, const char* buf, std::size_t size) noexcept = nullptr;

    /// nginx: ngx_udp_send_chain()
    Chain* (*udp_send_chain)(Connection& c, Chain* in, off_t limit) noexcept = nullptr;

    /// nginx: ngx_send_chain(), ngx_send_chain_pt
    Chain* (*send_chain)(Connection& c, Chain* in, off_t limit) = nullptr;

    /// Closes one or both directions of a connection, as shutdown(2). Returns -1 with errno on
    /// failure.
    ///
    /// nginx: ngx_shutdown_socket()
    int (*shutdown)(Connection& c, int how) noexcept = nullptr;

    /// Closes the socket of a connection that the poller does not watch any more. Returns -1 with
    /// errno on failure.
    ///
    /// nginx: ngx_close_socket()
    int (*close)(int fd) noexcept = nullptr;

    unsigned flags = 0;  // io_sendfile
};

/// The functions of the system, and those of the poller in use.
///
/// nginx: ngx_os_io, ngx_io
extern const OsIo os_io;
extern OsIo io;

/// Results of os_init(): the processors that are online, the bytes of a page, and how many files
/// the process may have open.
///
/// nginx: ngx_ncpu, ngx_pagesize, ngx_max_sockets
extern int ncpu;
extern std::size_t pagesize;
extern long max_sockets;

/// True while accept4() makes accepted sockets nonblocking; false once it has failed with ENOSYS.
///
/// nginx: ngx_inherited_nonblocking
extern bool inherited_nonblocking;

/// Reads the properties of the system: processors, page size, limits, kernel. Returns error after
/// logging.
///
/// nginx: ngx_os_init()
Rc os_init(Log* log);

/// Logs what os_init() has read.
///
/// nginx: ngx_os_status()
void os_status(Log* log);

/// Reads the name and the release of the kernel. Returns error after logging.
///
/// nginx: ngx_os_specific_init()
Rc os_specific_init(Log* log);

/// Logs what os_specific_init() has read.
///
/// nginx: ngx_os_specific_status()
void os_specific_status(Log* log);

/// Reads once, up to `size` bytes. Returns the number of bytes, 0 at the end of the data, io_again,
/// or io_error after logging. Updates `ready`, `eof`, `error` and `available` of the read event.
///
/// nginx: ngx_unix_recv()
ssize_t unix_recv(Connection& c, char* buf, std::size_t size) noexcept;

/// Reads as unix_recv() does, into the free space of a chain's buffers, up to `limit` bytes (0: no
/// limit). Does not change their `last`.
///
/// nginx: ngx_readv_chain()
ssize_t readv_chain(Connection& c, Chain* in, off_t limit) noexcept;

/// Writes once. Returns the number of bytes, io_again, or io_error after logging.
///
/// nginx: ngx_unix_send()
ssize_t unix_send(Connection& c, const char* buf, std::size_t size) noexcept;

/// Writes a chain until all of it is sent, the socket is full, or `limit` bytes (0: no limit) are
/// sent. Returns the rest, null if there is none, or chain_error after logging. If there is a rest
/// below the limit, the write event is not ready any more.
///
/// nginx: ngx_writev_chain()
Chain* writev_chain(Connection& c, Chain* in, off_t limit) noexcept;

/// Sends as writev_chain() does, and also buffers in files. A thread sends a file whose owner has
/// set a thread_handler. Sends at most 2 GB in one call.
///
/// nginx: ngx_linux_sendfile_chain()
Chain* linux_sendfile_chain(Connection& c, Chain* in, off_t limit);

/// Receives the next datagram, cut to `size` bytes. Returns its length, which may be 0, io_again,
/// or io_error after logging.
///
/// nginx: ngx_udp_unix_recv()
ssize_t udp_unix_recv(Connection& c, char* buf, std::size_t size) noexcept;

/// Sends one datagram to the connection's peer. Returns its length, io_again, or io_error after
/// logging. For a wildcard socket the system chooses the source address; udp_unix_sendmsg_chain()
/// uses the address to which the peer has written.
///
/// nginx: ngx_udp_unix_send()
ssize_t udp_unix_send(Connection& c, const char* buf, std::size_t size) noexcept;

/// Sends a chain of datagrams to the connection's peer, until all are sent, the socket is full, or
/// `limit` bytes (0: no limit) are sent. A datagram ends with a buffer that has `flush` or
/// `last_buf`. Returns the rest, null if there is none, or chain_error after logging. A rest below
/// the limit is either an incomplete datagram, or the write event is not ready any more.
///
/// nginx: ngx_udp_unix_sendmsg_chain()
Chain* udp_unix_sendmsg_chain(Connection& c, Chain* in, off_t limit) noexcept;

/// Makes a socket nonblocking. Returns -1 with errno on failure.
///
/// nginx: ngx_nonblocking()
int nonblocking(int s) noexcept;

/// Sets TCP_CORK. Returns -1 with errno on failure.
///
/// nginx: ngx_tcp_nopush()
int tcp_nopush(int s) noexcept;

/// Clears TCP_CORK. Returns -1 with errno on failure.
///
/// nginx: ngx_tcp_push()
int tcp_push(int s) noexcept;

/// Returns the system's text for an errno. Does not allocate.
///
/// nginx: ngx_strerror()
const char* strerror(Err err) noexcept;

}  // namespace ngx
