#include "stream/stream_upstream_round_robin.hpp"

#include <algorithm>
#include <cassert>

#include <fmt/format.h>

#include "core/cycle.hpp"
#include "core/palloc.hpp"
#include "core/times.hpp"

namespace ngx {

namespace {

StreamUpstreamRrPeer make_rr_peer(const StreamUpstreamServer& server, const Addr& addr)
{
    return {
        .sockaddr = &addr.sockaddr.any,
        .socklen = addr.socklen,
        .name = addr.name,
        .server = server.name,
        .effective_weight = server.weight,
        .weight = server.weight,
        .max_conns = server.max_conns,
        .max_fails = server.max_fails,
        .fail_timeout = static_cast<Msec>(server.fail_timeout) * 1000,
        .down = server.down,
    };
}

/// Creates the peers of the servers with this value of `backup`.
StreamUpstreamRrPeers* create_rr_peers(Conf& cf, const StreamUpstreamSrvConf& us, bool backup)
{
    auto* peers = cf.pool->create<StreamUpstreamRrPeers>();
    peers->name = us.host;
    for (const StreamUpstreamServer& server : us.servers) {
        if (server.backup != backup) {
            continue;
        }
        for (const Addr& addr : server.addrs) {
            peers->peer.push_back(make_rr_peer(server, addr));
        }
        peers->tries += server.down ? 0 : server.addrs.size();
    }
    return peers;
}

Rc init_explicit(Conf& cf, StreamUpstreamSrvConf& us)
{
    StreamUpstreamRrPeers* const peers = create_rr_peers(cf, us, false);
    if (peers->peer.empty()) {
        conf_log_error(log_emerg, cf.log, {us.file_name, us.line}, 0,
                       "no servers in upstream \"{}\"", us.host);
        return Rc::error;
    }
    StreamUpstreamRrPeers* const backup = create_rr_peers(cf, us, true);
    if (!backup->peer.empty()) {
        peers->next = backup;
    }
    peers->single = peers->peer.size() == 1 && !peers->next;
    us.peer.data = peers;
    return Rc::ok;
}

/// Creates the peer of an upstream that proxy_pass names: resolves the host.
Rc init_implicit(Conf& cf, StreamUpstreamSrvConf& us)
{
    if (us.port == 0) {
        conf_log_error(log_emerg, cf.log, {us.file_name, us.line}, 0, "no port in upstream \"{}\"",
                       us.host);
        return Rc::error;
    }
    Url u{.host = us.host, .port = us.port};
    if (inet_resolve_host(*cf.pool, u) != Rc::ok) {
        conf_log_error(log_emerg, cf.log, {us.file_name, us.line}, 0, "{} in upstream \"{}\"",
                       u.err, us.host);
        return Rc::error;
    }
    us.servers.push_back({.name = us.host, .addrs = std::move(u.addrs)});
    return init_explicit(cf, us);
}

/// nginx: ngx_stream_upstream_tries()
std::size_t stream_upstream_tries(const StreamUpstreamRrPeers& peers) noexcept
{
    return peers.tries + (peers.next ? peers.next->tries : 0);
}

/// Allocates the bits for the tried peers. They are used for the backups, too, so that there are
/// enough for the larger of both sets.
void init_tried(Pool& pool, StreamUpstreamRrPeerData& rrp)
{
    const std::size_t backups = rrp.peers->next ? rrp.peers->next->peer.size() : 0;
    const std::size_t words = (std::max(rrp.peers->peer.size(), backups) + 63) / 64;
    rrp.data = 0;
    rrp.tried = words <= 1 ? &rrp.data : pool.pcalloc<std::uint64_t>(words);
}

/// nginx: ngx_stream_upstream_notify_round_robin_peer()
void stream_upstream_notify_round_robin_peer(PeerConnection& pc, void* data, unsigned type) noexcept
{
    StreamUpstreamRrPeer& peer = *static_cast<StreamUpstreamRrPeerData*>(data)->current;
    if (type == stream_upstream_notify_connect && pc.connection->type == SOCK_STREAM &&
        peer.accessed < peer.checked) {
        peer.fails = 0;
    }
}

void init_peer(StreamSession& s, StreamUpstreamRrPeers& peers)
{
    assert(s.upstream);
    PeerConnection& pc = s.upstream->peer;
    auto* rrp = s.connection->pool->create<StreamUpstreamRrPeerData>();
    rrp->peers = &peers;
    init_tried(*s.connection->pool, *rrp);

    pc.data = rrp;
    pc.get = stream_upstream_get_round_robin_peer;
    pc.free = stream_upstream_free_round_robin_peer;
    pc.tries = stream_upstream_tries(peers);
}

/// nginx: ngx_stream_upstream_get_peer()
bool stream_upstream_get_peer(PeerConnection& pc, StreamUpstreamRrPeerData& rrp) noexcept
{
    std::vector<StreamUpstreamRrPeer>& peer = rrp.peers->peer;
    const std::size_t none = peer.size();
    std::size_t best = none;
    std::int64_t total = 0;

    for (std::size_t i = 0; i < peer.size(); i++) {
        if (!stream_upstream_may_use(rrp, i)) {
            continue;
        }
        total += stream_upstream_add_weight(peer[i]);
        if (best == none || peer[i].current_weight > peer[best].current_weight) {
            best = i;
        }
    }
    if (best == none) {
        return false;
    }
    stream_upstream_use_peer(pc, rrp, best, total);
    return true;
}

/// Chooses the only server unless it is down or full. Its failures do not count.
bool use_single(PeerConnection& pc, StreamUpstreamRrPeerData& rrp) noexcept
{
    assert(rrp.peers->peer.size() == 1);
    StreamUpstreamRrPeer& peer = rrp.peers->peer.front();
    if (peer.down || (peer.max_conns != 0 && peer.conns >= peer.max_conns)) {
        return false;
    }
    rrp.current = &peer;
    pc.sockaddr = peer.sockaddr;
    pc.socklen = peer.socklen;
    pc.name = peer.name;
    peer.conns++;
    return true;
}

/// Records a failure: reduces the peer's weight. After max_fails failures the peer is not chosen
/// for fail_timeout.
void record_failure(const PeerConnection& pc, StreamUpstreamRrPeer& peer) noexcept
{
    peer.fails++;
    peer.accessed = current_msec;
    peer.checked = peer.accessed;

    if (peer.max_fails != 0 && peer.fails >= peer.max_fails) {
        log_error(log_warn, pc.log, 0, "upstream server temporarily disabled");
    }
    const std::int64_t cost = peer.max_fails != 0 ? peer.weight / peer.max_fails : 0;
    peer.effective_weight = std::max(peer.effective_weight - cost, std::int64_t{0});
    log_debug(log_debug_stream, pc.log, 0, "free rr peer failed: {} {}", fmt::ptr(&peer),
              peer.effective_weight);
}

}  // namespace

Rc stream_upstream_init_round_robin(Conf& cf, StreamUpstreamSrvConf& us)
{
    us.peer.init = stream_upstream_init_round_robin_peer;
    return us.servers.empty() ? init_implicit(cf, us) : init_explicit(cf, us);
}

Rc stream_upstream_init_round_robin_peer(StreamSession& s, StreamUpstreamSrvConf& us)
{
    init_peer(s, *static_cast<StreamUpstreamRrPeers*>(us.peer.data));
    s.upstream->peer.notify = stream_upstream_notify_round_robin_peer;
    return Rc::ok;
}

void stream_upstream_create_round_robin_peer(StreamSession& s, const StreamUpstreamResolved& ur)
{
    auto* peers = s.connection->pool->create<StreamUpstreamRrPeers>();
    peers->peer.push_back({
        .sockaddr = &ur.addr->sockaddr.any,
        .socklen = ur.addr->socklen,
        .name = ur.addr->name,
    });
    peers->single = true;
    peers->tries = 1;
    peers->name = ur.host;
    init_peer(s, *peers);
}

Rc stream_upstream_get_round_robin_peer(PeerConnection& pc, void* data) noexcept
{
    auto& rrp = *static_cast<StreamUpstreamRrPeerData*>(data);
    log_debug(log_debug_stream, pc.log, 0, "get rr peer, try: {}", pc.tries);
    pc.connection = nullptr;

    const bool got = rrp.peers->single ? use_single(pc, rrp) : stream_upstream_get_peer(pc, rrp);
    if (got) {
        log_debug(log_debug_stream, pc.log, 0, "get rr peer, current: {} {}", fmt::ptr(rrp.current),
                  rrp.current->current_weight);
        return Rc::ok;
    }
    return stream_upstream_try_backup(pc, rrp, stream_upstream_get_round_robin_peer);
}

void stream_upstream_free_round_robin_peer(PeerConnection& pc, void* data, unsigned state) noexcept
{
    const auto& rrp = *static_cast<StreamUpstreamRrPeerData*>(data);
    StreamUpstreamRrPeer& peer = *rrp.current;
    log_debug(log_debug_stream, pc.log, 0, "free rr peer {} {}", pc.tries, state);

    assert(rrp.current && peer.conns > 0);
    peer.conns--;
    if (rrp.peers->single) {
        peer.fails = 0;
        pc.tries = 0;
        return;
    }
    if ((state & peer_failed) != 0) {
        record_failure(pc, peer);
    } else if (state == 0 && peer.accessed < peer.checked) {
        peer.fails = 0;  // tried successfully since its last failure
    }
    if (pc.tries != 0) {
        pc.tries--;
    }
}

bool stream_upstream_may_use(const StreamUpstreamRrPeerData& rrp, std::size_t i) noexcept
{
    assert(i < rrp.peers->peer.size());
    const StreamUpstreamRrPeer& peer = rrp.peers->peer[i];
    const bool given_up = peer.max_fails != 0 && peer.fails >= peer.max_fails &&
                          current_msec - peer.checked <= peer.fail_timeout;
    const bool full = peer.max_conns != 0 && peer.conns >= peer.max_conns;
    return !rrp.was_tried(i) && !peer.down && !given_up && !full;
}

std::int64_t stream_upstream_add_weight(StreamUpstreamRrPeer& peer) noexcept
{
    assert(peer.effective_weight >= 0);
    const std::int64_t added = peer.effective_weight;
    peer.current_weight += added;
    if (peer.effective_weight < peer.weight) {
        peer.effective_weight++;
    }
    return added;
}

void stream_upstream_use_peer(PeerConnection& pc, StreamUpstreamRrPeerData& rrp, std::size_t best,
                              std::int64_t total) noexcept
{
    assert(best < rrp.peers->peer.size() && !rrp.was_tried(best));
    StreamUpstreamRrPeer& peer = rrp.peers->peer[best];
    peer.current_weight -= total;
    if (current_msec - peer.checked > peer.fail_timeout) {
        peer.checked = current_msec;
    }
    peer.conns++;

    rrp.current = &peer;
    rrp.set_tried(best);
    pc.sockaddr = peer.sockaddr;
    pc.socklen = peer.socklen;
    pc.name = peer.name;
}

Rc stream_upstream_try_backup(PeerConnection& pc, StreamUpstreamRrPeerData& rrp, EventGetPeer get)
{
    StreamUpstreamRrPeers& peers = *rrp.peers;
    if (peers.next) {
        assert(!peers.next->next);
        log_debug(log_debug_stream, pc.log, 0, "backup servers");
        rrp.peers = peers.next;
        std::fill_n(rrp.tried, (rrp.peers->peer.size() + 63) / 64, 0);
        if (const Rc rc = get(pc, &rrp); rc != Rc::busy) {
            return rc;
        }
    }
    pc.name = peers.name;
    return Rc::busy;
}

}  // namespace ngx
