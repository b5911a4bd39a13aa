#pragma once

#include <memory>
#include <string_view>
#include <sys/socket.h>

#include <boost/intrusive/list.hpp>

#include "core/core.hpp"
#include "core/inet.hpp"
#include "core/log.hpp"

namespace ngx {

/// A socket that listens, or will. The listeners of a cycle stand in its `listening`; their
/// addresses stay the same once the configuration has been read.
///
/// nginx: ngx_listening_t
struct Listening {
    int fd = invalid_socket;

    SockaddrUnion sockaddr{};
    socklen_t socklen = 0;
    std::string_view addr_text{};

    int type = SOCK_STREAM;
    int protocol = 0;

    int backlog = listen_backlog;
    int rcvbuf = -1;
    int sndbuf = -1;
    int keepidle = 0;
    int keepintvl = 0;
    int keepcnt = 0;
    int fastopen = -1;

    ConnectionHandler handler = nullptr;  // of an accepted connection
    void* servers = nullptr;              // the consumer's

    Log log{};
    Log* logp = nullptr;  // copied to `log` once the logs are open
    std::size_t pool_size = 0;

    Listening* previous = nullptr;     // the same socket in the old cycle
    Connection* connection = nullptr;  // of this worker

    /// Of datagrams: who has a session in this worker. A reload without a master hands it on with
    /// the socket, and the sessions go on.
    std::shared_ptr<UdpConnections> udp_connections{};

    std::size_t worker = 0;  // with reuseport, whose it is

    unsigned open : 1 = 0;       // opened by this cycle
    unsigned remain : 1 = 0;     // taken over by the next cycle
    unsigned ignore : 1 = 0;     // inherited and of no use
    unsigned inherited : 1 = 0;  // from another process
    unsigned activated : 1 = 0;  // from systemd, which listens on when this server is gone
    unsigned listen : 1 = 0;     // listen() is to be called once more
    unsigned addr_ntop : 1 = 0;  // accepted connections need their address as text
    unsigned wildcard : 1 = 0;
    unsigned ipv6only : 1 = 0;
    unsigned reuseport : 1 = 0;
    unsigned add_reuseport : 1 = 0;
    unsigned change_protocol : 1 = 0;
    unsigned keepalive : 2 = 0;  // 0 as the system has it, 1 on, 2 off
    unsigned deferred_accept : 1 = 0;
    unsigned delete_deferred : 1 = 0;
    unsigned add_deferred : 1 = 0;

    static constexpr int listen_backlog = 511;
};

/// How loud a failure of a connection is: its peer's fault, or ours.
///
/// nginx: ngx_connection_log_error_e
enum class ConnectionError : unsigned {
    alert,
    err,
    info,
    ignore_econnreset,
    ignore_einval,
    ignore_emsgsize,
};

/// For tcp_nodelay and tcp_nopush.
///
/// nginx: ngx_connection_tcp_nodelay_e
enum class TcpOption : unsigned { unset, set, disabled };

/// A slot of the worker's connection array. It is taken by get_connection(), given back by
/// close_connection(), and never moves. While it is free, `fd` is -1 and `data` the next free
/// slot. `fd` is the connection's own: close_connection() closes it.
///
/// nginx: ngx_connection_t
struct Connection {
    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void* data = nullptr;
    Event* read = nullptr;
    Event* write = nullptr;

    int fd = invalid_socket;
    int type = 0;

    ssize_t (*recv)(Connection& c, char* buf, std::size_t size) noexcept = nullptr;
    ssize_t (*send)(Connection& c, const char* buf, std::size_t size) noexcept = nullptr;
    ssize_t (*recv_chain)(Connection& c, Chain* in, off_t limit) noexcept = nullptr;
    Chain* (*send_chain)(Connection& c, Chain* in, off_t limit) = nullptr;

    Listening* listening = nullptr;

    off_t sent = 0;

    Log* log = nullptr;
    Pool* pool = nullptr;

    struct ::sockaddr* sockaddr = nullptr;
    struct ::sockaddr* local_sockaddr = nullptr;
    socklen_t socklen = 0;
    socklen_t local_socklen = 0;
    std::string_view addr_text{};

    ProxyProtocol* proxy_protocol = nullptr;  // what its header said
    UdpConnection* udp = nullptr;

    Buf* buffer = nullptr;

    boost::intrusive::list_member_hook<> queue{};  // of reusable connections

    std::uint64_t number = 0;
    Msec start_time = 0;
    std::size_t requests = 0;

    ThreadTask* sendfile_task = nullptr;

    unsigned buffered : 8 = 0;
    ConnectionError log_error : 3 = ConnectionError::alert;

