#pragma once

#include <string_view>
#include <sys/socket.h>

#include "core/connection.hpp"
#include "core/core.hpp"
#include "core/inet.hpp"

namespace ngx {

struct PeerConnection;

/// What `free` is told of a peer, as bits.
///
/// nginx: NGX_PEER_KEEPALIVE, NGX_PEER_NEXT, NGX_PEER_FAILED
inline constexpr unsigned peer_keepalive = 1;
inline constexpr unsigned peer_next = 2;
inline constexpr unsigned peer_failed = 4;

/// Chooses where to connect: fills in `sockaddr`, `socklen` and `name`. busy: there is nowhere to
/// go; done: `connection` is one that is connected already.
using EventGetPeer = Rc (*)(PeerConnection& pc, void* data);
/// Is told that the peer chosen last is not used any more, and how that went.
using EventFreePeer = void (*)(PeerConnection& pc, void* data, unsigned state) noexcept;
/// Is told of what happens on the connection; `type` is the consumer's.
using EventNotifyPeer = void (*)(PeerConnection& pc, void* data, unsigned type) noexcept;

/// A connection to be made: to whom, from where, and who chooses.
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
    void* data = nullptr;  // of these three

    const Addr* local = nullptr;  // to bind to

    int type = SOCK_STREAM;
    int rcvbuf = 0;
    int sndbuf = 0;

    Log* log = nullptr;

    unsigned transparent : 1 = 0;  // `local` is not an address of this machine
    unsigned so_keepalive : 1 = 0;
    ConnectionError log_error : 3 = ConnectionError::alert;
};

/// Begins to connect to the peer that `get` chooses, without waiting. ok: connected, the write
/// event is ready; again: the write event will tell; declined: refused at once; abort: this machine
/// has no port or memory left for it; busy, done: as `get` said; error: there was no socket or no
/// slot, or it could not be set up. Error, abort and declined have been logged. With ok and again
/// `connection` is the new one, with `log` for its own, its events watched and without handlers:
/// the caller sets both before it returns to the loop.
///
/// nginx: ngx_event_connect_peer()
Rc event_connect_peer(PeerConnection& pc);

/// A `get` for when there is nothing to choose: `sockaddr` is set already.
///
/// nginx: ngx_event_get_peer()
Rc event_get_peer(PeerConnection& pc, void* data) noexcept;

}  // namespace ngx
