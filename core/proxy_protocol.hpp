#pragma once

#include <netinet/in.h>
#include <optional>
#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// The longest header of version 1; one that is written fits.
///
/// nginx: NGX_PROXY_PROTOCOL_V1_MAX_HEADER
inline constexpr std::size_t proxy_protocol_v1_max_header = 107;

/// The longest header of version 2 that is written: its addresses, then the checksum.
inline constexpr std::size_t proxy_protocol_v2_max_header = 59;

/// The longest header that is read, of either version.
///
/// nginx: NGX_PROXY_PROTOCOL_MAX_HEADER
inline constexpr std::size_t proxy_protocol_max_header = 4096;

/// What a proxy says of the connection that it passes on: between whom it was. The texts lie in the
/// connection's memory.
///
/// nginx: ngx_proxy_protocol_t
struct ProxyProtocol {
    std::string_view src_addr{};
    std::string_view dst_addr{};
    in_port_t src_port = 0;
    in_port_t dst_port = 0;
    std::string_view tlvs{};  // of version 2, as they came
};

/// Whether `buf` is the beginning of a header whose rest may still come; the empty text is.
bool proxy_protocol_incomplete(std::string_view buf) noexcept;

/// Reads the header, of version 1 or 2, that `buf` begins with, and returns its length. What it
/// says is left in `c.proxy_protocol`, which stays null when the header names no addresses. Empty,
/// after a log line, when there is no header, or only a part of one.
///
/// nginx: ngx_proxy_protocol_read()
std::optional<std::size_t> proxy_protocol_read(Connection& c, std::string_view buf);

/// Writes a header of version 1 about the connection; returns its end. Null, after a log line,
/// when [buf, last) has not room for the longest, or the local address cannot be had.
///
/// nginx: ngx_proxy_protocol_write()
char* proxy_protocol_write(Connection& c, char* buf, char* last);

/// The same with version 2: proxy_protocol_v2_max_header bytes will do.
///
/// nginx: ngx_proxy_protocol_v2_write()
char* proxy_protocol_v2_write(Connection& c, char* buf, char* last);

/// Finds what version 2 says besides addresses: "alpn", "authority", "ssl_cn", ..., or a number,
/// "0xea". Declined when it says nothing of it, error, after a log line, when what it says is
/// broken.
///
/// nginx: ngx_proxy_protocol_get_tlv()
Rc proxy_protocol_get_tlv(Connection& c, std::string_view name, std::string_view& value);

}  // namespace ngx
