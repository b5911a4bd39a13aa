#pragma once

#include <netinet/in.h>
#include <optional>
#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// The longest version 1 header in bytes; a buffer of this size is enough for writing.
///
/// nginx: NGX_PROXY_PROTOCOL_V1_MAX_HEADER
inline constexpr std::size_t proxy_protocol_v1_max_header = 107;

/// The longest version 2 header that is written, in bytes: the addresses and the checksum.
///
/// nginx: NGX_PROXY_PROTOCOL_V2_MAX_HEADER
inline constexpr std::size_t proxy_protocol_v2_max_header = 59;

/// The longest header that is read, in bytes, of either version.
///
/// nginx: NGX_PROXY_PROTOCOL_MAX_HEADER
inline constexpr std::size_t proxy_protocol_max_header = 4096;

/// The addresses of the original connection, as the proxy reports them. The pool of the connection
/// owns the texts. Only the loop's thread uses it.
///
/// nginx: ngx_proxy_protocol_t
struct ProxyProtocol {
    std::string_view src_addr{};
    std::string_view dst_addr{};
    in_port_t src_port = 0;
    in_port_t dst_port = 0;
    std::string_view tlvs{};  // from version 2, unparsed
};

/// Tells whether `buf` is the beginning of a header that is not complete; true for an empty text.
bool proxy_protocol_incomplete(std::string_view buf) noexcept;

/// Reads the version 1 or 2 header at the start of `buf`, and returns its length. Sets
/// `c.proxy_protocol`, or leaves it null if the header has no addresses. Returns an empty value
/// after logging if there is no complete header.
///
/// nginx: ngx_proxy_protocol_read()
std::optional<std::size_t> proxy_protocol_read(Connection& c, std::string_view buf);

/// Writes a version 1 header for the connection to [buf, last) and returns its end. Returns null
/// after logging if the buffer is smaller than the longest header, or if the local address is
/// unknown.
///
/// nginx: ngx_proxy_protocol_write()
char* proxy_protocol_write(Connection& c, char* buf, char* last);

/// Writes a version 2 header in the same way; proxy_protocol_v2_max_header bytes are enough.
///
/// nginx: ngx_proxy_protocol_v2_write()
char* proxy_protocol_v2_write(Connection& c, char* buf, char* last);

/// Finds a value of a version 2 header by name, "alpn", "authority", "ssl_cn", ..., or by number,
/// "0xea". Sets `value` and returns ok; returns declined if the header has no such value, or error
/// after logging if the header is broken. `value` lives as long as the connection.
///
/// nginx: ngx_proxy_protocol_get_tlv()
Rc proxy_protocol_get_tlv(Connection& c, std::string_view name, std::string_view& value);

}  // namespace ngx
