#pragma once

#include <optional>
#include <string_view>

#include "core/core.hpp"
#include "core/inet.hpp"
#include "core/log.hpp"

namespace ngx {

/// A syslog server and how to speak to it: RFC 3164 over UDP or a unix datagram socket. The
/// socket is opened with the first message, and again after a failure.
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
    bool busy = false;  // a failure of this log must not be logged to it
};

/// Reads "syslog:server=...,facility=..." out of `cf.args[1]`.
///
/// nginx: ngx_syslog_process_conf()
const char* syslog_process_conf(Conf& cf, SyslogPeer& peer);

/// Writes "<134>Nov 22 10:00:00 host tag: " of at most `last - buf` bytes; returns its end.
///
/// nginx: ngx_syslog_add_header()
char* syslog_add_header(const SyslogPeer& peer, char* buf, char* last) noexcept;

/// The writer of a log: sends the line as one datagram.
///
/// nginx: ngx_syslog_writer()
void syslog_writer(Log& log, unsigned level, char* buf, std::size_t len);

/// Sends one datagram without blocking; returns its length, io_again or io_error.
///
/// nginx: ngx_syslog_send()
ssize_t syslog_send(SyslogPeer& peer, const char* buf, std::size_t len) noexcept;

}  // namespace ngx
