#include "core/proxy_protocol.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <span>

#include <boost/crc.hpp>

#include <fmt/format.h>

#include "core/connection.hpp"
#include "core/palloc.hpp"
#include "core/string.hpp"

namespace ngx {

namespace {

/// The first bytes of a version 2 header, including a zero byte.
constexpr std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);

constexpr std::size_t v2_header_size = 16;  // signature, command, family, length
constexpr std::size_t tlv_header_size = 3;  // type, length
constexpr std::size_t tlv_ssl_size = 5;     // client, verify
constexpr std::size_t crc_size = 4;

constexpr unsigned version_2 = 2;
constexpr unsigned command_local = 0;
constexpr unsigned command_proxy = 1;
constexpr unsigned af_unspec = 0;
constexpr unsigned af_inet = 1;
constexpr unsigned af_inet6 = 2;
constexpr unsigned type_unspec = 0;
constexpr unsigned type_stream = 1;
constexpr unsigned type_dgram = 2;

constexpr unsigned tlv_crc32c = 0x03;
constexpr unsigned tlv_ssl = 0x20;

static_assert(v2_header_size + 2 * (sizeof(in6_addr) + sizeof(in_port_t)) + tlv_header_size +
                  crc_size ==
              proxy_protocol_v2_max_header);

/// nginx: ngx_proxy_protocol_tlv_entry_t
struct TlvEntry {
    std::string_view name;
    unsigned type;
};

constexpr TlvEntry tlv_entries[] = {
    {"alpn", 0x01}, {"authority", 0x02}, {"unique_id", 0x05}, {"ssl", tlv_ssl}, {"netns", 0x30},
};

constexpr TlvEntry tlv_ssl_entries[] = {
    {"version", 0x21}, {"cn", 0x22}, {"cipher", 0x23}, {"sig_alg", 0x24}, {"key_alg", 0x25},
};

/// Returns the byte at `i`, which must exist.
unsigned byte_at(std::string_view bytes, std::size_t i) noexcept
{
    return static_cast<unsigned char>(bytes[i]);
}

/// Returns two bytes in network order as a number.
///
/// nginx: ngx_proxy_protocol_parse_uint16()
std::uint16_t parse_uint16(std::string_view bytes, std::size_t i) noexcept
{
    return static_cast<std::uint16_t>(byte_at(bytes, i) << 8 | byte_at(bytes, i + 1));
}

/// Removes `text` from the front. Returns false if it is not there.
bool take(std::string_view& rest, std::string_view text) noexcept
{
    if (!rest.starts_with(text)) {
        return false;
    }
    rest.remove_prefix(text.size());
    return true;
}

/// Removes and returns the text before the separator, and removes the separator.
std::optional<std::string_view> take_until(std::string_view& rest, char separator) noexcept
{
    const std::size_t end = rest.find(separator);
    if (end == rest.npos) {
        return std::nullopt;
    }
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return word;
}

/// Reads a word of address characters. It does not check whether it is a valid address; nginx does
/// not, either.
///
/// nginx: ngx_proxy_protocol_read_addr()
bool read_addr(std::string_view& rest, std::string_view& addr) noexcept
{
    const auto word = take_until(rest, ' ');
    addr = word.value_or("");
    return word && addr.find_first_not_of(":.0123456789abcdefABCDEF") == addr.npos;
}

/// nginx: ngx_proxy_protocol_read_port()
bool read_port(std::string_view& rest, char separator, in_port_t& port) noexcept
{
    const auto word = take_until(rest, separator);
    const auto number = atoi(word.value_or(""));
    port = static_cast<in_port_t>(number.value_or(0));
    return number && *number <= 65535;
}

bool read_v1_addrs(std::string_view& rest, ProxyProtocol& pp) noexcept
{
    return read_addr(rest, pp.src_addr) && read_addr(rest, pp.dst_addr) &&
           read_port(rest, ' ', pp.src_port) && read_port(rest, '\r', pp.dst_port) &&
           take(rest, "\n");
}

std::optional<std::size_t> v1_read(Connection& c, std::string_view buf)
{
    std::string_view rest = buf;
    const bool is_proxy = take(rest, "PROXY ");

    if (is_proxy && take(rest, "UNKNOWN")) {
        log_debug(log_debug_core, c.log, 0, "PROXY protocol unknown protocol");
        if (const std::size_t end = rest.find("\r\n"); end != rest.npos) {
            return buf.size() - rest.size() + end + 2;
        }
    } else if (is_proxy && (take(rest, "TCP4 ") || take(rest, "TCP6 "))) {
        ProxyProtocol pp;
        if (read_v1_addrs(rest, pp)) {
            log_debug(log_debug_core, c.log, 0, "PROXY protocol src: {} {}, dst: {} {}",
                      pp.src_addr, pp.src_port, pp.dst_addr, pp.dst_port);
            pp.src_addr = c.pool->pstrdup(pp.src_addr);
            pp.dst_addr = c.pool->pstrdup(pp.dst_addr);
            c.proxy_protocol = c.pool->create<ProxyProtocol>(pp);
            return buf.size() - rest.size();
        }
    }

    log_error(log_err, c.log, 0, "broken header: \"{}\"", buf.substr(0, buf.find_first_of("\r\n")));
    return std::nullopt;
}

/// Formats an address of a version 2 header, in memory of the pool.
std::string_view addr_text(Pool& pool, std::string_view bytes)
{
    SockaddrUnion sa{};
    socklen_t socklen = sizeof(sa.in);
    if (bytes.size() == sizeof(in_addr)) {
        sa.in.sin_family = AF_INET;
        std::memcpy(&sa.in.sin_addr, bytes.data(), sizeof(in_addr));
    } else {
        sa.in6.sin6_family = AF_INET6;
        std::memcpy(&sa.in6.sin6_addr, bytes.data(), sizeof(in6_addr));
        socklen = sizeof(sa.in6);
    }
    return pool.pstrdup(SockaddrText(&sa.any, socklen, false).view());
}

/// Reads two addresses of `size` bytes each, two ports, and the rest. Returns false if `body` is
/// too short.
bool read_v2_addrs(Connection& c, std::string_view body, std::size_t size)
{
    const std::size_t ports = 2 * size;
    const std::size_t tlvs = ports + 2 * sizeof(in_port_t);
    if (body.size() < tlvs) {
        return false;
    }

    auto& pp = *c.pool->create<ProxyProtocol>();
    pp.src_addr = addr_text(*c.pool, body.substr(0, size));
    pp.dst_addr = addr_text(*c.pool, body.substr(size, size));
    pp.src_port = parse_uint16(body, ports);
    pp.dst_port = parse_uint16(body, ports + sizeof(in_port_t));
    pp.tlvs = c.pool->pstrdup(body.substr(tlvs));
    log_debug(log_debug_core, c.log, 0, "PROXY protocol v2 src: {} {}, dst: {} {}", pp.src_addr,
              pp.src_port, pp.dst_addr, pp.dst_port);
    c.proxy_protocol = &pp;
    return true;
}

/// Reads the addresses. Skips unsupported commands (LOCAL too), transports and families; returns
/// false only if the header is malformed.
bool read_v2_body(Connection& c, std::string_view header, std::string_view body)
{
    if (const unsigned command = byte_at(header, 12) & 0x0f; command != command_proxy) {
        log_debug(log_debug_core, c.log, 0, "PROXY protocol v2 unsupported command {}", command);
        return true;
    }
    if (const unsigned transport = byte_at(header, 13) & 0x0f; transport != type_stream) {
        log_debug(log_debug_core, c.log, 0, "PROXY protocol v2 unsupported transport {}",
                  transport);
        return true;
    }
    const unsigned family = byte_at(header, 13) >> 4;
    switch (family) {
    case af_inet:
        return read_v2_addrs(c, body, sizeof(in_addr));
    case af_inet6:
        return read_v2_addrs(c, body, sizeof(in6_addr));
    default:
        log_debug(log_debug_core, c.log, 0, "PROXY protocol v2 unsupported address family {}",
                  family);
        return true;
    }
}

/// Reads a version 2 header.
///
/// Differs from nginx: a header that is too short for its addresses is logged as broken; nginx
/// closes the connection without a log line.
///
/// nginx: ngx_proxy_protocol_v2_read()
std::optional<std::size_t> v2_read(Connection& c, std::string_view buf)
{
    const std::string_view header = buf.substr(0, v2_header_size);
    const std::string_view rest = buf.substr(v2_header_size);

    if (const unsigned version = byte_at(header, 12) >> 4; version != version_2) {
        log_error(log_err, c.log, 0, "unknown PROXY protocol version: {}", version);
        return std::nullopt;
    }
    const std::size_t len = parse_uint16(header, 14);
    if (rest.size() < len) {
        log_error(log_err, c.log, 0, "header is too large");
        return std::nullopt;
    }
    if (!read_v2_body(c, header, rest.substr(0, len))) {
        log_error(log_err, c.log, 0, "broken header: {} bytes of addresses", len);
        return std::nullopt;
    }
    return v2_header_size + len;
}

/// nginx: ngx_proxy_protocol_lookup_tlv()
Rc lookup_tlv(const Connection& c, std::string_view tlvs, unsigned type,
              std::string_view& value) noexcept
{
    log_debug(log_debug_core, c.log, 0, "PROXY protocol v2 lookup tlv:{:02x}", type);

    while (!tlvs.empty()) {
        const bool has_len = tlvs.size() >= tlv_header_size;
        const std::size_t len = has_len ? parse_uint16(tlvs, 1) : 0;
        if (!has_len || tlvs.size() - tlv_header_size < len) {
            log_error(log_err, c.log, 0, "broken PROXY protocol TLV");
            return Rc::error;
        }
        if (byte_at(tlvs, 0) == type) {
            value = tlvs.substr(tlv_header_size, len);
            return Rc::ok;
        }
        tlvs.remove_prefix(tlv_header_size + len);
    }
    return Rc::declined;
}

/// Returns the type for a name: one of the table's, or a hexadecimal number.
std::optional<unsigned> tlv_type(std::span<const TlvEntry> entries, std::string_view name) noexcept
{
    if (take(name, "0x")) {
        unsigned type = 0;
        const char* const last = name.data() + name.size();
        const auto [end, error] = std::from_chars(name.data(), last, type, 16);
        return error == std::errc{} && end == last ? std::optional(type) : std::nullopt;
    }
    const auto entry = std::ranges::find(entries, name, &TlvEntry::name);
    return entry != entries.end() ? std::optional(entry->type) : std::nullopt;
}

/// Returns the result of the verification of the client's certificate, from the head of the TLS
/// part.
std::string_view verify_text(Pool& pool, std::string_view ssl)
{
    const std::uint32_t verify = std::uint32_t{parse_uint16(ssl, 1)} << 16 | parse_uint16(ssl, 3);
    return pool.pstrdup(fmt::format_int(verify).str());
}

/// Returns the address as an IPv6 address, mapped if it is IPv4; empty for other families.
std::optional<in6_addr> in6_of(const sockaddr* sa) noexcept
{
    in6_addr addr{};
    switch (sa->sa_family) {
    case AF_INET:
        addr.s6_addr[10] = 0xff;
        addr.s6_addr[11] = 0xff;
        std::memcpy(addr.s6_addr + 12, &reinterpret_cast<const sockaddr_in*>(sa)->sin_addr,
                    sizeof(in_addr));
        return addr;
    case AF_INET6:
        return reinterpret_cast<const sockaddr_in6*>(sa)->sin6_addr;
    default:
        return std::nullopt;
    }
}

char* put(char* p, std::string_view bytes) noexcept
{
    return std::ranges::copy(bytes, p).out;
}

/// nginx: ngx_proxy_protocol_v2_write_ipv4(), ngx_proxy_protocol_v2_write_ipv6()
char* put_addr(char* p, const in6_addr& addr, bool v4) noexcept
{
    const std::string_view bytes(reinterpret_cast<const char*>(addr.s6_addr), sizeof(in6_addr));
    return put(p, v4 ? bytes.substr(sizeof(in6_addr) - sizeof(in_addr)) : bytes);
}

char* put_uint16(char* p, std::uint16_t number) noexcept
{
    *p++ = static_cast<char>(number >> 8);
    *p++ = static_cast<char>(number & 0xff);
    return p;
}

/// Writes the header without its checksum, whose length is included in the header's length.
///
/// nginx: ngx_proxy_protocol_v2_write_header()
char* v2_write_header(const Connection& c, char* buf) noexcept
{
    unsigned command = command_local;
    unsigned family = af_unspec;
    unsigned transport = type_unspec;
    char* p = buf + v2_header_size;

    const auto src = in6_of(c.sockaddr);
    const auto dst = in6_of(c.local_sockaddr);
    if (src && dst) {
        const bool v4 = IN6_IS_ADDR_V4MAPPED(&*src) && IN6_IS_ADDR_V4MAPPED(&*dst);
        command = command_proxy;
        family = v4 ? af_inet : af_inet6;
        transport = c.type == SOCK_DGRAM ? type_dgram : type_stream;
        p = put_addr(p, *src, v4);
        p = put_addr(p, *dst, v4);
        p = put_uint16(p, inet_get_port(c.sockaddr));
        p = put_uint16(p, inet_get_port(c.local_sockaddr));
    }

    const auto len =
        static_cast<std::size_t>(p - buf) - v2_header_size + tlv_header_size + crc_size;
    char* header = put(buf, signature);
    *header++ = static_cast<char>(version_2 << 4 | command);
    *header++ = static_cast<char>(family << 4 | transport);
    put_uint16(header, static_cast<std::uint16_t>(len));
    return p;
}

/// Appends the checksum. It covers the whole header, with zeros in place of itself.
///
/// nginx: ngx_proxy_protocol_v2_write_crc32c()
char* v2_write_crc32c(const char* buf, char* p) noexcept
{
    *p++ = static_cast<char>(tlv_crc32c);
    p = put_uint16(p, crc_size);
    char* const end = std::fill_n(p, crc_size, '\0');

    boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> crc32c;
    crc32c.process_bytes(buf, static_cast<std::size_t>(end - buf));
    p = put_uint16(p, static_cast<std::uint16_t>(crc32c.checksum() >> 16));
    return put_uint16(p, static_cast<std::uint16_t>(crc32c.checksum()));
}

}  // namespace

