#include "stream/stream.hpp"

#include <algorithm>

#include "core/cycle.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "stream/stream_variables.hpp"

namespace ngx {

std::size_t stream_max_module;

namespace {

/// Adds a server, which is a duplicate only if it is the last one: servers are read one by one.
///
/// nginx: ngx_stream_add_server()
Rc stream_add_server(Conf& cf, const StreamCoreSrvConf& cscf, StreamConfAddr& addr)
{
    if (!addr.servers.empty() && addr.servers.back() == &cscf) {
        conf_log_error(log_emerg, cf, 0, "a duplicate listen {}", addr.opt.addr.name);
        return Rc::error;
    }
    addr.servers.push_back(&cscf);
    return Rc::ok;
}

/// nginx: ngx_stream_add_address()
Rc stream_add_address(Conf& cf, StreamCoreSrvConf& cscf, StreamConfPort& port,
                      const StreamListenOpt& lsopt)
{
    StreamConfAddr& addr = port.addrs.emplace_back();
    addr.opt = lsopt;
    addr.default_server = &cscf;
    return stream_add_server(cf, cscf, addr);
}

/// Warns if the servers of an address differ in `proxy_protocol`. One server that has it makes the
/// address read the header; but either all servers should have it, or only the one with the options
/// of the socket. `before` is whether an earlier server has it.
void check_protocols(Conf& cf, StreamConfAddr& addr, const StreamListenOpt& lsopt,
                     bool before) noexcept
{
    const bool now = lsopt.proxy_protocol;
    bool redefined = addr.protocols_set && now != addr.protocols;
    if (now && !before) {
        redefined = (addr.opt.set && !lsopt.set) || addr.protocols_changed;
    } else if (before && !now) {
        redefined |= lsopt.set;
    } else {
        redefined |= lsopt.set && addr.protocols_changed;
    }
    if (redefined) {
        conf_log_error(log_warn, cf, 0, "protocol options redefined for {}", addr.opt.addr.name);
    }
    addr.protocols = now && before;
    addr.protocols_set = true;
    addr.protocols_changed |= now != before;
}

/// Adds a server to an address that has other servers. Only one of them may give the options of the
/// socket, and only one may be the default server.
Rc share_address(Conf& cf, StreamCoreSrvConf& cscf, StreamConfAddr& addr,
                 const StreamListenOpt& lsopt)
{
    if (stream_add_server(cf, cscf, addr) != Rc::ok) {
        return Rc::error;
    }

    const bool had_default = addr.opt.default_server;
    const bool had_proxy_protocol = addr.opt.proxy_protocol;
    if (lsopt.set) {
        if (addr.opt.set) {
            conf_log_error(log_emerg, cf, 0, "duplicate listen options for {}", addr.opt.addr.name);
            return Rc::error;
        }
        addr.opt = lsopt;
    }
    addr.opt.default_server = had_default || lsopt.default_server;

    if (lsopt.default_server) {
        if (had_default) {
            conf_log_error(log_emerg, cf, 0, "a duplicate default server for {}",
                           addr.opt.addr.name);
            return Rc::error;
        }
        addr.default_server = &cscf;
    }

    check_protocols(cf, addr, lsopt, had_proxy_protocol);
    addr.opt.proxy_protocol = had_proxy_protocol || lsopt.proxy_protocol;
    return Rc::ok;
}

/// nginx: ngx_stream_add_addresses()
Rc stream_add_addresses(Conf& cf, StreamCoreSrvConf& cscf, StreamConfPort& port,
                        const StreamListenOpt& lsopt)
{
    const std::string bytes(stream_addr_bytes(lsopt.addr));
    const auto [found, is_new] = port.addr_index.try_emplace(bytes, port.addrs.size());
    return is_new ? stream_add_address(cf, cscf, port, lsopt)
                  : share_address(cf, cscf, port.addrs[found->second], lsopt);
}

/// Creates the listening socket of an address.
///
/// nginx: ngx_stream_add_listening()
Listening& stream_add_listening(Conf& cf, const StreamConfAddr& addr)
{
    const StreamListenOpt& opt = addr.opt;
    Listening& ls = *create_listening(cf, &opt.addr.sockaddr.any, opt.addr.socklen);

    ls.addr_ntop = 1;
    ls.handler = stream_init_connection;
    ls.pool_size = connection_pool_size;
    ls.logp = addr.default_server->error_log;
    ls.log.handler = accept_log_error;

    ls.type = opt.type;
    ls.protocol = opt.protocol;
    ls.backlog = opt.backlog;
    ls.rcvbuf = opt.rcvbuf;
    ls.sndbuf = opt.sndbuf;
    ls.keepalive = opt.so_keepalive & 3;
    ls.keepidle = opt.tcp_keepidle;
    ls.keepintvl = opt.tcp_keepintvl;
    ls.keepcnt = opt.tcp_keepcnt;
    ls.fastopen = opt.fastopen;
    ls.deferred_accept = opt.deferred_accept;
    ls.ipv6only = opt.ipv6only;
    ls.reuseport = opt.reuseport;
    ls.wildcard = opt.wildcard;
    return ls;
}

/// Orders addresses with their own socket first, then those that the wildcard's socket can serve,
/// then the wildcard.
unsigned listening_order(const StreamConfAddr& addr) noexcept
{
    return addr.opt.wildcard ? 2 : !addr.opt.bind;
}

/// Creates the listening sockets of a port: one for each address, but if there is a wildcard, its
/// socket serves all addresses that have no `bind`.
///
/// nginx: ngx_stream_init_listening()
void stream_init_listening(Conf& cf, StreamConfPort& port)
{
    std::ranges::stable_sort(port.addrs, {}, listening_order);

    const bool bind_wildcard = port.addrs.back().opt.wildcard;
    port.addrs.back().opt.bind |= bind_wildcard;

    auto* served = cf.pool->create<StreamPort>();
    for (const StreamConfAddr& addr : port.addrs) {
        served->addrs.push_back({addr.opt.addr, addr.default_server, addr.opt.proxy_protocol});
        if (bind_wildcard && !addr.opt.bind) {
            continue;
        }
        stream_add_listening(cf, addr).servers = served;
        served = cf.pool->create<StreamPort>();
    }
}

/// Warns of servers that never get a client: without TLS there is no server name to choose by, so
/// that only the default server of an address is used.
///
/// nginx: ngx_stream_server_names()
void stream_server_names(const Conf& cf, const StreamConfAddr& addr)
{
    for (std::size_t i = 1; i < addr.servers.size(); i++) {
        log_error(log_warn, cf.log, 0, "conflicting server name \"\" on {}, ignored",
                  addr.opt.addr.name);
    }
}

/// nginx: ngx_stream_optimize_servers()
void stream_optimize_servers(Conf& cf, StreamCoreMainConf& cmcf)
{
    for (StreamConfPort& port : cmcf.ports) {
        for (const StreamConfAddr& addr : port.addrs) {
            stream_server_names(cf, addr);
        }
        stream_init_listening(cf, port);
    }
}

/// Builds the list of the handlers of all phases.
///
/// nginx: ngx_stream_init_phase_handlers()
void stream_init_phase_handlers(StreamCoreMainConf& cmcf)
{
    for (const StreamPhase phase : {StreamPhase::post_accept, StreamPhase::preaccess,
                                    StreamPhase::access, StreamPhase::preread}) {
        const auto& handlers = cmcf.phases[static_cast<std::size_t>(phase)];
        const std::size_t next = cmcf.phase_engine.size() + handlers.size();
        const auto checker =
            phase == StreamPhase::preread ? stream_core_preread_phase : stream_core_generic_phase;
        for (auto handler = handlers.rbegin(); handler != handlers.rend(); ++handler) {
            cmcf.phase_engine.push_back({checker, *handler, next});
        }
    }
    cmcf.phase_engine.push_back({.checker = stream_core_content_phase});
}

const char* create_confs(Conf& cf, BlockCtx& ctx)
{
    return for_stream_modules(cf, [&](const Module& module, const StreamModule& stream) {
        if (stream.create_main_conf) {
            ctx.conf[stream_main_conf_offset][module.ctx_index] = stream.create_main_conf(cf);
        }
        if (stream.create_srv_conf) {
            ctx.conf[stream_srv_conf_offset][module.ctx_index] = stream.create_srv_conf(cf);
        }
        return conf_ok;
    });
}

const char* preconfigure(Conf& cf)
{
    return for_stream_modules(cf, [&](const Module&, const StreamModule& stream) {
        const bool ok = !stream.preconfiguration || stream.preconfiguration(cf) == Rc::ok;
        return ok ? conf_ok : conf_error;
    });
}

const char* postconfigure(Conf& cf)
{
    return for_stream_modules(cf, [&](const Module&, const StreamModule& stream) {
        const bool ok = !stream.postconfiguration || stream.postconfiguration(cf) == Rc::ok;
        return ok ? conf_ok : conf_error;
    });
}

/// For each module, initializes the main configuration and then merges the stream block's values
/// into the servers' configurations.
const char* init_and_merge(Conf& cf, BlockCtx& ctx, const StreamCoreMainConf& cmcf)
{
    return for_stream_modules(cf, [&](const Module& module, const StreamModule& stream) {
        const std::size_t mi = module.ctx_index;
        cf.ctx = &ctx;
        if (stream.init_main_conf) {
            const char* rv = stream.init_main_conf(cf, ctx.conf[stream_main_conf_offset][mi]);
            if (rv != conf_ok) {
                return rv;
            }
        }
        for (const StreamCoreSrvConf* cscf : cmcf.servers) {
            if (!stream.merge_srv_conf) {
                break;
            }
            cf.ctx = cscf->ctx;
            const char* rv = stream.merge_srv_conf(cf, ctx.conf[stream_srv_conf_offset][mi],
                                                   cscf->ctx->conf[stream_srv_conf_offset][mi]);
            if (rv != conf_ok) {
                return rv;
            }
        }
        return conf_ok;
    });
}

const char* configure(Conf& cf, BlockCtx& ctx)
{
    cf.ctx = &ctx;
    if (const char* rv = preconfigure(cf); rv != conf_ok) {
        return rv;
    }

    cf.module_type = ModuleType::stream;
    cf.cmd_type = stream_main_conf;
    if (const char* rv = conf_parse(cf); rv != conf_ok) {
        return rv;
    }

    auto& cmcf = *stream_conf_get_module_main_conf<StreamCoreMainConf>(cf);
    if (const char* rv = init_and_merge(cf, ctx, cmcf); rv != conf_ok) {
        return rv;
    }
    cf.ctx = &ctx;
    if (const char* rv = postconfigure(cf); rv != conf_ok) {
        return rv;
    }
    if (stream_variables_init_vars(cf) != Rc::ok) {
        return conf_error;
    }
    stream_init_phase_handlers(cmcf);
    stream_optimize_servers(cf, cmcf);
    return conf_ok;
}

/// Handles `stream { }`. `conf` points to the variable that stores the block's context.
///
/// nginx: ngx_stream_block()
const char* stream_block(Conf& cf, const Command&, void* conf)
{
    void*& stored_ctx = *static_cast<void**>(conf);
    if (stored_ctx) {
        return "is duplicate";
    }

    stream_max_module = count_modules(*cf.cycle, ModuleType::stream);
    auto* ctx = cf.pool->create<BlockCtx>();
    ctx->conf[stream_main_conf_offset] = cf.pool->pcalloc<void*>(stream_max_module);
    ctx->conf[stream_srv_conf_offset] = cf.pool->pcalloc<void*>(stream_max_module);
    stored_ctx = ctx;

    if (const char* rv = create_confs(cf, *ctx); rv != conf_ok) {
        return rv;
    }
    const ConfScope scope(cf);
    return configure(cf, *ctx);
}

constexpr Command stream_commands[] = {
    {
        .name = "stream",
        .type = main_conf | conf_block | conf_noargs,
        .set = stream_block,
    },
};

/// Calls the modules' init_conf, if there is a stream block.
const char* stream_init_conf(Cycle& cycle, void* conf)
{
    const auto* ctx = static_cast<const BlockCtx*>(conf);
    for (const Module* module : modules_of(cycle)) {
        if (!ctx || module->type != ModuleType::stream) {
            continue;
        }
        const auto init_conf = static_cast<const StreamModule*>(module->ctx)->init_conf;
        void* const main_conf = ctx->conf[stream_main_conf_offset][module->ctx_index];
        if (init_conf && init_conf(cycle, main_conf) != conf_ok) {
            return conf_error;
        }
    }
    return conf_ok;
}

constexpr CoreModule stream_module_ctx = {
    .name = "stream",
    .init_conf = stream_init_conf,
};

}  // namespace

Rc stream_add_listen(Conf& cf, StreamCoreSrvConf& cscf, const StreamListenOpt& lsopt)
{
    auto& cmcf = *stream_conf_get_module_main_conf<StreamCoreMainConf>(cf);
    const sockaddr* const sa = &lsopt.addr.sockaddr.any;
    const StreamPortKey key{sa->sa_family, lsopt.type, inet_get_port(sa)};

    const auto [found, is_new] = cmcf.port_index.try_emplace(key, cmcf.ports.size());
    if (is_new) {
        StreamConfPort& port = cmcf.ports.emplace_back();
        std::tie(port.family, port.type, port.port) = key;
    }
    return stream_add_addresses(cf, cscf, cmcf.ports[found->second], lsopt);
}

void stream_add_phase_handler(Conf& cf, StreamPhase phase, StreamHandler handler)
{
    auto& cmcf = *stream_conf_get_module_main_conf<StreamCoreMainConf>(cf);
    cmcf.phases[static_cast<std::size_t>(phase)].push_back(handler);
}

constinit Module stream_module = {
    .ctx = &stream_module_ctx,
    .commands = stream_commands,
    .type = ModuleType::core,
};

}  // namespace ngx
