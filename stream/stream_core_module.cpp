#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <netinet/in.h>
#include <set>
#include <sys/socket.h>

#include "core/buf.hpp"
#include "core/conf_slot.hpp"
#include "core/cycle.hpp"
#include "core/errlog_module.hpp"
#include "core/palloc.hpp"
#include "core/parse.hpp"
#include "core/string.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"
#include "stream/stream_variables.hpp"

namespace ngx {

namespace {

/// Acts on the result of a phase handler: selects the next handler, waits, or ends the session.
/// Returns the checker's result.
Rc apply_result(StreamSession& s, const StreamPhaseHandler& ph, StreamPhaseRc answer) noexcept
{
    switch (answer.rc) {
    case Rc::ok:
        s.phase_handler = ph.next;
        return Rc::again;
    case Rc::declined:
        s.phase_handler++;
        return Rc::again;
    case Rc::again:
    case Rc::done:
        return Rc::ok;
    default:
        stream_finalize_session(s, answer.status);
        return Rc::ok;
    }
}

/// Whether the poller reports data that arrives after data that was not read.
///
/// nginx: ngx_stream_preread_can_peek()
bool stream_preread_can_peek() noexcept
{
    return (event_flags & use_clear_event) != 0 && (event_flags & use_epoll_event) != 0 &&
           use_epoll_rdhup;
}

std::size_t buf_room(const Buf& b) noexcept
{
    return static_cast<std::size_t>(b.end - b.last);
}

/// Calls the handler with the received data without reading it (MSG_PEEK), so that the content
/// reads it from the socket.
///
/// Differs from nginx: when the handler needs more data, the session waits for the read event, also
/// if the connection was accepted with data (deferred) and is not yet in the poller.
///
/// nginx: ngx_stream_preread_peek()
StreamPhaseRc stream_preread_peek(StreamSession& s, const StreamPhaseHandler& ph)
{
    Connection& c = *s.connection;
    Buf& b = *c.buffer;
    const ssize_t n = ::recv(c.fd, b.last, buf_room(b), MSG_PEEK);
    log_debug(log_debug_stream, c.log, 0, "stream recv(): {}", n);

    if (n == -1 && errno == EAGAIN) {
        c.read->ready = 0;
        return Rc::again;
    }
    if (n == -1) {
        connection_error(c, errno, "recv() failed");
    }
    if (n <= 0) {
        return StreamStatus::ok;
    }

    b.last += n;
    const StreamPhaseRc answer = ph.handler(s);
    const bool full = b.last == b.end;
    b.last = b.pos;
    if (answer.rc != Rc::again) {
        return answer;
    }
    if (full) {
        log_error(log_err, c.log, 0, "preread buffer full");
        return StreamStatus::bad_request;
    }
    if (c.read->pending_eof) {
        return StreamStatus::ok;  // no more data will arrive
    }
    c.read->ready = 0;
    return Rc::again;
}

/// Reads data into `c.buffer`, where the content finds it, and calls the handler with it.
///
/// nginx: ngx_stream_preread()
StreamPhaseRc stream_preread(StreamSession& s, const StreamPhaseHandler& ph)
{
    Connection& c = *s.connection;
    Buf& b = *c.buffer;
    while (c.read->ready) {
        const ssize_t n = c.recv(c, b.last, buf_room(b));
        if (n == io_again) {
            return Rc::again;
        }
        if (n == io_error || n == 0) {
            return StreamStatus::ok;
        }
        b.last += n;

        if (const StreamPhaseRc answer = ph.handler(s); answer.rc != Rc::again) {
            return answer;
        }
        if (b.last == b.end) {
            log_error(log_err, c.log, 0, "preread buffer full");
            return StreamStatus::bad_request;
        }
    }
    return Rc::again;
}

/// Calls the handler with the data that has been received, and again each time more data arrives.
///
/// Differs from nginx: a session that worker_shutdown_timeout closes does not wait any longer.
StreamPhaseRc call_preread_handler(StreamSession& s, const StreamPhaseHandler& ph)
{
    Connection& c = *s.connection;
    if (c.read->timedout || c.close) {
        return StreamStatus::ok;
    }
    if (!c.read->timer_set()) {
        if (const StreamPhaseRc answer = ph.handler(s); answer.rc != Rc::again) {
            return answer;
        }
    }
    if (!c.buffer) {
        const auto& cscf = *stream_get_module_srv_conf<StreamCoreSrvConf>(s);
        c.buffer = create_temp_buf(*c.pool, *cscf.preread_buffer_size);
    }
    return stream_preread_can_peek() ? stream_preread_peek(s, ph) : stream_preread(s, ph);
}

}  // namespace

void stream_core_run_phases(StreamSession& s) noexcept
{
    const auto& engine = stream_get_module_main_conf<StreamCoreMainConf>(s)->phase_engine;
    stream_run(s, [&] {
        for (;;) {
            const StreamPhaseHandler& ph = engine[s.phase_handler];
            if (ph.checker(s, ph) == Rc::ok) {
                return;  // the session may have been destroyed
            }
        }
    });
}

Rc stream_core_generic_phase(StreamSession& s, const StreamPhaseHandler& ph)
{
    log_debug(log_debug_stream, s.connection->log, 0, "generic phase: {}", s.phase_handler);
    return apply_result(s, ph, ph.handler(s));
}

Rc stream_core_preread_phase(StreamSession& s, const StreamPhaseHandler& ph)
{
    Connection& c = *s.connection;
    Event& rev = *c.read;
    c.log->action = "prereading client data";

    const StreamPhaseRc answer = call_preread_handler(s, ph);
    if (answer.rc != Rc::again) {
        if (rev.timer_set()) {
            del_timer(rev);
        }
        return apply_result(s, ph, answer);
    }

    if (handle_read_event(rev, 0) != Rc::ok) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return Rc::ok;
    }
    if (!rev.timer_set()) {
        add_timer(rev, *stream_get_module_srv_conf<StreamCoreSrvConf>(s)->preread_timeout);
    }
    rev.handler = stream_session_handler;
    return Rc::ok;
}