bool proxy_protocol_incomplete(std::string_view buf) noexcept
{
    constexpr std::string_view v1_begin = "PROXY ";
    if (signature.starts_with(buf) || v1_begin.starts_with(buf)) {
        return true;
    }
    if (buf.starts_with(v1_begin)) {
        return buf.size() < proxy_protocol_v1_max_header && buf.find('\n') == buf.npos;
    }
    if (!buf.starts_with(signature)) {
        return false;
    }
    if (buf.size() < v2_header_size) {
        return true;
    }
    const std::size_t size = v2_header_size + parse_uint16(buf, 14);
    return byte_at(buf, 12) >> 4 == version_2 && size <= proxy_protocol_max_header &&
           buf.size() < size;
}

std::optional<std::size_t> proxy_protocol_read(Connection& c, std::string_view buf)
{
    if (buf.size() >= v2_header_size && buf.starts_with(signature)) {
        return v2_read(c, buf);
    }
    return v1_read(c, buf);
}

char* proxy_protocol_write(Connection& c, char* buf, char* last)
{
    if (static_cast<std::size_t>(last - buf) < proxy_protocol_v1_max_header) {
        log_error(log_alert, c.log, 0, "too small buffer for PROXY protocol");
        return nullptr;
    }
    std::array<char, sockaddr_strlen> local;
    std::size_t local_len = 0;
    if (connection_local_sockaddr(c, local.data(), &local_len, false) != Rc::ok) {
        return nullptr;
    }
    const sa_family_t family = c.sockaddr->sa_family;
    if (family != AF_INET && family != AF_INET6) {
        return slprintf(buf, last, "PROXY UNKNOWN\r\n");
    }

    const SockaddrText peer(c.sockaddr, c.socklen, false);
    return slprintf(buf, last, "PROXY TCP{} {} {} {} {}\r\n", family == AF_INET ? 4 : 6,
                    peer.view(), std::string_view(local.data(), local_len),
                    inet_get_port(c.sockaddr), inet_get_port(c.local_sockaddr));
}

