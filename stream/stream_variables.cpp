#include "stream/stream_variables.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "auto_build.hpp"
#include "core/cycle.hpp"
#include "core/palloc.hpp"
#include "core/proxy_protocol.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "os/unix/process.hpp"

namespace ngx {

namespace {

/// Formats a short text (at most 64 bytes) in the session's pool.
template <typename... Args>
std::string_view format_text(StreamSession& s, fmt::format_string<Args...> format,
                             const Args&... args)
{
    std::array<char, 64> buf;
    const char* end = slprintf(buf.data(), buf.data() + buf.size(), format, args...);
    return s.connection->pool->pstrdup({buf.data(), static_cast<std::size_t>(end - buf.data())});
}

std::string_view format_port(StreamSession& s, const sockaddr* sa)
{
    const in_port_t port = inet_get_port(sa);
    return port != 0 ? format_text(s, "{}", port) : std::string_view{};
}

/// nginx: ngx_stream_variable_remote_addr()
std::string_view variable_remote_addr(StreamSession& s, std::uintptr_t)
{
    return s.connection->addr_text;
}

/// nginx: ngx_stream_variable_binary_remote_addr()
std::string_view variable_binary_remote_addr(StreamSession& s, std::uintptr_t)
{
    const sockaddr* const sa = s.connection->sockaddr;
    switch (sa->sa_family) {
    case AF_INET:
        return {reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in*>(sa)->sin_addr),
                sizeof(in_addr)};
    case AF_INET6:
        return {
            reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in6*>(sa)->sin6_addr),
            sizeof(in6_addr)};
    default:
        return s.connection->addr_text;
    }
}

/// nginx: ngx_stream_variable_remote_port()
std::string_view variable_remote_port(StreamSession& s, std::uintptr_t)
{
    return format_port(s, s.connection->sockaddr);
}

/// nginx: ngx_stream_variable_server_addr()
std::string_view variable_server_addr(StreamSession& s, std::uintptr_t)
{
    Connection& c = *s.connection;
    std::array<char, sockaddr_strlen> buf;
    std::size_t len = 0;
    if (connection_local_sockaddr(c, buf.data(), &len, false) != Rc::ok) {
        return {};
    }
    return c.pool->pstrdup({buf.data(), len});
}

/// nginx: ngx_stream_variable_server_port()
std::string_view variable_server_port(StreamSession& s, std::uintptr_t)
{
    Connection& c = *s.connection;
    if (connection_local_sockaddr(c, nullptr, nullptr, false) != Rc::ok) {
        return {};
    }
    return format_port(s, c.local_sockaddr);
}

/// The end of the connection in a PROXY protocol header.
enum class End : std::uintptr_t { source, destination };

/// nginx: ngx_stream_variable_proxy_protocol_addr()
std::string_view variable_proxy_protocol_addr(StreamSession& s, std::uintptr_t data)
{
    const ProxyProtocol* const pp = s.connection->proxy_protocol;
    if (!pp) {
        return {};
    }
    return End{data} == End::source ? pp->src_addr : pp->dst_addr;
}

/// nginx: ngx_stream_variable_proxy_protocol_port()
std::string_view variable_proxy_protocol_port(StreamSession& s, std::uintptr_t data)
{
    const ProxyProtocol* const pp = s.connection->proxy_protocol;
    if (!pp) {
        return {};
    }
    const in_port_t port = End{data} == End::source ? pp->src_port : pp->dst_port;
    return port != 0 ? format_text(s, "{}", port) : std::string_view{};
}

constexpr std::string_view tlv_prefix = "proxy_protocol_tlv_";

/// nginx: ngx_stream_variable_proxy_protocol_tlv()
std::string_view variable_proxy_protocol_tlv(StreamSession& s, std::uintptr_t data)
{
    const auto& name = *reinterpret_cast<const std::string_view*>(data);
    std::string_view value;
    const Rc rc = proxy_protocol_get_tlv(*s.connection, name.substr(tlv_prefix.size()), value);
    return rc == Rc::ok ? value : std::string_view{};
}

enum class Bytes : std::uintptr_t { sent, received };

/// nginx: ngx_stream_variable_bytes()
std::string_view variable_bytes(StreamSession& s, std::uintptr_t data)
{
    return format_text(s, "{}", Bytes{data} == Bytes::sent ? s.connection->sent : s.received);
}

/// nginx: ngx_stream_variable_session_time()
std::string_view variable_session_time(StreamSession& s, std::uintptr_t)
{
    const Time& now = timeofday();
    const std::int64_t ms = (now.sec - s.start_sec) * 1000 + std::int64_t{now.msec} - s.start_msec;
    const std::int64_t elapsed = std::max(ms, std::int64_t{0});
    return format_text(s, "{}.{:03d}", elapsed / 1000, elapsed % 1000);
}

/// nginx: ngx_stream_variable_status()
std::string_view variable_status(StreamSession& s, std::uintptr_t)
{
    return format_text(s, "{:03d}", static_cast<unsigned>(s.status));
}

/// nginx: ngx_stream_variable_connection()
std::string_view variable_connection(StreamSession& s, std::uintptr_t)
{
    return format_text(s, "{}", s.connection->number);
}

/// nginx: ngx_stream_variable_nginx_version()
std::string_view variable_nginx_version(StreamSession&, std::uintptr_t)
{
    return server_version;
}

/// nginx: ngx_stream_variable_hostname()
std::string_view variable_hostname(StreamSession&, std::uintptr_t)
{
    return ngx_cycle->hostname;
}

