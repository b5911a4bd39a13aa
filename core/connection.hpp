#pragma once

#include <memory>
#include <string_view>
#include <sys/socket.h>

#include <boost/intrusive/list.hpp>

#include "core/core.hpp"
#include "core/inet.hpp"
#include "core/log.hpp"

namespace ngx {

/// A socket that listens, or will listen. The cycle owns its listeners, in `listening`; their
/// addresses do not change after the configuration has been read. Each process has its own copy,
/// which its only thread uses.
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

    ConnectionHandler handler = nullptr;  // called for accepted connections
    void* servers = nullptr;              // belongs to the consumer

    Log log{};
    Log* logp = nullptr;  // copied to `log` when the logs are open
    std::size_t pool_size = 0;

    Listening* previous = nullptr;     // the same socket in the old cycle
    Connection* connection = nullptr;  // in this worker

    /// Datagram listeners only: the clients that have a session in this worker. A reload without a
    /// master passes it on with the socket, so that the sessions go on.
    std::shared_ptr<UdpConnections> udp_connections{};

    std::size_t worker = 0;  // with reuseport, the worker that accepts from it

    unsigned open : 1 = 0;       // opened by this cycle
    unsigned remain : 1 = 0;     // taken over by the next cycle
    unsigned ignore : 1 = 0;     // inherited but unusable
    unsigned inherited : 1 = 0;  // opened by another process
    unsigned activated : 1 = 0;  // opened by systemd, which keeps it when this server exits
    unsigned listen : 1 = 0;     // set if listen() is to be called again
    unsigned addr_ntop : 1 = 0;  // accepted connections need their address as text
    unsigned wildcard : 1 = 0;
    unsigned ipv6only : 1 = 0;
    unsigned reuseport : 1 = 0;
    unsigned add_reuseport : 1 = 0;
    unsigned change_protocol : 1 = 0;
    unsigned keepalive : 2 = 0;  // 0 system default, 1 on, 2 off
    unsigned deferred_accept : 1 = 0;
    unsigned delete_deferred : 1 = 0;
    unsigned add_deferred : 1 = 0;

    static constexpr int listen_backlog = 511;
};

/// How the errors of a connection are logged or ignored.
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

/// The state of tcp_nodelay and tcp_nopush.
///
/// nginx: ngx_connection_tcp_nodelay_e
enum class TcpOption : unsigned { unset, set, disabled };

/// A slot of the worker's connection array. get_connection() acquires it, close_connection()
/// releases it, and it never moves. While it is free, `fd` is -1 and `data` points to the next free
/// slot. A connection owns its descriptor, which close_connection() closes, but not its pool. Only
/// the loop's thread may use it.
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

    ProxyProtocol* proxy_protocol = nullptr;  // the values of its header
    UdpConnection* udp = nullptr;

    Buf* buffer = nullptr;

    boost::intrusive::list_member_hook<> queue{};  // links reusable connections

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

/// The connections that a worker short of slots may close, the longest idle one last. It does not
/// own them.
using ReusableConnections = boost::intrusive::list<
    Connection,
    boost::intrusive::member_hook<Connection, boost::intrusive::list_member_hook<>,
                                  &Connection::queue>,
    boost::intrusive::constant_time_size<false>>;

/// Gives an accepted connection the destinations and level of another log. A level that
/// debug_connection has raised stays.
///
/// nginx: ngx_set_connection_log()
void set_connection_log(Connection& c, const Log& l) noexcept;

/// Adds a listener to the cycle that is being configured. The cycle owns it; the pointer is valid
/// until the next listener is added.
///
/// nginx: ngx_create_listening()
Listening* create_listening(Conf& cf, const sockaddr* sa, socklen_t socklen);

/// Adds a copy of worker 0's reuseport listener for each other worker.
///
/// nginx: ngx_clone_listening()
void clone_listening(Cycle& cycle, const Listening& ls);

/// Reads the type, address and options of the sockets that another process has passed on: the
/// listeners of `cycle`, of which only the descriptor is known. Unusable ones are logged and marked
/// `ignore`.
///
/// nginx: ngx_set_inherited_sockets()
void set_inherited_sockets(Cycle& cycle);

/// Opens and binds the listeners that are not open yet, and listens. An address in use is tried
/// five times, 500 ms apart, which blocks the process. Returns error after logging.
///
/// nginx: ngx_open_listening_sockets()
Rc open_listening_sockets(Cycle& cycle);

/// Sets the options that may change while the socket is open. Failures are logged and ignored.
///
/// nginx: ngx_configure_listening_sockets()
void configure_listening_sockets(Cycle& cycle);

/// Stops listening: releases the listeners' connections, closes the sockets, deletes the files of
/// unix sockets. The Listening objects stay, as accepted connections point to them.
///
/// nginx: ngx_close_listening_sockets()
void close_listening_sockets(Cycle& cycle);

/// Tells whether this process is the last server that has the listener's socket. That is false for
/// a worker, for a master whose new binary runs, and for a new binary whose old master still runs;
/// also for a socket from systemd.
bool owns_socket(const Listening& ls) noexcept;

/// Removes a listener from the poller and releases its connection slot. The socket stays open.
void detach_listening(Listening& ls) noexcept;

/// Gives the cycle's table of connections by descriptor n entries. If it throws std::bad_alloc, the
/// table has not changed.
void resize_files(Cycle& cycle, std::size_t n);

/// Acquires a slot for the descriptor; its events are reset and their instance is inverted. Returns
/// null after logging if no slot is free. Closes reusable connections first if few slots are free.
///
/// nginx: ngx_get_connection()
Connection* get_connection(int s, Log* log) noexcept;

/// Puts the slot at the head of the free list. The caller closes the descriptor.
///
/// nginx: ngx_free_connection()
void free_connection(Connection& c) noexcept;

/// Removes the connection from timers, queues and the poller, releases the slot, closes the
/// descriptor. The caller destroys the pool, if there is one. Handlers of the connection's own
/// events may call it.
///
/// nginx: ngx_close_connection()
void close_connection(Connection& c) noexcept;

/// Marks a connection as one that may be closed when slots run short, or removes the mark. The
/// connection's read handler must close it when `close` is set.
///
/// nginx: ngx_reusable_connection()
void reusable_connection(Connection& c, bool reusable) noexcept;

/// Asks some reusable connections to close if no more than a sixteenth of the slots is free.
///
/// nginx: ngx_drain_connections()
void drain_connections(Cycle& cycle) noexcept;

/// Asks every idle connection to close. Used for a graceful shutdown.
///
/// nginx: ngx_close_idle_connections()
void close_idle_connections(Cycle& cycle) noexcept;

/// Makes sure that the local address is known, also for a wildcard listener. Writes it to `text`
/// (sockaddr_strlen bytes), with the port if `port` is true, and its length to `len`, unless `text`
/// is null. Returns error after logging.
///
/// nginx: ngx_connection_local_sockaddr()
Rc connection_local_sockaddr(Connection& c, char* text, std::size_t* len, bool port);

/// Sets TCP_NODELAY unless it is already set or disabled. Returns error after logging.
///
/// nginx: ngx_tcp_nodelay()
Rc tcp_nodelay(Connection& c) noexcept;

/// Logs a failed call on the connection, at the level that its errno and `c.log_error` require.
/// Returns io_error, or 0 if the error is to be ignored.
///
/// nginx: ngx_connection_error()
ssize_t connection_error(Connection& c, Err err, const char* text) noexcept;

}  // namespace ngx
