#include <algorithm>
#include <array>
#include <limits>
#include <netinet/in.h>

#include "core/conf_slot.hpp"
#include "core/cycle.hpp"
#include "core/palloc.hpp"
#include "core/parse.hpp"
#include "core/string.hpp"
#include "event/event.hpp"
#include "stream/stream.hpp"
#include "stream/stream_variables.hpp"

namespace ngx {

void stream_core_content_phase(StreamSession& s) noexcept
{
    Connection& c = *s.connection;
    const auto& cscf = *stream_get_module_srv_conf<StreamCoreSrvConf>(s);
    c.log->action = nullptr;

    if (c.type == SOCK_STREAM && *cscf.tcp_nodelay && tcp_nodelay(c) != Rc::ok) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    if (!cscf.handler) {
        log_debug(log_debug_stream, c.log, 0, "no handler for server");
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    cscf.handler(s);
}

namespace {

/// nginx: ngx_stream_core_preconfiguration()
Rc stream_core_preconfiguration(Conf& cf)
{
    return stream_variables_add_core_vars(cf);
}

/// nginx: ngx_stream_core_create_main_conf()
void* stream_core_create_main_conf(Conf& cf)
{
    return cf.pool->create<StreamCoreMainConf>();
}

/// nginx: ngx_stream_core_create_srv_conf()
void* stream_core_create_srv_conf(Conf& cf)
{
    auto* cscf = cf.pool->create<StreamCoreSrvConf>();
    cscf->file_name = cf.conf_file->name;
    cscf->line = cf.conf_file->line;
    return cscf;
}

/// nginx: ngx_stream_core_merge_srv_conf()
const char* stream_core_merge_srv_conf(Conf& cf, void* parent, void* child)
{
    const auto& prev = *static_cast<StreamCoreSrvConf*>(parent);
    auto& conf = *static_cast<StreamCoreSrvConf*>(child);

    if (!conf.error_log) {
        conf.error_log = prev.error_log ? prev.error_log : &cf.cycle->new_log;
    }
    conf_merge_value(conf.tcp_nodelay, prev.tcp_nodelay, true);
    return conf_ok;
}

/// nginx: ngx_stream_core_error_log()
const char* stream_core_error_log(Conf& cf, const Command&, void* conf)
{
    return log_set_log(cf, static_cast<StreamCoreSrvConf*>(conf)->error_log);
}

/// `server { }`
///
/// nginx: ngx_stream_core_server()
const char* stream_core_server(Conf& cf, const Command&, void*)
{
    auto* ctx = cf.pool->create<BlockCtx>();
    ctx->conf[stream_main_conf_offset] = cf.ctx->conf[stream_main_conf_offset];
    ctx->conf[stream_srv_conf_offset] = cf.pool->pcalloc<void*>(stream_max_module);

    const char* rv = for_stream_modules(cf, [&](const Module& module, const StreamModule& stream) {
        if (stream.create_srv_conf) {
            ctx->conf[stream_srv_conf_offset][module.ctx_index] = stream.create_srv_conf(cf);
        }
        return conf_ok;
    });
    if (rv != conf_ok) {
        return rv;
    }

    const Conf pcf = cf;
    cf.ctx = ctx;
    cf.cmd_type = stream_srv_conf;
    auto& cscf = *stream_conf_get_module_srv_conf<StreamCoreSrvConf>(cf);
    cscf.ctx = ctx;
    stream_conf_get_module_main_conf<StreamCoreMainConf>(cf)->servers.push_back(&cscf);

    rv = conf_parse(cf);
    cf = pcf;

    if (!cscf.listen && rv == conf_ok) {
        log_error(log_emerg, cf.log, 0, "no \"listen\" is defined for server in {}:{}",
                  cscf.file_name, cscf.line);
        return conf_error;
    }
    return rv;
}

/// What the parsing of one `listen` parameter comes to: unknown if it is of another name.
enum class Param { taken, invalid, unknown };

/// Cuts `name=` off the front of the parameter.
std::optional<std::string_view> value_of(std::string_view param, std::string_view name) noexcept
{
    if (!param.starts_with(name)) {
        return std::nullopt;
    }
    return param.substr(name.size());
}

/// False when there is no number, or too large a one.
///
/// Differs from nginx: there a number that no int holds is cut to one that was not asked for.
template <typename Parsed>
bool take_int(const Parsed& parsed, int& to)
{
    constexpr auto max = std::numeric_limits<int>::max();
    if (!parsed || static_cast<std::uint64_t>(*parsed) > static_cast<std::uint64_t>(max)) {
        return false;
    }
    to = static_cast<int>(*parsed);
    return true;
}

/// A parameter with a number behind it. Such a parameter is the address's own.
template <typename Parsed>
Param take_number(Conf& cf, std::string_view param, std::string_view what, const Parsed& parsed,
                  int& to)
{
    if (!take_int(parsed, to)) {
        conf_log_error(log_emerg, cf, 0, "invalid {} \"{}\"", what, param);
        return Param::invalid;
    }
    return Param::taken;
}

Param listen_number(Conf& cf, std::string_view param, StreamListenOpt& lsopt)
{
    if (const auto value = value_of(param, "fastopen=")) {
        return take_number(cf, param, "fastopen", atoi(*value), lsopt.fastopen);
    }
    if (const auto value = value_of(param, "backlog=")) {
        const auto backlog = atoi(*value);
        return take_number(cf, param, "backlog", backlog == 0 ? std::nullopt : backlog,
                           lsopt.backlog);
    }
    if (const auto value = value_of(param, "rcvbuf=")) {
        return take_number(cf, param, "rcvbuf", parse_size(*value), lsopt.rcvbuf);
    }
    if (const auto value = value_of(param, "sndbuf=")) {
        return take_number(cf, param, "sndbuf", parse_size(*value), lsopt.sndbuf);
    }
    return Param::unknown;
}

Param listen_ipv6only(Conf& cf, std::string_view param, StreamListenOpt& lsopt)
{
    if (!param.starts_with("ipv6only=o")) {
        return Param::unknown;
    }
    if (param != "ipv6only=on" && param != "ipv6only=off") {
        conf_log_error(log_emerg, cf, 0, "invalid ipv6only flags \"{}\"", param.substr(9));
        return Param::invalid;
    }
    lsopt.ipv6only = param == "ipv6only=on";
    return Param::taken;
}

/// IDLE:INTVL:CNT, each of which may be left out, but not all.
bool parse_keepalive(std::string_view value, StreamListenOpt& lsopt)
{
    std::array<std::string_view, 3> parts{};
    for (std::size_t i = 0; i < parts.size(); i++) {
        const std::size_t colon = i + 1 < parts.size() ? value.find(':') : value.npos;
        parts[i] = value.substr(0, colon);
        value.remove_prefix(colon == value.npos ? value.size() : colon + 1);
    }

    const auto take = [](std::string_view part, std::optional<std::int64_t> parsed, int& to) {
        return part.empty() || take_int(parsed, to);
    };
    return take(parts[0], parse_sec(parts[0]), lsopt.tcp_keepidle) &&
           take(parts[1], parse_sec(parts[1]), lsopt.tcp_keepintvl) &&
           take(parts[2], atoi(parts[2]), lsopt.tcp_keepcnt) &&
           (lsopt.tcp_keepidle != 0 || lsopt.tcp_keepintvl != 0 || lsopt.tcp_keepcnt != 0);
}

Param listen_keepalive(Conf& cf, std::string_view param, StreamListenOpt& lsopt)
{
    const auto value = value_of(param, "so_keepalive=");
    if (!value) {
        return Param::unknown;
    }
    if (*value == "off") {
        lsopt.so_keepalive = 2;
        return Param::taken;
    }
    if (*value != "on" && !parse_keepalive(*value, lsopt)) {
        conf_log_error(log_emerg, cf, 0, "invalid so_keepalive value: \"{}\"", *value);
        return Param::invalid;
    }
    lsopt.so_keepalive = 1;
    return Param::taken;
}

Param listen_word(std::string_view param, StreamListenOpt& lsopt)
{
    if (param == "bind") {
        return Param::taken;
    }
    if (param == "deferred") {
        lsopt.deferred_accept = true;
        return Param::taken;
    }
    if (param == "reuseport") {
        lsopt.reuseport = true;
        return Param::taken;
    }
    if (param == "multipath") {
        lsopt.protocol = IPPROTO_MPTCP;
        return Param::taken;
    }
    return Param::unknown;
}

/// Parameters that belong to the address: with one of them it gets a socket of its own.
Param listen_socket_param(Conf& cf, std::string_view param, StreamListenOpt& lsopt)
{
    Param rc = listen_word(param, lsopt);
    if (rc == Param::unknown) {
        rc = listen_number(cf, param, lsopt);
    }
    if (rc == Param::unknown) {
        rc = listen_ipv6only(cf, param, lsopt);
    }
    if (rc == Param::unknown) {
        rc = listen_keepalive(cf, param, lsopt);
    }
    if (rc == Param::taken) {
        lsopt.set = true;
        lsopt.bind = true;
    }
    return rc;
}

/// Differs from nginx: datagrams, TLS and the PROXY protocol are not served; asking for them is an
/// error.
Param listen_unsupported(Conf& cf, std::string_view param)
{
    for (const std::string_view name : {"udp", "ssl", "proxy_protocol"}) {
        if (param == name) {
            conf_log_error(log_emerg, cf, 0, "the \"{}\" parameter is not supported", param);
            return Param::invalid;
        }
    }
    return Param::unknown;
}

Rc parse_listen_params(Conf& cf, StreamListenOpt& lsopt)
{
    for (std::size_t i = 2; i < cf.args.size(); i++) {
        const std::string_view param = cf.args[i];
        if (param == "default_server") {
            lsopt.default_server = true;
            continue;
        }
        if (param.starts_with("accept_filter=")) {
            conf_log_error(log_emerg, cf, 0,
                           "accept filters \"{}\" are not supported on this platform, ignored",
                           param);
            continue;
        }

        Param rc = listen_socket_param(cf, param, lsopt);
        if (rc == Param::unknown) {
            rc = listen_unsupported(cf, param);
        }
        if (rc == Param::unknown) {
            conf_log_error(log_emerg, cf, 0, "invalid parameter \"{}\"", param);
        }
        if (rc != Param::taken) {
            return Rc::error;
        }
    }
    return Rc::ok;
}

/// `listen ADDRESS|PORT|unix:PATH [PARAMETER ...]`
///
/// nginx: ngx_stream_core_listen()
const char* stream_core_listen(Conf& cf, const Command&, void* conf)
{
    auto& cscf = *static_cast<StreamCoreSrvConf*>(conf);
    cscf.listen = true;

    Url u{.url = cf.args[1], .listen = true};
    if (parse_url(*cf.pool, u) != Rc::ok) {
        conf_log_error(log_emerg, cf, 0, "{} in \"{}\" of the \"listen\" directive", u.err, u.url);
        return conf_error;
    }

    StreamListenOpt lsopt;
    if (parse_listen_params(cf, lsopt) != Rc::ok) {
        return conf_error;
    }

    for (auto addr = u.addrs.begin(); addr != u.addrs.end(); ++addr) {
        // A name may have the same address twice.
        const auto same = [&](const Addr& other) {
            return cmp_sockaddr(&addr->sockaddr.any, addr->socklen, &other.sockaddr.any,
                                other.socklen, true) == Rc::ok;
        };
        if (std::any_of(u.addrs.begin(), addr, same)) {
            continue;
        }
        lsopt.addr = *addr;
        lsopt.wildcard = inet_wildcard(&addr->sockaddr.any);
        if (stream_add_listen(cf, cscf, lsopt) != Rc::ok) {
            return conf_error;
        }
    }
    return conf_ok;
}

constexpr std::uint32_t main_and_srv = stream_main_conf | stream_srv_conf;

constexpr Command stream_core_commands[] = {
    {
        .name = "server",
        .type = stream_main_conf | conf_block | conf_noargs,
        .set = stream_core_server,
    },
    {
        .name = "listen",
        .type = stream_srv_conf | conf_1more,
        .set = stream_core_listen,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "error_log",
        .type = main_and_srv | conf_1more,
        .set = stream_core_error_log,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "tcp_nodelay",
        .type = main_and_srv | conf_flag,
        .set = conf_set_flag_slot<&StreamCoreSrvConf::tcp_nodelay>,
        .conf = stream_srv_conf_offset,
    },
};

constexpr StreamModule stream_core_module_ctx = {
    .preconfiguration = stream_core_preconfiguration,
    .create_main_conf = stream_core_create_main_conf,
    .create_srv_conf = stream_core_create_srv_conf,
    .merge_srv_conf = stream_core_merge_srv_conf,
};

}  // namespace

constinit Module stream_core_module = {
    .ctx = &stream_core_module_ctx,
    .commands = stream_core_commands,
    .type = ModuleType::stream,
};

}  // namespace ngx