char* proxy_protocol_v2_write(Connection& c, char* buf, char* last)
{
    if (static_cast<std::size_t>(last - buf) < proxy_protocol_v2_max_header) {
        log_error(log_alert, c.log, 0, "too small buffer for PROXY protocol v2");
        return nullptr;
    }
    if (connection_local_sockaddr(c, nullptr, nullptr, false) != Rc::ok) {
        return nullptr;
    }
    return v2_write_crc32c(buf, v2_write_header(c, buf));
}

Rc proxy_protocol_get_tlv(Connection& c, std::string_view name, std::string_view& value)
{
    if (!c.proxy_protocol) {
        return Rc::declined;
    }
    log_debug(log_debug_core, c.log, 0, "PROXY protocol v2 get tlv \"{}\"", name);

    std::string_view tlvs = c.proxy_protocol->tlvs;
    std::span<const TlvEntry> entries = tlv_entries;
    std::string_view key = name;
    if (take(key, "ssl_")) {
        if (const Rc rc = lookup_tlv(c, tlvs, tlv_ssl, tlvs); rc != Rc::ok) {
            return rc;
        }
        if (tlvs.size() < tlv_ssl_size) {
            return Rc::error;
        }
        if (key == "verify") {
            value = verify_text(*c.pool, tlvs);
            return Rc::ok;
        }
        tlvs.remove_prefix(tlv_ssl_size);
        entries = tlv_ssl_entries;
    }

    const auto type = tlv_type(entries, key);
    if (!type && key.starts_with("0x")) {
        log_error(log_err, c.log, 0, "invalid PROXY protocol TLV \"{}\"", name);
        return Rc::error;
    }
    if (!type) {
        log_error(log_err, c.log, 0, "unknown PROXY protocol TLV \"{}\"", name);
        return Rc::declined;
    }
    return lookup_tlv(c, tlvs, *type, value);
}

}  // namespace ngx
