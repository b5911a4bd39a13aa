#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/core.hpp"
#include "event/event_connect.hpp"
#include "stream/stream_upstream.hpp"

namespace ngx {

/// An address of an upstream, and how it has done in this worker.
///
/// Differs from nginx: the times are those of the monotonic clock, so that a step of the wall clock
/// neither forgives a peer nor keeps it out.
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
    std::int64_t max_conns = 0;  // 0: as many as there are

    std::int64_t fails = 0;
    Msec accessed = 0;  // of the last failure, by current_msec
    Msec checked = 0;   // of the last try

    std::int64_t max_fails = 1;  // 0: never given up
    Msec fail_timeout = 10'000;

    bool down = false;
};

/// The servers of an upstream; `next` are its backups.
///
/// nginx: ngx_stream_upstream_rr_peers_t
struct StreamUpstreamRrPeers {
    std::vector<StreamUpstreamRrPeer> peer{};
    std::size_t tries = 0;
    bool single = false;  // nobody to choose from, so failures are not counted
    std::string_view name{};
    StreamUpstreamRrPeers* next = nullptr;
};

/// What a session has tried.
///
/// nginx: ngx_stream_upstream_rr_peer_data_t
struct StreamUpstreamRrPeerData {
    StreamUpstreamRrPeers* peers = nullptr;
    StreamUpstreamRrPeer* current = nullptr;
    std::uint64_t* tried = nullptr;  // a bit a peer
    std::uint64_t data = 0;          // `tried` of up to 64 peers

    bool was_tried(std::size_t i) const noexcept { return (tried[i / 64] >> i % 64 & 1) != 0; }
    void set_tried(std::size_t i) const noexcept { tried[i / 64] |= std::uint64_t{1} << i % 64; }
};

/// Makes the peers of an upstream out of its servers, or of its host, which is resolved.
///
/// nginx: ngx_stream_upstream_init_round_robin()
Rc stream_upstream_init_round_robin(Conf& cf, StreamUpstreamSrvConf& us);

/// nginx: ngx_stream_upstream_init_round_robin_peer()
Rc stream_upstream_init_round_robin_peer(StreamSession& s, StreamUpstreamSrvConf& us);

/// A single peer, of an address that is known for this session only.
///
/// nginx: ngx_stream_upstream_create_round_robin_peer()
Rc stream_upstream_create_round_robin_peer(StreamSession& s, const StreamUpstreamResolved& ur);

/// nginx: ngx_stream_upstream_get_round_robin_peer()
Rc stream_upstream_get_round_robin_peer(PeerConnection& pc, void* data) noexcept;

/// nginx: ngx_stream_upstream_free_round_robin_peer()
void stream_upstream_free_round_robin_peer(PeerConnection& pc, void* data, unsigned state) noexcept;

/// Whether the session may be given this peer: it was not tried, is not down, has not failed too
/// often of late, and has a connection to spare.
bool stream_upstream_may_use(const StreamUpstreamRrPeerData& rrp, std::size_t i) noexcept;

/// One round of the weights: adds a peer's, lets one that has failed recover.
///
/// \return what the peer adds to the sum of the round
std::int64_t stream_upstream_add_weight(StreamUpstreamRrPeer& peer) noexcept;

/// Gives the session the peer that was chosen; `total` is the sum of the round.
void stream_upstream_use_peer(PeerConnection& pc, StreamUpstreamRrPeerData& rrp, std::size_t best,
                              std::int64_t total) noexcept;

/// No peer is left: asks `get` for one of the backups. busy if there is none either.
Rc stream_upstream_try_backup(PeerConnection& pc, StreamUpstreamRrPeerData& rrp, EventGetPeer get);

}  // namespace ngx
