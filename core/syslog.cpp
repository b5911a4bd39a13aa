#include "core/syslog.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <unistd.h>

#include "auto_build.hpp"
#include "core/conf_file.hpp"
#include "core/cycle.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "os/unix/os.hpp"

namespace ngx {

namespace {

/// The names of the facilities, by their number in RFC 3164.
constexpr std::array<std::string_view, 24> facilities = {
    "kern",   "user",   "mail",     "daemon", "auth",   "intern", "lpr",    "news",
    "uucp",   "clock",  "authpriv", "ftp",    "ntp",    "audit",  "alert",  "cron",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7",
};

constexpr std::array<std::string_view, 8> severities = {
    "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
};

constexpr unsigned default_facility = 23;  // local7
constexpr unsigned default_severity = 6;   // info
constexpr std::size_t max_tag = 32;        // RFC 3164
constexpr std::size_t max_header = 128 + 255;

/// nginx: ngx_syslog_log_error()
char* syslog_log_error(Log& log, char* buf, std::size_t len)
{
    const auto& peer = *static_cast<const SyslogPeer*>(log.data);
    return slprintf(buf, buf + len, " while {}, server: {}", log.action, peer.server.name);
}

/// Closes the socket and blocks further use of the peer, whose memory is freed with the cycle.
///
/// nginx: ngx_syslog_cleanup()
void syslog_cleanup(void* data)
{
    auto& peer = *static_cast<SyslogPeer*>(data);
    peer.busy = true;
    if (peer.fd != invalid_socket) {
        ::close(peer.fd);
    }
}

const char* parse_server(Conf& cf, SyslogPeer& peer, std::string_view value)
{
    if (peer.server.socklen != 0) {
        conf_log_error(log_emerg, cf, 0, "duplicate syslog \"server\"");
        return conf_error;
    }

    Url u{.url = value, .default_port = 514};
    if (parse_url(*cf.pool, u) != Rc::ok) {
        conf_log_error(log_emerg, cf, 0, "{} in syslog server \"{}\"", u.err, u.url);
        return conf_error;
    }
    peer.server = u.addrs.front();
    return conf_ok;
}

template <std::size_t N>
const char* parse_name(Conf& cf, std::optional<unsigned>& to, std::string_view what,
                       const std::array<std::string_view, N>& names, std::string_view value)
{
    if (to) {
        conf_log_error(log_emerg, cf, 0, "duplicate syslog \"{}\"", what);
        return conf_error;
    }
    const auto found = std::ranges::find(names, value);
    if (found == names.end()) {
        conf_log_error(log_emerg, cf, 0, "unknown syslog {} \"{}\"", what, value);
        return conf_error;
    }
    to = static_cast<unsigned>(found - names.begin());
    return conf_ok;
}

const char* parse_tag(Conf& cf, SyslogPeer& peer, std::string_view value)
{
    if (peer.tag) {
        conf_log_error(log_emerg, cf, 0, "duplicate syslog \"tag\"");
        return conf_error;
    }
    if (value.size() > max_tag) {
        conf_log_error(log_emerg, cf, 0, "syslog tag length exceeds 32");
        return conf_error;
    }
    const auto allowed = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '_';
    };
    if (!std::ranges::all_of(value, allowed)) {
        conf_log_error(log_emerg, cf, 0,
                       "syslog \"tag\" only allows alphanumeric characters and underscore");
        return conf_error;
    }
    peer.tag = cf.pool->pstrdup(value);
    return conf_ok;
}

const char* parse_arg(Conf& cf, SyslogPeer& peer, std::string_view arg)
{
    const auto value = [&](std::string_view name) { return arg.substr(name.size()); };

    if (arg.starts_with("server=")) {
        return parse_server(cf, peer, value("server="));
    }
    if (arg.starts_with("facility=")) {
        return parse_name(cf, peer.facility, "facility", facilities, value("facility="));
    }
    if (arg.starts_with("severity=")) {
        return parse_name(cf, peer.severity, "severity", severities, value("severity="));
    }
    if (arg.starts_with("tag=")) {
        return parse_tag(cf, peer, value("tag="));
    }
    if (arg == "nohostname") {
        peer.nohostname = true;
        return conf_ok;
    }
    conf_log_error(log_emerg, cf, 0, "unknown syslog parameter \"{}\"", arg);
    return conf_error;
}

/// nginx: ngx_syslog_parse_args()
const char* syslog_parse_args(Conf& cf, SyslogPeer& peer)
{
    std::string_view rest = cf.args[1].substr(std::string_view("syslog:").size());
    for (;;) {
        const std::size_t comma = rest.find(',');
        if (const char* rv = parse_arg(cf, peer, rest.substr(0, comma)); rv != conf_ok) {
            return rv;
        }
        if (comma == rest.npos) {
            return conf_ok;
        }
        rest.remove_prefix(comma + 1);
    }
}

/// nginx: ngx_syslog_init_peer()
Rc syslog_init_peer(SyslogPeer& peer) noexcept
{
    const int fd =
        ::socket(peer.server.sockaddr.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == invalid_socket) {
        log_error(log_alert, &peer.log, errno, "socket() failed");
        return Rc::error;
    }
    if (::connect(fd, &peer.server.sockaddr.any, peer.server.socklen) == -1) {
        log_error(log_alert, &peer.log, errno, "connect() failed");
        ::close(fd);
        return Rc::error;
    }
    peer.fd = fd;
    return Rc::ok;
}

}  // namespace

