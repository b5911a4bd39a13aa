#pragma once

#include <ctime>
#include <string_view>
#include <vector>

#include "core/buf.hpp"
#include "core/core.hpp"
#include "core/inet.hpp"
#include "event/event_connect.hpp"
#include "stream/stream.hpp"

namespace ngx {

struct StreamUpstreamSrvConf;

/// Where a command of an upstream block may stand.
inline constexpr std::uint32_t stream_ups_conf = 0x08000000;

/// What is known of an upstream: that a block defines it, and which parameters its balancing method
/// lets a server have.
///
/// nginx: NGX_STREAM_UPSTREAM_CREATE and its neighbours
inline constexpr unsigned stream_upstream_create = 0x0001;
inline constexpr unsigned stream_upstream_weight = 0x0002;
inline constexpr unsigned stream_upstream_max_fails = 0x0004;
inline constexpr unsigned stream_upstream_fail_timeout = 0x0008;
inline constexpr unsigned stream_upstream_down = 0x0010;
inline constexpr unsigned stream_upstream_backup = 0x0020;
inline constexpr unsigned stream_upstream_max_conns = 0x0100;

/// For PeerConnection::notify: the connection is there.
///
/// nginx: NGX_STREAM_UPSTREAM_NOTIFY_CONNECT
inline constexpr unsigned stream_upstream_notify_connect = 1;

extern Module stream_upstream_module;

/// nginx: ngx_stream_upstream_main_conf_t
struct StreamUpstreamMainConf {
    static constexpr Module* module = &stream_upstream_module;

    std::vector<StreamUpstreamSrvConf*> upstreams{};
};

/// A balancing method: `init_upstream` makes what it needs of the servers, once they are read, and
/// keeps it in `data`; `init` prepares a session's `peer`.
///
/// nginx: ngx_stream_upstream_peer_t
struct StreamUpstreamPeer {
    Rc (*init_upstream)(Conf& cf, StreamUpstreamSrvConf& us) = nullptr;
    Rc (*init)(StreamSession& s, StreamUpstreamSrvConf& us) = nullptr;
    void* data = nullptr;
};

/// A `server` of an upstream; a name may have several addresses.
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

/// An upstream: of a block, or of a proxy_pass that names a server itself.
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

/// An address that a session's variables have named.
///
/// nginx: ngx_stream_upstream_resolved_t
struct StreamUpstreamResolved {
    std::string_view host{};
    in_port_t port = 0;
    bool no_port = false;
    const Addr* addr = nullptr;  // null when `host` is a name
};

/// One way through a session: what was read of `src` and is not yet sent to `dst`. Of streams that
/// is [buf.pos, buf.last); datagrams are pieces of the buffer, each with its link in `out`.
///
/// nginx has these as pairs of fields of ngx_stream_upstream_t: downstream_buf, upstream_out, ...
struct StreamFlow {
    Connection* src = nullptr;
    Connection* dst = nullptr;  // null until the upstream is connected

    Buf buf{};
    Chain* out = nullptr;

    off_t* received = nullptr;  // bytes of src, the session's or the upstream's count
    std::size_t packets = 0;
    std::size_t cut = 0;         // datagrams that were larger than the buffer
    std::size_t limit_rate = 0;  // bytes a second; 0: no limit

    const char* recv_action = nullptr;  // for the log
    const char* send_action = nullptr;

    bool empty() const noexcept { return buf.pos == buf.last && !out; }
};

/// The upstream side of a session.
///
/// nginx: ngx_stream_upstream_t
struct StreamUpstream {
    PeerConnection peer{};

    StreamFlow downstream{};  // from the client to the upstream; its packets are the requests
    StreamFlow upstream{};    // from the upstream to the client: the responses

    Chain* free = nullptr;  // links to be used again

    off_t received = 0;

    unsigned connected : 1 = 0;
    unsigned half_closed : 1 = 0;
    unsigned answered : 1 = 0;  // something has come since the client's last datagram
};

/// The upstream that `u` stands for, which is made unless it is there; null after an error. With
/// stream_upstream_create in `flags` it is a block that defines it.
///
/// nginx: ngx_stream_upstream_add()
StreamUpstreamSrvConf* stream_upstream_add(Conf& cf, Url& u, unsigned flags);

}  // namespace ngx
