#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/core.hpp"
#include "event/event_connect.hpp"
#include "stream/stream_upstream.hpp"

namespace ngx {

/// An address of an upstream and its state in this worker. Only the loop's thread uses it.
///
/// Differs from nginx: the times are those of the monotonic clock, so that a step of the wall clock
/// neither ends nor prolongs the time for which a failed peer is not used.
///
/// nginx: ngx_stream_upstream_rr_peer_t
struct StreamUpstreamRrPeer {
    const struct ::sockaddr* sockaddr = nullptr;
    socklen_t socklen = 0;
    std::string_view name{};
    std::string_view server{};

    std::int64_t current_weight = 0;
    std::int64_t effective_weight = 1;
    std::int64_t weight = 1;

    std::int64_t conns = 0;
    std::int64_t max_conns = 0;  // 0: no limit

    std::int64_t fails = 0;
    Msec accessed = 0;  // time of the last failure, as in current_msec
    Msec checked = 0;   // time of the last failure, or of a try after fail_timeout

    std::int64_t max_fails = 1;  // 0: failures do not count
    Msec fail_timeout = 10'000;

    bool down = false;
};

/// The servers of an upstream; `next` are its backups. The cycle's pool owns them, or the session's
/// if proxy_pass has variables.
///
/// nginx: ngx_stream_upstream_rr_peers_t
struct StreamUpstreamRrPeers {
    std::vector<StreamUpstreamRrPeer> peer{};
    std::size_t tries = 0;
    bool single = false;  // there is only one peer: its failures do not count
    std::string_view name{};
    StreamUpstreamRrPeers* next = nullptr;
};

/// The peers that a session has tried. Allocated in the session's pool.
///
/// nginx: ngx_stream_upstream_rr_peer_data_t
struct StreamUpstreamRrPeerData {
    StreamUpstreamRrPeers* peers = nullptr;
    StreamUpstreamRrPeer* current = nullptr;
    std::uint64_t* tried = nullptr;  // one bit per peer
    std::uint64_t data = 0;          // the bits, if there are up to 64 peers

    bool was_tried(std::size_t i) const noexcept { return (tried[i / 64] >> i % 64 & 1) != 0; }
    void set_tried(std::size_t i) const noexcept { tried[i / 64] |= std::uint64_t{1} << i % 64; }
};

/// Creates the peers of an upstream from its servers, or, if it has none, resolves its host.
/// Returns error after logging.
///
/// nginx: ngx_stream_upstream_init_round_robin()
Rc stream_upstream_init_round_robin(Conf& cf, StreamUpstreamSrvConf& us);

/// Prepares the choice of a peer for a session: sets the functions and data of `s.upstream->peer`.
/// Always returns ok.
///
/// nginx: ngx_stream_upstream_init_round_robin_peer()
Rc stream_upstream_init_round_robin_peer(StreamSession& s, StreamUpstreamSrvConf& us);

/// Prepares a session whose only peer is the address in `ur`.
///
/// nginx: ngx_stream_upstream_create_round_robin_peer()
void stream_upstream_create_round_robin_peer(StreamSession& s, const StreamUpstreamResolved& ur);

/// Chooses a peer by weighted round robin, for PeerConnection::get; `data` is a
/// StreamUpstreamRrPeerData. Returns ok, or busy if no peer and no backup may be used.
///
/// nginx: ngx_stream_upstream_get_round_robin_peer()
Rc stream_upstream_get_round_robin_peer(PeerConnection& pc, void* data) noexcept;

/// Releases the peer chosen last, for PeerConnection::free, and records a failure if `state` has
/// peer_failed.
///
/// nginx: ngx_stream_upstream_free_round_robin_peer()
void stream_upstream_free_round_robin_peer(PeerConnection& pc, void* data, unsigned state) noexcept;

/// Whether the session may use peer `i`: the session has not tried it, it is not down, it has not
/// failed too often within fail_timeout, and it has fewer than max_conns connections.
bool stream_upstream_may_use(const StreamUpstreamRrPeerData& rrp, std::size_t i) noexcept;

/// Adds the peer's effective weight to its current weight, and increases an effective weight that a
/// failure has reduced. Returns the effective weight that was added: the sum of them over all peers
/// is the `total` of stream_upstream_use_peer().
std::int64_t stream_upstream_add_weight(StreamUpstreamRrPeer& peer) noexcept;

/// Makes peer `best` the session's peer, counts its connection and marks it as tried. `total` is
/// the sum of the weights that were added in this choice.
void stream_upstream_use_peer(PeerConnection& pc, StreamUpstreamRrPeerData& rrp, std::size_t best,
                              std::int64_t total) noexcept;

/// Called when no peer may be used: calls `get` for the backups. Returns its result, or busy if
/// there are no backups.
Rc stream_upstream_try_backup(PeerConnection& pc, StreamUpstreamRrPeerData& rrp, EventGetPeer get);

}  // namespace ngx
