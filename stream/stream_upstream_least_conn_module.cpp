#include <utility>

#include "core/conf_file.hpp"
#include "core/palloc.hpp"
#include "stream/stream_upstream_round_robin.hpp"

namespace ngx {

namespace {

/// Compares the numbers of connections of two peers, each divided by the peer's weight. Returns -1
/// if `a` has fewer, 0 if they are equal, 1 if `a` has more.
int compare_load(const StreamUpstreamRrPeer& a, const StreamUpstreamRrPeer& b) noexcept
{
    const std::int64_t left = a.conns * b.weight;
    const std::int64_t right = b.conns * a.weight;
    return (left > right) - (left < right);
}

/// Chooses by weighted round robin among the peers that have as few connections as `best`, which is
/// the first of them. Adds the weights to `total`.
std::size_t choose_among_equals(StreamUpstreamRrPeerData& rrp, std::size_t best,
                                std::int64_t& total) noexcept
{
    std::vector<StreamUpstreamRrPeer>& peer = rrp.peers->peer;
    for (std::size_t i = best; i < peer.size(); i++) {
        if (!stream_upstream_may_use(rrp, i) || compare_load(peer[i], peer[best]) != 0) {
            continue;
        }
        total += stream_upstream_add_weight(peer[i]);
        if (peer[i].current_weight > peer[best].current_weight) {
            best = i;
        }
    }
    return best;
}

/// nginx: ngx_stream_upstream_get_least_conn_peer()
Rc stream_upstream_get_least_conn_peer(PeerConnection& pc, void* data) noexcept
{
    auto& rrp = *static_cast<StreamUpstreamRrPeerData*>(data);
    log_debug(log_debug_stream, pc.log, 0, "get least conn peer, try: {}", pc.tries);
    if (rrp.peers->single) {
        return stream_upstream_get_round_robin_peer(pc, data);
    }
    pc.connection = nullptr;

    const std::vector<StreamUpstreamRrPeer>& peer = rrp.peers->peer;
    const std::size_t none = peer.size();
    std::size_t best = none;
    bool many = false;

    for (std::size_t i = 0; i < peer.size(); i++) {
        if (!stream_upstream_may_use(rrp, i)) {
            continue;
        }
        const int order = best == none ? -1 : compare_load(peer[i], peer[best]);
        if (order < 0) {
            best = i;
            many = false;
        } else if (order == 0) {
            many = true;
        }
    }
    if (best == none) {
        return stream_upstream_try_backup(pc, rrp, stream_upstream_get_least_conn_peer);
    }

    std::int64_t total = 0;
    if (many) {
        best = choose_among_equals(rrp, best, total);
    }
    stream_upstream_use_peer(pc, rrp, best, total);
    return Rc::ok;
}

/// nginx: ngx_stream_upstream_init_least_conn_peer()
Rc stream_upstream_init_least_conn_peer(StreamSession& s, StreamUpstreamSrvConf& us)
{
    if (stream_upstream_init_round_robin_peer(s, us) != Rc::ok) {
        return Rc::error;
    }
    s.upstream->peer.get = stream_upstream_get_least_conn_peer;
    return Rc::ok;
}

/// nginx: ngx_stream_upstream_init_least_conn()
Rc stream_upstream_init_least_conn(Conf& cf, StreamUpstreamSrvConf& us)
{
    if (stream_upstream_init_round_robin(cf, us) != Rc::ok) {
        return Rc::error;
    }
    us.peer.init = stream_upstream_init_least_conn_peer;
    return Rc::ok;
}

/// Handles `least_conn;`.
///
/// nginx: ngx_stream_upstream_least_conn()
const char* stream_upstream_least_conn(Conf& cf, const Command&, void*)
{
    auto& uscf = *stream_conf_get_module_srv_conf<StreamUpstreamSrvConf>(cf);
    const auto before = std::exchange(uscf.peer.init_upstream, stream_upstream_init_least_conn);
    if (before) {
        conf_log_error(log_warn, cf, 0, "load balancing method redefined");
    }
    return conf_ok;
}

constexpr Command stream_upstream_least_conn_commands[] = {
    {
        .name = "least_conn",
        .type = stream_ups_conf | conf_noargs,
        .set = stream_upstream_least_conn,
    },
};

constexpr StreamModule stream_upstream_least_conn_module_ctx = {};

}  // namespace

extern Module stream_upstream_least_conn_module;

constinit Module stream_upstream_least_conn_module = {
    .ctx = &stream_upstream_least_conn_module_ctx,
    .commands = stream_upstream_least_conn_commands,
    .type = ModuleType::stream,
};

}  // namespace ngx