Rc stream_core_content_phase(StreamSession& s, const StreamPhaseHandler&)
{
    Connection& c = *s.connection;
    const auto& cscf = *stream_get_module_srv_conf<StreamCoreSrvConf>(s);
    c.log->action = nullptr;

    if (c.type == SOCK_STREAM && *cscf.tcp_nodelay && tcp_nodelay(c) != Rc::ok) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return Rc::ok;
    }
    if (!cscf.handler) {
        log_debug(log_debug_stream, c.log, 0, "no handler for server");
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return Rc::ok;
    }
    cscf.handler(s);
    return Rc::ok;
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
    conf_merge_value(conf.proxy_protocol_timeout, prev.proxy_protocol_timeout, Msec{30'000});
    conf_merge_value(conf.preread_buffer_size, prev.preread_buffer_size, std::size_t{16'384});
    conf_merge_value(conf.preread_timeout, prev.preread_timeout, Msec{30'000});
    return conf_ok;
}

/// nginx: ngx_stream_core_error_log()
const char* stream_core_error_log(Conf& cf, const Command&, void* conf)
{
    return log_set_log(cf, static_cast<StreamCoreSrvConf*>(conf)->error_log);
}

/// Handles `server { }`.
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

    const ConfScope scope(cf);
    cf.ctx = ctx;
    cf.cmd_type = stream_srv_conf;
    auto& cscf = *stream_conf_get_module_srv_conf<StreamCoreSrvConf>(cf);
    cscf.ctx = ctx;
    stream_conf_get_module_main_conf<StreamCoreMainConf>(cf)->servers.push_back(&cscf);

    rv = conf_parse(cf);
    if (!cscf.listen && rv == conf_ok) {
        conf_log_error(log_emerg, cf.log, {cscf.file_name, cscf.line}, 0,
                       "no \"listen\" is defined for server");
        return conf_error;
    }
    return rv;
}

/// The result of parsing one `listen` parameter; unknown: the function does not handle this name.
enum class Param { parsed, invalid, unknown };

/// Returns the part of the parameter after `name`; nullopt if it does not begin with `name`.
std::optional<std::string_view> value_of(std::string_view param, std::string_view name) noexcept
{
    if (!param.starts_with(name)) {
        return std::nullopt;
    }
    return param.substr(name.size());
}

/// Stores the number in `to`. Returns false if there is none or it does not fit into an int.
///
/// Differs from nginx: nginx truncates a number that is too large for an int.
template <typename Parsed>
bool store_int(const Parsed& parsed, int& to)
{
    constexpr auto max = std::numeric_limits<int>::max();
    if (!parsed || static_cast<std::uint64_t>(*parsed) > static_cast<std::uint64_t>(max)) {
        return false;
    }
    to = static_cast<int>(*parsed);
    return true;
}

/// Stores the number of a parameter, or logs that it is invalid.
template <typename Parsed>
Param parse_number(Conf& cf, std::string_view param, std::string_view what, const Parsed& parsed,
                   int& to)
{
    if (!store_int(parsed, to)) {
        conf_log_error(log_emerg, cf, 0, "invalid {} \"{}\"", what, param);
        return Param::invalid;
    }
    return Param::parsed;
}

Param parse_listen_number(Conf& cf, std::string_view param, StreamListenOpt& lsopt)
{
    if (const auto value = value_of(param, "fastopen=")) {
        return parse_number(cf, param, "fastopen", atoi(*value), lsopt.fastopen);
    }
    if (const auto value = value_of(param, "backlog=")) {
        const auto backlog = atoi(*value);
        return parse_number(cf, param, "backlog", backlog == 0 ? std::nullopt : backlog,
                            lsopt.backlog);
    }
    if (const auto value = value_of(param, "rcvbuf=")) {
        return parse_number(cf, param, "rcvbuf", parse_size(*value), lsopt.rcvbuf);
    }
    if (const auto value = value_of(param, "sndbuf=")) {
        return parse_number(cf, param, "sndbuf", parse_size(*value), lsopt.sndbuf);
    }
    return Param::unknown;
}

Param parse_listen_ipv6only(Conf& cf, std::string_view param, StreamListenOpt& lsopt)
{
    if (!param.starts_with("ipv6only=o")) {
        return Param::unknown;
    }
    if (param != "ipv6only=on" && param != "ipv6only=off") {
        conf_log_error(log_emerg, cf, 0, "invalid ipv6only flags \"{}\"", param.substr(9));
        return Param::invalid;
    }
    lsopt.ipv6only = param == "ipv6only=on";
    return Param::parsed;
}

/// Parses IDLE:INTVL:CNT. Each of them may be empty, but not all.
bool parse_keepalive(std::string_view value, StreamListenOpt& lsopt)
{
    std::array<std::string_view, 3> parts{};
    for (std::size_t i = 0; i < parts.size(); i++) {
        const std::size_t colon = i + 1 < parts.size() ? value.find(':') : value.npos;
        parts[i] = value.substr(0, colon);
        value.remove_prefix(colon == value.npos ? value.size() : colon + 1);
    }

    const auto take = [](std::string_view part, std::optional<std::int64_t> parsed, int& to) {
        return part.empty() || store_int(parsed, to);
    };
    return take(parts[0], parse_sec(parts[0]), lsopt.tcp_keepidle) &&
           take(parts[1], parse_sec(parts[1]), lsopt.tcp_keepintvl) &&
           take(parts[2], atoi(parts[2]), lsopt.tcp_keepcnt) &&
           (lsopt.tcp_keepidle != 0 || lsopt.tcp_keepintvl != 0 || lsopt.tcp_keepcnt != 0);
}

Param parse_listen_keepalive(Conf& cf, std::string_view param, StreamListenOpt& lsopt)
{
    const auto value = value_of(param, "so_keepalive=");
    if (!value) {
        return Param::unknown;
    }
    if (*value == "off") {
        lsopt.so_keepalive = 2;
        return Param::parsed;
    }
    if (*value != "on" && !parse_keepalive(*value, lsopt)) {
        conf_log_error(log_emerg, cf, 0, "invalid so_keepalive value: \"{}\"", *value);
        return Param::invalid;
    }
    lsopt.so_keepalive = 1;
    return Param::parsed;
}

Param parse_listen_word(std::string_view param, StreamListenOpt& lsopt)
{
    if (param == "bind") {
        return Param::parsed;
    }
    if (param == "deferred") {
        lsopt.deferred_accept = true;
        return Param::parsed;
    }
    if (param == "reuseport") {
        lsopt.reuseport = true;
        return Param::parsed;
    }
    if (param == "multipath") {
        lsopt.protocol = IPPROTO_MPTCP;
        return Param::parsed;
    }
    return Param::unknown;
}

/// Parses the parameters that are options of the socket. With one of them the address gets its own
/// socket.
Param parse_listen_socket_param(Conf& cf, std::string_view param, StreamListenOpt& lsopt)
{
    Param rc = parse_listen_word(param, lsopt);
    if (rc == Param::unknown) {
        rc = parse_listen_number(cf, param, lsopt);
    }
    if (rc == Param::unknown) {
        rc = parse_listen_ipv6only(cf, param, lsopt);
    }
    if (rc == Param::unknown) {
        rc = parse_listen_keepalive(cf, param, lsopt);
    }
    if (rc == Param::parsed) {
        lsopt.set = true;
        lsopt.bind = true;
    }
    return rc;
}

/// Logs that a parameter of nginx is not supported.
///
/// Differs from nginx: there is no TLS, so that `ssl` is an error.
Param refuse_unsupported(Conf& cf, std::string_view param)
{
    if (param == "ssl") {
        conf_log_error(log_emerg, cf, 0, "the \"{}\" parameter is not supported", param);
        return Param::invalid;
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
        if (param == "proxy_protocol") {
            lsopt.proxy_protocol = true;
            continue;
        }
        if (param == "udp") {
            lsopt.type = SOCK_DGRAM;
            continue;
        }
        if (param.starts_with("accept_filter=")) {
            conf_log_error(log_emerg, cf, 0,
                           "accept filters \"{}\" are not supported on this platform, ignored",
                           param);
            continue;
        }

        Param rc = parse_listen_socket_param(cf, param, lsopt);
        if (rc == Param::unknown) {
            rc = refuse_unsupported(cf, param);
        }
        if (rc == Param::unknown) {
            conf_log_error(log_emerg, cf, 0, "invalid parameter \"{}\"", param);
        }
        if (rc != Param::parsed) {
            return Rc::error;
        }
    }
    return Rc::ok;
}

/// Returns an error if a datagram listener has parameters that apply to connections only.
const char* check_datagram_listen(const Conf& cf, const StreamListenOpt& lsopt)
{
    const bool backlog =
        std::ranges::any_of(cf.args, [](auto arg) { return arg.starts_with("backlog="); });
    const std::pair<bool, const char*> conflicts[] = {
        {lsopt.fastopen != -1, "\"fastopen\" parameter is incompatible with \"udp\""},
        {backlog, "\"backlog\" parameter is incompatible with \"udp\""},
        {lsopt.deferred_accept, "\"deferred\" parameter is incompatible with \"udp\""},
        {lsopt.protocol != 0, "\"multipath\" parameter is incompatible with \"udp\""},
        {lsopt.so_keepalive != 0, "\"so_keepalive\" parameter is incompatible with \"udp\""},
        {lsopt.proxy_protocol, "\"proxy_protocol\" parameter is incompatible with \"udp\""},
    };
    for (const auto& [given, message] : conflicts) {
        if (given && lsopt.type == SOCK_DGRAM) {
            return message;
        }
    }
    return conf_ok;
}

/// Handles `listen ADDRESS|PORT|unix:PATH [PARAMETER ...]`.
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
    if (const char* rv = check_datagram_listen(cf, lsopt); rv != conf_ok) {
        return rv;
    }

    std::set<std::string_view> listed;
    for (const Addr& addr : u.addrs) {
        if (!listed.insert(stream_addr_bytes(addr)).second) {
            continue;  // a name may resolve to the same address twice
        }
        lsopt.addr = addr;
        lsopt.wildcard = inet_wildcard(&addr.sockaddr.any);
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
        .name = "proxy_protocol_timeout",
        .type = main_and_srv | conf_take1,
        .set = conf_set_msec_slot<&StreamCoreSrvConf::proxy_protocol_timeout>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "tcp_nodelay",
        .type = main_and_srv | conf_flag,
        .set = conf_set_flag_slot<&StreamCoreSrvConf::tcp_nodelay>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "preread_buffer_size",
        .type = main_and_srv | conf_take1,
        .set = conf_set_size_slot<&StreamCoreSrvConf::preread_buffer_size>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "preread_timeout",
        .type = main_and_srv | conf_take1,
        .set = conf_set_msec_slot<&StreamCoreSrvConf::preread_timeout>,
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