const char* syslog_process_conf(Conf& cf, SyslogPeer& peer)
{
    if (const char* rv = syslog_parse_args(cf, peer); rv != conf_ok) {
        return rv;
    }
    if (peer.server.socklen == 0) {
        conf_log_error(log_emerg, cf, 0, "no syslog server specified");
        return conf_error;
    }

    conf_init_value(peer.facility, default_facility);
    conf_init_value(peer.severity, default_severity);
    conf_init_value(peer.tag, server_name);
    peer.hostname = cf.cycle->hostname;
    peer.logp = &cf.cycle->new_log;

    cf.pool->cleanup_add(syslog_cleanup, &peer);
    return conf_ok;
}

char* syslog_add_header(const SyslogPeer& peer, char* buf, char* last) noexcept
{
    const unsigned pri = *peer.facility * 8 + *peer.severity;
    if (peer.nohostname) {
        return slprintf(buf, last, "<{}>{} {}: ", pri, *cached_syslog_time, *peer.tag);
    }
    return slprintf(buf, last, "<{}>{} {} {}: ", pri, *cached_syslog_time, peer.hostname,
                    *peer.tag);
}

void syslog_writer(Log& log, unsigned level, char* buf, std::size_t len)
{
    assert(len > 0 && buf[len - 1] == '\n');
    assert(level > 0 && level <= severities.size());
    auto& peer = *static_cast<SyslogPeer*>(log.wdata);
    if (peer.busy) {
        return;
    }
    peer.busy = true;
    peer.severity = level - 1;

    std::array<char, max_header + max_error_str> msg;
    char* p = syslog_add_header(peer, msg.data(), msg.data() + max_header);
    p = std::copy_n(buf, len - 1, p);  // without its line feed
    syslog_send(peer, msg.data(), static_cast<std::size_t>(p - msg.data()));

    peer.busy = false;
}

ssize_t syslog_send(SyslogPeer& peer, const char* buf, std::size_t len) noexcept
{
    if (!peer.log.handler) {
        peer.log = *peer.logp;
        peer.log.handler = syslog_log_error;
        peer.log.data = &peer;
        peer.log.action = "logging to syslog";
    }

    if (peer.fd == invalid_socket && syslog_init_peer(peer) != Rc::ok) {
        return io_error;
    }

    ssize_t n = 0;
    do {
        n = ::send(peer.fd, buf, len, MSG_NOSIGNAL);
    } while (n == -1 && errno == EINTR);

    if (n >= 0) {
        return n;
    }
    if (errno == EAGAIN) {
        return io_again;
    }
    log_error(log_alert, &peer.log, errno, "send() failed");
    ::close(peer.fd);
    peer.fd = invalid_socket;
    return io_error;
}

}  // namespace ngx
