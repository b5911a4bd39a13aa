#include "stream/stream_upstream.hpp"

#include <algorithm>
#include <limits>

#include <boost/container_hash/hash.hpp>

#include "core/conf_slot.hpp"
#include "core/cycle.hpp"
#include "core/palloc.hpp"
#include "core/parse.hpp"
#include "core/string.hpp"
#include "stream/stream_upstream_round_robin.hpp"

namespace ngx {

namespace {

/// Whether `u` may be added beside an upstream with the same host. Logs the reason if not.
bool may_coexist(Conf& cf, const StreamUpstreamSrvConf& uscf, const Url& u, unsigned flags)
{
    const bool create = (flags & stream_upstream_create) != 0;
    const bool created = (uscf.flags & stream_upstream_create) != 0;

    if (create && created) {
        conf_log_error(log_emerg, cf, 0, "duplicate upstream \"{}\"", u.host);
        return false;
    }
    if (created && !u.no_port) {
        conf_log_error(log_emerg, cf, 0, "upstream \"{}\" may not have port {}", u.host, u.port);
        return false;
    }
    if (create && !uscf.no_port) {
        conf_log_error(log_emerg, cf.log, {uscf.file_name, uscf.line}, 0,
                       "upstream \"{}\" may not have port {}", u.host, uscf.port);
        return false;
    }
    return true;
}

StreamUpstreamSrvConf* new_upstream(Conf& cf, StreamUpstreamMainConf& umcf, const Url& u,
                                    unsigned flags)
{
    auto* uscf = cf.pool->create<StreamUpstreamSrvConf>();
    uscf->flags = flags;
    uscf->host = u.host;
    uscf->file_name = cf.conf_file->name;
    uscf->line = cf.conf_file->line;
    uscf->port = u.port;
    uscf->no_port = u.no_port;

    const bool unix_socket =
        u.addrs.size() == 1 && u.addrs.front().sockaddr.any.sa_family == AF_UNIX;
    if (u.addrs.size() == 1 && (u.port != 0 || unix_socket)) {
        uscf->servers.push_back({.name = u.url, .addrs = u.addrs});
    }
    umcf.upstreams.push_back(uscf);
    return uscf;
}

}  // namespace

std::size_t StreamUpstreamHostHash::operator()(std::string_view host) const noexcept
{
    std::size_t hash = 0;
    for (const char ch : host) {
        boost::hash_combine(hash, tolower(ch));
    }
    return hash;
}

StreamUpstreamSrvConf* stream_upstream_add(Conf& cf, Url& u, unsigned flags)
{
    if ((flags & stream_upstream_create) == 0 && parse_url(*cf.pool, u) != Rc::ok) {
        conf_log_error(log_emerg, cf, 0, "{} in upstream \"{}\"", u.err, u.url);
        return nullptr;
    }

    auto& umcf = *stream_conf_get_module_main_conf<StreamUpstreamMainConf>(cf);
    StreamUpstreamHost& host = umcf.hosts[u.host];
    if (host.first && !may_coexist(cf, *host.first, u, flags)) {
        return nullptr;
    }
    StreamUpstreamSrvConf*& uscf = host.by_port[u.port];
    if (!uscf) {
        uscf = new_upstream(cf, umcf, u, flags);
        host.first = host.first ? host.first : uscf;
    } else if ((flags & stream_upstream_create) != 0) {
        uscf->flags = flags;
    }
    return uscf;
}

StreamUpstreamSrvConf* stream_upstream_find(const StreamUpstreamMainConf& umcf,
                                            std::string_view host, in_port_t port) noexcept
{
    const auto found = umcf.hosts.find(host);
    if (found == umcf.hosts.end()) {
        return nullptr;
    }
    const auto uscf = found->second.by_port.find(port);
    return uscf == found->second.by_port.end() ? nullptr : uscf->second;
}

namespace {

/// Creates the context of an upstream block: the main level is the stream block's, the server level
/// is new.
BlockCtx* create_upstream_ctx(Conf& cf, StreamUpstreamSrvConf& uscf)
{
    auto* ctx = cf.pool->create<BlockCtx>();
    ctx->conf[stream_main_conf_offset] = cf.ctx->conf[stream_main_conf_offset];
    uscf.srv_conf = cf.pool->pcalloc<void*>(stream_max_module);
    ctx->conf[stream_srv_conf_offset] = uscf.srv_conf;
    uscf.srv_conf[stream_upstream_module.ctx_index] = &uscf;

    const char* rv = for_stream_modules(cf, [&](const Module& module, const StreamModule& stream) {
        if (stream.create_srv_conf) {
            uscf.srv_conf[module.ctx_index] = stream.create_srv_conf(cf);
        }
        return conf_ok;
    });
    return rv == conf_ok ? ctx : nullptr;
}

const char* parse_upstream(Conf& cf, StreamUpstreamSrvConf& uscf)
{
    const ConfScope scope(cf);
    cf.ctx = create_upstream_ctx(cf, uscf);
    cf.cmd_type = stream_ups_conf;
    return cf.ctx ? conf_parse(cf) : conf_error;
}

/// Handles `upstream NAME { }`.
///
/// nginx: ngx_stream_upstream()
const char* stream_upstream(Conf& cf, const Command&, void*)
{
    constexpr unsigned flags = stream_upstream_create | stream_upstream_weight |
                               stream_upstream_max_conns | stream_upstream_max_fails |
                               stream_upstream_fail_timeout | stream_upstream_down |
                               stream_upstream_backup;
    Url u{.no_resolve = true, .host = cf.args[1], .no_port = true};
    StreamUpstreamSrvConf* const uscf = stream_upstream_add(cf, u, flags);
    if (!uscf) {
        return conf_error;
    }

    const char* rv = parse_upstream(cf, *uscf);
    if (rv == conf_ok && uscf->servers.empty()) {
        conf_log_error(log_emerg, cf, 0, "no servers are inside upstream");
        return conf_error;
    }
    return rv;
}

/// A parameter of `server` with a number.
///
/// Differs from nginx: a number that would make the arithmetic of the choice overflow is rejected.
struct ServerNumber {
    std::string_view name;
    unsigned flag;  // the balancing method must have it
    std::int64_t low;
    std::int64_t high;
    std::optional<std::int64_t> (*parse)(std::string_view text) noexcept;
    std::int64_t StreamUpstreamServer::*member;
};

constexpr std::int64_t max_number = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t max_weight = std::numeric_limits<std::int32_t>::max();

constexpr ServerNumber server_numbers[] = {
    {"weight=", stream_upstream_weight, 1, max_weight, atoi, &StreamUpstreamServer::weight},
    {"max_conns=", stream_upstream_max_conns, 0, max_number, atoi,
     &StreamUpstreamServer::max_conns},
    {"max_fails=", stream_upstream_max_fails, 0, max_number, atoi,
     &StreamUpstreamServer::max_fails},
    {"fail_timeout=", stream_upstream_fail_timeout, 0, max_number / 1000, parse_sec,
     &StreamUpstreamServer::fail_timeout},
};

struct ServerFlag {
    std::string_view name;
    unsigned flag;
    bool StreamUpstreamServer::*member;
};

constexpr ServerFlag server_flags[] = {
    {"backup", stream_upstream_backup, &StreamUpstreamServer::backup},
    {"down", stream_upstream_down, &StreamUpstreamServer::down},
};

/// Parameters of nginx that are not supported.
constexpr std::string_view unsupported_server_params[] = {"resolve", "service="};

/// Logs why a parameter of `server` is rejected. Always returns error.
Rc refuse_param(Conf& cf, std::string_view param)
{
    for (const std::string_view name : unsupported_server_params) {
        const bool has_value = name.ends_with('=');
        if (has_value ? param.starts_with(name) : param == name) {
            conf_log_error(log_emerg, cf, 0, "the \"{}\" parameter is not supported", param);
            return Rc::error;
        }
    }
    conf_log_error(log_emerg, cf, 0, "invalid parameter \"{}\"", param);
    return Rc::error;
}

Rc refuse_for_method(Conf& cf, std::string_view param)
{
    conf_log_error(log_emerg, cf, 0, "balancing method does not support parameter \"{}\"", param);
    return Rc::error;
}

Rc parse_server_param(Conf& cf, const StreamUpstreamSrvConf& uscf, std::string_view param,
                      StreamUpstreamServer& us)
{
    for (const ServerNumber& number : server_numbers) {
        if (!param.starts_with(number.name)) {
            continue;
        }
        if ((uscf.flags & number.flag) == 0) {
            return refuse_for_method(cf, param);
        }
        const auto value = number.parse(param.substr(number.name.size()));
        if (!value || *value < number.low || *value > number.high) {
            return refuse_param(cf, param);
        }
        us.*number.member = *value;
        return Rc::ok;
    }
    for (const ServerFlag& flag : server_flags) {
        if (param != flag.name) {
            continue;
        }
        if ((uscf.flags & flag.flag) == 0) {
            return refuse_for_method(cf, param);
        }
        us.*flag.member = true;
        return Rc::ok;
    }
    return refuse_param(cf, param);
}

/// Handles `server ADDRESS [PARAMETER ...];`.
///
/// nginx: ngx_stream_upstream_server()
const char* stream_upstream_server(Conf& cf, const Command&, void* conf)
{
    auto& uscf = *static_cast<StreamUpstreamSrvConf*>(conf);
    StreamUpstreamServer us;

    for (std::size_t i = 2; i < cf.args.size(); i++) {
        if (parse_server_param(cf, uscf, cf.args[i], us) != Rc::ok) {
            return conf_error;
        }
    }

    Url u{.url = cf.args[1]};
    if (parse_url(*cf.pool, u) != Rc::ok) {
        conf_log_error(log_emerg, cf, 0, "{} in upstream \"{}\"", u.err, u.url);
        return conf_error;
    }
    if (u.no_port) {
        conf_log_error(log_emerg, cf, 0, "no port in upstream \"{}\"", u.url);
        return conf_error;
    }

    us.name = u.url;
    us.addrs = std::move(u.addrs);
    uscf.servers.push_back(std::move(us));
    return conf_ok;
}

/// nginx: ngx_stream_upstream_create_main_conf()
void* stream_upstream_create_main_conf(Conf& cf)
{
    return cf.pool->create<StreamUpstreamMainConf>();
}

/// nginx: ngx_stream_upstream_init_main_conf()
const char* stream_upstream_init_main_conf(Conf& cf, void* conf)
{
    for (StreamUpstreamSrvConf* uscf : static_cast<StreamUpstreamMainConf*>(conf)->upstreams) {
        const auto init =
            uscf->peer.init_upstream ? uscf->peer.init_upstream : stream_upstream_init_round_robin;
        if (init(cf, *uscf) != Rc::ok) {
            return conf_error;
        }
    }
    return conf_ok;
}

constexpr Command stream_upstream_commands[] = {
    {
        .name = "upstream",
        .type = stream_main_conf | conf_block | conf_take1,
        .set = stream_upstream,
    },
    {
        .name = "server",
        .type = stream_ups_conf | conf_1more,
        .set = stream_upstream_server,
        .conf = stream_srv_conf_offset,
    },
};

constexpr StreamModule stream_upstream_module_ctx = {
    .create_main_conf = stream_upstream_create_main_conf,
    .init_main_conf = stream_upstream_init_main_conf,
};

}  // namespace

constinit Module stream_upstream_module = {
    .ctx = &stream_upstream_module_ctx,
    .commands = stream_upstream_commands,
    .type = ModuleType::stream,
};

}  // namespace ngx