/// nginx: ngx_stream_variable_pid()
std::string_view variable_pid(StreamSession& s, std::uintptr_t)
{
    return format_text(s, "{}", pid);
}

/// nginx: ngx_stream_variable_msec()
std::string_view variable_msec(StreamSession& s, std::uintptr_t)
{
    const Time& now = timeofday();
    return format_text(s, "{}.{:03d}", now.sec, now.msec);
}

/// nginx: ngx_stream_variable_time_iso8601()
std::string_view variable_time_iso8601(StreamSession& s, std::uintptr_t)
{
    return s.connection->pool->pstrdup(*cached_http_log_iso8601);
}

/// nginx: ngx_stream_variable_time_local()
std::string_view variable_time_local(StreamSession& s, std::uintptr_t)
{
    return s.connection->pool->pstrdup(*cached_http_log_time);
}

/// nginx: ngx_stream_variable_protocol()
std::string_view variable_protocol(StreamSession& s, std::uintptr_t)
{
    return s.connection->type == SOCK_DGRAM ? "UDP" : "TCP";
}

constexpr StreamVariable stream_core_variables[] = {
    {"binary_remote_addr", variable_binary_remote_addr},
    {"remote_addr", variable_remote_addr},
    {"remote_port", variable_remote_port},
    {"proxy_protocol_addr", variable_proxy_protocol_addr, static_cast<std::uintptr_t>(End::source)},
    {"proxy_protocol_port", variable_proxy_protocol_port, static_cast<std::uintptr_t>(End::source)},
    {"proxy_protocol_server_addr", variable_proxy_protocol_addr,
     static_cast<std::uintptr_t>(End::destination)},
    {"proxy_protocol_server_port", variable_proxy_protocol_port,
     static_cast<std::uintptr_t>(End::destination)},
    {tlv_prefix, variable_proxy_protocol_tlv, 0, true},
    {"server_addr", variable_server_addr},
    {"server_port", variable_server_port},
    {"bytes_sent", variable_bytes, static_cast<std::uintptr_t>(Bytes::sent)},
    {"bytes_received", variable_bytes, static_cast<std::uintptr_t>(Bytes::received)},
    {"session_time", variable_session_time},
    {"status", variable_status},
    {"connection", variable_connection},
    {"nginx_version", variable_nginx_version},
    {"hostname", variable_hostname},
    {"pid", variable_pid},
    {"msec", variable_msec},
    {"time_iso8601", variable_time_iso8601},
    {"time_local", variable_time_local},
    {"protocol", variable_protocol},
};

/// How the names of those of nginx's variables begin that are not supported.
constexpr std::string_view unsupported_variables[] = {"realip_remote_", "ssl_", "upstream_"};

/// Logs why a variable is refused that no module has added. Always returns error.
///
/// Differs from nginx: the message about a variable of nginx says that it is not supported, and
/// where it is used. nginx's own message about other names has no place.
Rc refuse_variable(Log* log, const StreamVariableUse& use)
{
    if (std::ranges::any_of(unsupported_variables,
                            [&](std::string_view begin) { return use.name.starts_with(begin); })) {
        conf_log_error(log_emerg, log, use.place, 0, "the \"${}\" variable is not supported",
                       use.name);
    } else {
        conf_log_error(log_emerg, log, {}, 0, "unknown \"{}\" variable", use.name);
    }
    return Rc::error;
}

}  // namespace

Rc stream_add_variable(Conf& cf, const StreamVariable& variable)
{
    auto& cmcf = *stream_conf_get_module_main_conf<StreamCoreMainConf>(cf);
    const StreamVariable* const other = stream_find_variable(cmcf, variable.name);
    if (other && other->name.size() == variable.name.size()) {
        conf_log_error(log_emerg, cf, 0, "the duplicate \"{}\" variable", variable.name);
        return Rc::error;
    }
    cmcf.variables.push_back(&variable);
    return Rc::ok;
}

const StreamVariable* stream_find_variable(const StreamCoreMainConf& cmcf,
                                           std::string_view name) noexcept
{
    // As in nginx, names of variables are case-insensitive.
    const StreamVariable* begins_so = nullptr;
    for (const StreamVariable* variable : cmcf.variables) {
        if (strcaseeq(variable->name, name)) {
            return variable;
        }
        if (variable->prefix && strcaseeq(variable->name, name.substr(0, variable->name.size()))) {
            begins_so = variable;
        }
    }
    return begins_so;
}

const StreamVariableUse* stream_use_variable(Conf& cf, std::string_view name)
{
    auto& cmcf = *stream_conf_get_module_main_conf<StreamCoreMainConf>(cf);
    std::string lower(name);
    std::ranges::transform(lower, lower.begin(), tolower);
    return &cmcf.used_variables.emplace_back(
        StreamVariableUse{.name = cf.pool->pstrdup(lower), .place = conf_place(cf)});
}

Rc stream_variables_add_core_vars(Conf& cf)
{
    for (const StreamVariable& variable : stream_core_variables) {
        if (stream_add_variable(cf, variable) != Rc::ok) {
            return Rc::error;
        }
    }
    return Rc::ok;
}

Rc stream_variables_init_vars(Conf& cf)
{
    auto& cmcf = *stream_conf_get_module_main_conf<StreamCoreMainConf>(cf);
    for (StreamVariableUse& use : cmcf.used_variables) {
        use.variable = stream_find_variable(cmcf, use.name);
        if (!use.variable) {
            return refuse_variable(cf.log, use);
        }
    }
    return Rc::ok;
}

}  // namespace ngx
