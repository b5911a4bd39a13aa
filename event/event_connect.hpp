#pragma once

#include <string_view>
#include <sys/socket.h>

#include "core/connection.hpp"
#include "core/core.hpp"
#include "core/inet.hpp"

namespace ngx {

struct PeerConnection;

/// The bits of the `state` that EventFreePeer gets: how the use of the peer ended.
///
/// nginx: NGX_PEER_KEEPALIVE, NGX_PEER_NEXT, NGX_PEER_FAILED
inline constexpr unsigned peer_keepalive = 1;
inline constexpr unsigned peer_next = 2;
inline constexpr unsigned peer_failed = 4;

/// Chooses the peer: fills in `sockaddr`, `socklen` and `name`, and returns ok. busy: no peer is
/// available; done: `connection` is connected already.
///
/// nginx: ngx_event_get_peer_pt
using EventGetPeer = Rc (*)(PeerConnection& pc, void* data);
/// Releases the peer chosen last; `state` tells how its use ended.
///
/// nginx: ngx_event_free_peer_pt
using EventFreePeer = void (*)(PeerConnection& pc, void* data, unsigned state) noexcept;
/// Reports an event of the connection to the code that chose the peer; the caller defines `type`.
///
/// nginx: ngx_event_notify_peer_pt
using EventNotifyPeer = void (*)(PeerConnection& pc, void* data, unsigned type) noexcept;

/// An outgoing connection: the peer, the local address, and the functions that choose the peer. Its
/// owner also owns `connection` and closes it. Only the loop's thread uses it.
///
/// nginx: ngx_peer_connection_t
struct PeerConnection {
    Connection* connection = nullptr;

    const struct ::sockaddr* sockaddr = nullptr;
    socklen_t socklen = 0;
    std::string_view name{};

    std::size_t tries = 0;
    Msec start_time = 0;

    EventGetPeer get = nullptr;
    EventFreePeer free = nullptr;
    EventNotifyPeer notify = nullptr;
    void* data = nullptr;  // the argument of the three functions above

    const Addr* local = nullptr;  // the address to bind to

    int type = SOCK_STREAM;
    int rcvbuf = 0;
    int sndbuf = 0;

    Log* log = nullptr;

    unsigned transparent : 1 = 0;  // `local` may be an address of another machine
    unsigned so_keepalive : 1 = 0;
    ConnectionError log_error : 3 = ConnectionError::alert;
};

/// Starts to connect to the peer that `get` chooses, without waiting. Called on the loop's thread.
/// Returns ok: connected, and the write event is ready; again: the write event will report the
/// result; declined: the connection failed at once; abort: this machine lacks a port or memory for
/// it; busy, done: the result of `get`; error: the socket or the connection slot could not be
/// allocated or set up. error, abort and declined have been logged.
///
/// After ok and again the caller owns `connection`, which logs to `log`. Its events are being
/// watched but have no handlers: the caller sets both handlers before it returns to the loop.
///
/// nginx: ngx_event_connect_peer()
Rc event_connect_peer(PeerConnection& pc);

/// A `get` for a single peer: the caller has set `sockaddr` already. Returns ok.
///
/// nginx: ngx_event_get_peer()
Rc event_get_peer(PeerConnection& pc, void* data) noexcept;

}  // namespace ngx
