#include <vector>

#include "core/connection.hpp"
#include "core/inet.hpp"
#include "core/palloc.hpp"
#include "stream/stream.hpp"

namespace ngx {

extern Module stream_access_module;

namespace {

/// nginx: ngx_stream_access_rule_t, ngx_stream_access_rule6_t, ngx_stream_access_rule_un_t
struct StreamAccessRule {
    Cidr cidr{};
    bool deny = false;
};

/// nginx: ngx_stream_access_srv_conf_t
struct StreamAccessSrvConf {
    static constexpr Module* module = &stream_access_module;

    std::vector<StreamAccessRule>* rules = nullptr;  // servers without rules share the block's
    bool has_ipv4 = false;
};

/// Returns the address that the rules are compared with: an IPv4 address that is mapped into IPv6
/// counts as IPv4 if there are IPv4 rules.
const sockaddr* ruled_address(const StreamAccessSrvConf& ascf, const sockaddr* sa,
                              sockaddr_in& mapped) noexcept
{
    if (!ascf.has_ipv4 || sa->sa_family != AF_INET6) {
        return sa;
    }
    const in6_addr& addr = reinterpret_cast<const sockaddr_in6*>(sa)->sin6_addr;
    if (!IN6_IS_ADDR_V4MAPPED(&addr)) {
        return sa;
    }
    mapped.sin_family = AF_INET;
    mapped.sin_addr.s_addr = addr.s6_addr32[3];
    return reinterpret_cast<const sockaddr*>(&mapped);
}

/// Applies the first rule that matches the client's address.
///
/// nginx: ngx_stream_access_handler()
StreamPhaseRc stream_access_handler(StreamSession& s) noexcept
{
    const auto& ascf = *stream_get_module_srv_conf<StreamAccessSrvConf>(s);
    if (!ascf.rules) {
        return Rc::declined;
    }
    sockaddr_in mapped{};
    const sockaddr* const sa = ruled_address(ascf, s.connection->sockaddr, mapped);

    for (const StreamAccessRule& rule : *ascf.rules) {
        if (!cidr_contains(rule.cidr, sa)) {
            continue;
        }
        if (rule.deny) {
            log_error(log_err, s.connection->log, 0, "access forbidden by rule");
            return StreamStatus::forbidden;
        }
        return Rc::ok;
    }
    return Rc::declined;
}

/// Converts an argument of `allow` or `deny` into networks: "all" is one network of each family.
Rc parse_networks(Conf& cf, std::string_view word, std::vector<Cidr>& cidrs)
{
    if (word == "all") {
        cidrs = {{.family = AF_INET}, {.family = AF_INET6}, {.family = AF_UNIX}};
        return Rc::ok;
    }
    if (word == "unix:") {
        cidrs = {{.family = AF_UNIX}};
        return Rc::ok;
    }

    const Rc rc = ptocidr(word, cidrs.emplace_back());
    if (rc == Rc::error) {
        conf_log_error(log_emerg, cf, 0, "invalid parameter \"{}\"", word);
        return Rc::error;
    }
    if (rc == Rc::done) {
        conf_log_error(log_warn, cf, 0, "low address bits of {} are meaningless", word);
    }
    return Rc::ok;
}

/// Handles `allow|deny ADDRESS|NETWORK|unix:|all;`.
///
/// nginx: ngx_stream_access_rule()
const char* stream_access_rule(Conf& cf, const Command& cmd, void* conf)
{
    auto& ascf = *static_cast<StreamAccessSrvConf*>(conf);
    std::vector<Cidr> cidrs;
    if (parse_networks(cf, cf.args[1], cidrs) != Rc::ok) {
        return conf_error;
    }
    if (!ascf.rules) {
        ascf.rules = cf.pool->create<std::vector<StreamAccessRule>>();
    }
    for (const Cidr& cidr : cidrs) {
        ascf.rules->push_back({.cidr = cidr, .deny = cmd.name == "deny"});
        ascf.has_ipv4 |= cidr.family == AF_INET;
    }
    return conf_ok;
}

/// nginx: ngx_stream_access_create_srv_conf()
void* stream_access_create_srv_conf(Conf& cf)
{
    return cf.pool->create<StreamAccessSrvConf>();
}

/// A server inherits the rules of the stream block only if it has no rules.
///
/// nginx: ngx_stream_access_merge_srv_conf()
const char* stream_access_merge_srv_conf(Conf&, void* parent, void* child)
{
    const auto& prev = *static_cast<StreamAccessSrvConf*>(parent);
    auto& conf = *static_cast<StreamAccessSrvConf*>(child);
    if (!conf.rules) {
        conf = prev;
    }
    return conf_ok;
}

/// nginx: ngx_stream_access_init()
Rc stream_access_init(Conf& cf)
{
    stream_add_phase_handler(cf, StreamPhase::access, stream_access_handler);
    return Rc::ok;
}

constexpr std::uint32_t main_and_srv = stream_main_conf | stream_srv_conf;

constexpr Command stream_access_commands[] = {
    {
        .name = "allow",
        .type = main_and_srv | conf_take1,
        .set = stream_access_rule,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "deny",
        .type = main_and_srv | conf_take1,
        .set = stream_access_rule,
        .conf = stream_srv_conf_offset,
    },
};

constexpr StreamModule stream_access_module_ctx = {
    .postconfiguration = stream_access_init,
    .create_srv_conf = stream_access_create_srv_conf,
    .merge_srv_conf = stream_access_merge_srv_conf,
};

}  // namespace

constinit Module stream_access_module = {
    .ctx = &stream_access_module_ctx,
    .commands = stream_access_commands,
    .type = ModuleType::stream,
};

}  // namespace ngx
