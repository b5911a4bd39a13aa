#pragma once

#include <ctime>
#include <map>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/buf.hpp"
#include "core/core.hpp"
#include "core/inet.hpp"
#include "core/string.hpp"
#include "event/event_connect.hpp"
#include "stream/stream.hpp"

namespace ngx {

struct StreamUpstreamSrvConf;

/// The upstream block as a place where a stream command is allowed, for Command::type.
///
/// nginx: NGX_STREAM_UPS_CONF
inline constexpr std::uint32_t stream_ups_conf = 0x08000000;

/// The flags of an upstream: whether a block defines it, and which parameters of `server` its
/// balancing method supports.
///
/// nginx: NGX_STREAM_UPSTREAM_CREATE, NGX_STREAM_UPSTREAM_WEIGHT, NGX_STREAM_UPSTREAM_MAX_FAILS,
/// NGX_STREAM_UPSTREAM_FAIL_TIMEOUT, NGX_STREAM_UPSTREAM_DOWN, NGX_STREAM_UPSTREAM_BACKUP,
/// NGX_STREAM_UPSTREAM_MAX_CONNS
inline constexpr unsigned stream_upstream_create = 0x0001;
inline constexpr unsigned stream_upstream_weight = 0x0002;
inline constexpr unsigned stream_upstream_max_fails = 0x0004;
inline constexpr unsigned stream_upstream_fail_timeout = 0x0008;
inline constexpr unsigned stream_upstream_down = 0x0010;
inline constexpr unsigned stream_upstream_backup = 0x0020;
inline constexpr unsigned stream_upstream_max_conns = 0x0100;

/// The `type` for PeerConnection::notify: the peer is connected.
///
/// nginx: NGX_STREAM_UPSTREAM_NOTIFY_CONNECT
inline constexpr unsigned stream_upstream_notify_connect = 1;

/// nginx: ngx_stream_upstream_module
extern Module stream_upstream_module;

/// The upstreams of one host, which differ in their ports. Only the first of them can be a block's.
struct StreamUpstreamHost {
    StreamUpstreamSrvConf* first = nullptr;
    std::map<in_port_t, StreamUpstreamSrvConf*> by_port{};
};

/// Hashes the name of a host, ignoring the case of ASCII letters.
struct StreamUpstreamHostHash {
    std::size_t operator()(std::string_view host) const noexcept;
};

struct StreamUpstreamHostEqual {
    bool operator()(std::string_view a, std::string_view b) const noexcept
    {
        return strcaseeq(a, b);
    }
};

/// The upstreams of a configuration, in the order of their first mention. The cycle's pool owns
/// them.
///
/// Differs from nginx: an upstream is found by a hash. nginx compares the name with all upstreams,
/// for each block, each proxy_pass and each session whose upstream is a variable. The cost is about
/// 200 bytes for each upstream.
///
/// nginx: ngx_stream_upstream_main_conf_t
struct StreamUpstreamMainConf {
    static constexpr Module* module = &stream_upstream_module;

    std::vector<StreamUpstreamSrvConf*> upstreams{};
    std::unordered_map<std::string_view, StreamUpstreamHost, StreamUpstreamHostHash,
                       StreamUpstreamHostEqual>
        hosts{};
};

/// A balancing method. `init_upstream` prepares the method's data from the servers, after these
/// have been read, and stores it in `data`. `init` prepares the choice of a peer for a session: it
/// sets the functions and data of `s.upstream->peer`. Both return error after logging.
///
/// nginx: ngx_stream_upstream_peer_t
struct StreamUpstreamPeer {
    Rc (*init_upstream)(Conf& cf, StreamUpstreamSrvConf& us) = nullptr;
    Rc (*init)(StreamSession& s, StreamUpstreamSrvConf& us) = nullptr;
    void* data = nullptr;
};

/// A `server` of an upstream. A name may have several addresses. `fail_timeout` is in seconds; 0 in
/// `max_conns` means no limit, 0 in `max_fails` that failures do not count.
///
/// nginx: ngx_stream_upstream_server_t
struct StreamUpstreamServer {
    std::string_view name{};
    std::vector<Addr> addrs{};
    std::int64_t weight = 1;
    std::int64_t max_conns = 0;
    std::int64_t max_fails = 1;
    std::time_t fail_timeout = 10;
    bool down = false;
    bool backup = false;
};

/// An upstream: a block's, or that of a proxy_pass which names a server. The cycle's pool owns it.
///
/// nginx: ngx_stream_upstream_srv_conf_t
struct StreamUpstreamSrvConf {
    static constexpr Module* module = &stream_upstream_module;

    StreamUpstreamPeer peer{};
    void** srv_conf = nullptr;

    std::vector<StreamUpstreamServer> servers{};

    unsigned flags = 0;
    std::string_view host{};
    std::string_view file_name{};
    std::size_t line = 0;
    in_port_t port = 0;
    bool no_port = false;
};

/// An address from the variables of a proxy_pass. Used while the session chooses its upstream.
///
/// nginx: ngx_stream_upstream_resolved_t
struct StreamUpstreamResolved {
    std::string_view host{};
    in_port_t port = 0;          // 0: none
    const Addr* addr = nullptr;  // null if `host` is a name
};

/// One direction of a proxied session: the data that has been read from `src` and not yet sent to
/// `dst`. TCP data is [buf.pos, buf.last); UDP datagrams are pieces of the buffer, each with its
/// own link in `out`. The flow owns the memory of `buf` while `buf.start` is not null.
///
/// nginx has pairs of fields of ngx_stream_upstream_t instead: downstream_buf, upstream_out, ...
struct StreamFlow {
    Connection* src = nullptr;
    Connection* dst = nullptr;  // null until the upstream is connected

    Buf buf{};
    Chain* out = nullptr;

    off_t* received = nullptr;  // the session's or the upstream's counter of bytes from `src`
    std::size_t packets = 0;
    std::size_t cut = 0;         // datagrams that were larger than the buffer
    std::size_t limit_rate = 0;  // bytes per second; 0: no limit

    const char* recv_action = nullptr;  // what the session is doing, for log lines
    const char* send_action = nullptr;

    bool empty() const noexcept { return buf.pos == buf.last && !out; }
};

/// The upstream side of a proxied session. Allocated in the pool of the client's connection. The
/// session owns `peer.connection` and closes it. Only the loop's thread uses it.
///
/// nginx: ngx_stream_upstream_t
struct StreamUpstream {
    PeerConnection peer{};

    StreamFlow downstream{};  // from the client to the upstream; `packets` counts the requests
    StreamFlow upstream{};    // from the upstream to the client; `packets` counts the responses

    Chain* free = nullptr;  // links for reuse

    off_t received = 0;

    unsigned connected : 1 = 0;
    unsigned half_closed : 1 = 0;
    unsigned answered : 1 = 0;  // the upstream has answered the client's last datagram
};

/// Returns the upstream with the host and port of `u`, and creates it if it does not exist. Without
/// stream_upstream_create in `flags`, `u.url` is parsed first. With it, an upstream block defines
/// the upstream. Returns null after logging. The cycle's pool owns the upstream.
///
/// nginx: ngx_stream_upstream_add()
StreamUpstreamSrvConf* stream_upstream_add(Conf& cf, Url& u, unsigned flags);

/// Returns the upstream with this host and port (0: none), or null.
StreamUpstreamSrvConf* stream_upstream_find(const StreamUpstreamMainConf& umcf,
                                            std::string_view host, in_port_t port) noexcept;

}  // namespace ngx
