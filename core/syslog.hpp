#pragma once

#include <optional>
#include <string_view>

#include "core/core.hpp"
#include "core/inet.hpp"
#include "core/log.hpp"

namespace ngx {

/// A syslog server and its protocol: RFC 3164 over UDP or a unix datagram socket. The first message
/// opens the socket; after a failure the next one reopens it. The cycle's pool owns the peer, and
/// closes the socket.
///
/// nginx: ngx_syslog_peer_t
struct SyslogPeer {
    std::optional<unsigned> facility{};
    std::optional<unsigned> severity{};
    std::optional<std::string_view> tag{};
    bool nohostname = false;

    std::string_view hostname{};
    const Log* logp = nullptr;
    Addr server{};
    int fd = invalid_socket;
    Log log{};
    bool busy = false;  // set while sending, so that a failure is not logged to this log
};

/// Parses "syslog:server=...,facility=..." in `cf.args[1]`. Returns as directives do.
///
/// nginx: ngx_syslog_process_conf()
const char* syslog_process_conf(Conf& cf, SyslogPeer& peer);

/// Writes "<134>Nov 22 10:00:00 host tag: " to [buf, last). Returns its end.
///
/// nginx: ngx_syslog_add_header()
char* syslog_add_header(const SyslogPeer& peer, char* buf, char* last) noexcept;

/// The writer of a log: sends the line as one datagram, without its line feed.
///
/// nginx: ngx_syslog_writer()
void syslog_writer(Log& log, unsigned level, char* buf, std::size_t len);

/// Sends one datagram without blocking. Returns its length, io_again, or io_error after logging.
///
/// nginx: ngx_syslog_send()
ssize_t syslog_send(SyslogPeer& peer, const char* buf, std::size_t len) noexcept;

}  // namespace ngx