    unsigned timedout : 1 = 0;
    unsigned error : 1 = 0;
    unsigned destroyed : 1 = 0;

    unsigned idle : 1 = 0;
    unsigned reusable : 1 = 0;
    unsigned close : 1 = 0;
    unsigned shared : 1 = 0;

    unsigned sendfile : 1 = 0;
    unsigned sndlowat : 1 = 0;
    TcpOption tcp_nodelay : 2 = TcpOption::unset;
    TcpOption tcp_nopush : 2 = TcpOption::unset;
};

static_assert(sizeof(Connection) <= 224, "no larger than nginx's");

/// The connections that a worker short of slots may close, the longest idle last.
using ReusableConnections = boost::intrusive::list<
    Connection,
    boost::intrusive::member_hook<Connection, boost::intrusive::list_member_hook<>,
                                  &Connection::queue>,
    boost::intrusive::constant_time_size<false>>;

/// Gives an accepted connection the destinations of another log; a level that debug_connection
/// has raised stays.
///
/// nginx: ngx_set_connection_log()
void set_connection_log(Connection& c, const Log& l) noexcept;

/// Adds a listener to the cycle that is being configured.
///
/// nginx: ngx_create_listening()
Listening* create_listening(Conf& cf, const sockaddr* sa, socklen_t socklen);

/// Gives each worker but the first a listener of its own beside a reuseport listener of the first.
///
/// nginx: ngx_clone_listening()
Rc clone_listening(Cycle& cycle, const Listening& ls);

/// Finds out what the sockets are that another process has handed over: the listeners of `cycle`,
/// of which nothing but the descriptor is known. What is of no use is marked `ignore`, after a log
/// line.
///
/// nginx: ngx_set_inherited_sockets()
Rc set_inherited_sockets(Cycle& cycle);

/// Opens, binds and listens wherever that is still to be done. An address in use is tried five
/// times, 500 ms apart.
///
/// nginx: ngx_open_listening_sockets()
Rc open_listening_sockets(Cycle& cycle);

/// Sets the options that may also change while the socket is open. Failures are logged and
/// ignored.
///
/// nginx: ngx_configure_listening_sockets()
void configure_listening_sockets(Cycle& cycle);

/// Stops listening: frees the listeners' connections, closes the sockets, deletes the files of
/// unix sockets. The listeners themselves stay: accepted connections point to them.
///
/// nginx: ngx_close_listening_sockets()
void close_listening_sockets(Cycle& cycle);

/// Takes a listener of an old cycle, which goes on without its connection, out of the poller and
/// frees the slot. The socket stays open.
void detach_listening(Listening& ls) noexcept;

/// A free slot for the descriptor, its events reset, their instance flipped; null, after a
/// log line, when there is none. When few are left it first closes reusable connections.
///
/// nginx: ngx_get_connection()
Connection* get_connection(int s, Log* log) noexcept;

/// Puts the slot at the head of the free list. Its descriptor is the caller's to close.
///
/// nginx: ngx_free_connection()
void free_connection(Connection& c) noexcept;

/// Takes the connection out of timers, queues and the poller, frees the slot, closes the
/// descriptor. The pool, if any, is the caller's to destroy. May be called from the handlers
/// of the connection's own events.
///
/// nginx: ngx_close_connection()
void close_connection(Connection& c) noexcept;

/// Marks a connection as one that may be closed when slots run short, or unmarks it. Its read
/// handler must close it when it finds `close` set.
///
/// nginx: ngx_reusable_connection()
void reusable_connection(Connection& c, bool reusable) noexcept;

/// When no more than a sixteenth of the slots is free, asks some reusable connections to close.
///
/// nginx: ngx_drain_connections()
void drain_connections(Cycle& cycle) noexcept;

/// Asks every idle connection to close: a graceful shutdown.
///
/// nginx: ngx_close_idle_connections()
void close_idle_connections(Cycle& cycle) noexcept;

/// Finds out the local address of a connection that came to a wildcard listener. Writes it to
/// `text` (sockaddr_strlen bytes) unless that is null, and its length to `len`.
///
/// nginx: ngx_connection_local_sockaddr()
Rc connection_local_sockaddr(Connection& c, char* text, std::size_t* len, bool port);

/// Sets TCP_NODELAY, once.
///
/// nginx: ngx_tcp_nodelay()
Rc tcp_nodelay(Connection& c) noexcept;

/// Logs a failed call on the connection, at the level that its errno and `c.log_error` ask for.
/// Returns io_error, or 0 if the error is to be ignored.
///
/// nginx: ngx_connection_error()
ssize_t connection_error(Connection& c, Err err, const char* text) noexcept;

}  // namespace ngx
