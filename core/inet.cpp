#include "core/inet.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <functional>
#include <memory>
#include <netdb.h>
#include <optional>

#include "core/conf_file.hpp"
#include "core/palloc.hpp"
#include "core/string.hpp"

namespace ngx {

namespace {

const sockaddr_in& as_in(const sockaddr* sa) noexcept
{
    return *reinterpret_cast<const sockaddr_in*>(sa);
}

const sockaddr_in6& as_in6(const sockaddr* sa) noexcept
{
    return *reinterpret_cast<const sockaddr_in6*>(sa);
}

const sockaddr_un& as_un(const sockaddr* sa) noexcept
{
    return *reinterpret_cast<const sockaddr_un*>(sa);
}

/// Parses four decimal numbers. Other than inet_pton() it ignores leading zeros, and takes a
/// missing number as 0.
///
/// nginx: ngx_inet_addr()
bool inet_addr(std::string_view text, in_addr& to) noexcept
{
    in_addr_t addr = 0;
    unsigned octet = 0;
    unsigned dots = 0;
    for (const char ch : text) {
        if (ch == '.') {
            addr = (addr << 8) | octet;
            octet = 0;
            dots++;
            continue;
        }
        if (ch < '0' || ch > '9') {
            return false;
        }
        octet = octet * 10 + static_cast<unsigned>(ch - '0');
        if (octet > 255) {
            return false;
        }
    }
    to.s_addr = htonl((addr << 8) | octet);
    return dots == 3;
}

/// Parses an IPv6 address. inet_pton() needs a zero-terminated text; one that does not fit here is
/// not an address.
///
/// Differs from nginx: 1:2:3:4:5:6:7:: is an address, and a single leading colon is an error.
///
/// nginx: ngx_inet6_addr()
bool inet6_addr(std::string_view text, in6_addr& to) noexcept
{
    std::array<char, INET6_ADDRSTRLEN + 1> z{};
    if (text.size() >= z.size() || text.find('\0') != text.npos) {
        return false;
    }
    std::ranges::copy(text, z.begin());
    return ::inet_pton(AF_INET6, z.data(), &to) == 1;
}

/// Returns the path of a unix address; empty for an unnamed or abstract one.
std::string_view unix_path(const sockaddr_un& un, socklen_t socklen) noexcept
{
    constexpr std::size_t header = offsetof(sockaddr_un, sun_path);
    if (socklen <= header) {
        return {};
    }
    return {un.sun_path, ::strnlen(un.sun_path, socklen - header)};
}

/// Appends a character and a number, as far as they fit.
char* put(char* p, char* last, char before, unsigned number) noexcept
{
    if (p < last) {
        *p++ = before;
    }
    return std::to_chars(p, last, number).ptr;
}

/// Formats an IPv4 address without fmt, as it is done for every connection.
char* put_inet(char* p, char* last, const in_addr& addr) noexcept
{
    const auto bytes = std::bit_cast<std::array<unsigned char, 4>>(addr);
    p = std::to_chars(p, last, unsigned{bytes[0]}).ptr;
    for (std::size_t i = 1; i < bytes.size(); i++) {
        p = put(p, last, '.', bytes[i]);
    }
    return p;
}

/// Parses a port, or with `listen` a range of ports. Sets `u.err` and returns false on error.
bool parse_ports(Url& u, std::string_view text) noexcept
{
    const std::size_t dash = u.listen ? text.find('-') : text.npos;
    if (dash != text.npos) {
        const auto last = atoi(text.substr(dash + 1));
        if (!last || *last < 1 || *last > 65535) {
            u.err = "invalid port";
            return false;
        }
        u.last_port = static_cast<in_port_t>(*last);
    }

    const auto port = atoi(text.substr(0, dash));
    if (!port || *port < 1 || *port > 65535) {
        u.err = "invalid port";
        return false;
    }
    if (u.last_port != 0 && *port > u.last_port) {
        u.err = "invalid port range";
        return false;
    }
    u.port = static_cast<in_port_t>(*port);
    return true;
}

/// Tells whether the text is a number, or two numbers with "-" between them: ports without a host.
bool looks_like_ports(std::string_view text) noexcept
{
    const std::size_t dash = text.find('-');
    return atoi(text.substr(0, dash)) && (dash == text.npos || atoi(text.substr(dash + 1)));
}

/// Adds one address for each port of the range.
///
/// nginx: ngx_inet_add_addr()
void inet_add_addr(Pool& pool, Url& u, const sockaddr* sa, socklen_t socklen)
{
    const int first = u.port;
    const int last = std::max(first, int{u.last_port});

    for (int port = first; port <= last; port++) {
        Addr& addr = u.addrs.emplace_back();
        std::memcpy(&addr.sockaddr, sa, socklen);
        addr.socklen = socklen;
        inet_set_port(&addr.sockaddr.any, static_cast<in_port_t>(port));

        std::array<char, sockaddr_strlen> text;
        const std::size_t len =
            sock_ntop(&addr.sockaddr.any, socklen, text.data(), text.size(), true);
        addr.name = pool.pstrdup({text.data(), len});
    }
}

/// nginx: ngx_parse_unix_domain_url()
Rc parse_unix_domain_url(Pool& pool, Url& u)
{
    const std::string_view path = u.url.substr(5);
    sockaddr_un un{.sun_family = AF_UNIX, .sun_path = {}};

    if (path.empty()) {
        u.err = "no path in the unix domain socket";
        return Rc::error;
    }
    if (path.size() >= sizeof(un.sun_path)) {
        u.err = "too long path in the unix domain socket";
        return Rc::error;
    }
    u.host = path;
    std::ranges::copy(path, un.sun_path);

    Addr& addr = u.addrs.emplace_back();
    addr.sockaddr.un = un;
    addr.socklen = sizeof(un);
    addr.name = pool.pstrdup(u.url);
    return Rc::ok;
}

void add_any_address(Pool& pool, Url& u)
{
    const sockaddr_in sin{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}};
    u.wildcard = true;
    inet_add_addr(pool, u, reinterpret_cast<const sockaddr*>(&sin), sizeof(sin));
}

/// Adds an address that stands for a host which is not looked up. Different hosts have different
/// addresses, except by chance.
void add_stand_in(Pool& pool, Url& u)
{
    constexpr in_addr_t loopback = 0x7f00'0000;
    constexpr in_addr_t hosts = 0x00ff'ffff;
    sockaddr_in sin{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}};
    const auto hash = static_cast<in_addr_t>(std::hash<std::string_view>()(u.host));
    sin.sin_addr.s_addr = htonl(loopback | (hash & hosts));
    inet_add_addr(pool, u, reinterpret_cast<const sockaddr*>(&sin), sizeof(sin));
}

/// nginx: ngx_parse_inet_url()
Rc parse_inet_url(Pool& pool, Url& u)
{
    if (u.url.find_first_of("/?") != u.url.npos) {
        u.err = "invalid host";
        return Rc::error;
    }

    const std::size_t colon = u.url.find(':');
    if (colon != u.url.npos) {
        if (!parse_ports(u, u.url.substr(colon + 1))) {
            return Rc::error;
        }
    } else if (u.listen && looks_like_ports(u.url)) {
        if (!parse_ports(u, u.url)) {
            return Rc::error;
        }
        add_any_address(pool, u);
        return Rc::ok;
    } else {
        u.no_port = true;
        u.port = u.default_port;
    }

    u.host = u.url.substr(0, colon);
    if (u.host.empty()) {
        u.err = "no host";
        return Rc::error;
    }
    if (u.listen && u.host == "*") {
        add_any_address(pool, u);
        return Rc::ok;
    }

    sockaddr_in sin{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}};
    if (inet_addr(u.host, sin.sin_addr)) {
        u.wildcard = sin.sin_addr.s_addr == INADDR_ANY;
        inet_add_addr(pool, u, reinterpret_cast<const sockaddr*>(&sin), sizeof(sin));
        return Rc::ok;
    }
    if (u.no_resolve) {
        return Rc::ok;
    }
    if (inet_resolve_host(pool, u) != Rc::ok) {
        return Rc::error;
    }
    u.wildcard = inet_wildcard(&u.addrs.front().sockaddr.any);
    return Rc::ok;
}

/// nginx: ngx_parse_inet6_url()
Rc parse_inet6_url(Pool& pool, Url& u)
{
    const std::size_t bracket = u.url.find(']');
    const std::string_view rest =
        bracket == u.url.npos ? std::string_view("?") : u.url.substr(bracket + 1);
    if (!rest.empty() && (rest.front() != ':' || rest.find('/') != rest.npos)) {
        u.err = "invalid host";
        return Rc::error;
    }

    if (rest.empty()) {
        u.no_port = true;
        u.port = u.default_port;
    } else if (!parse_ports(u, rest.substr(1))) {
        return Rc::error;
    }

    u.host = u.url.substr(0, bracket + 1);
    if (bracket == 1) {
        u.err = "no host";
        return Rc::error;
    }

    sockaddr_in6 sin6{};
    sin6.sin6_family = AF_INET6;
    if (!inet6_addr(u.host.substr(1, bracket - 1), sin6.sin6_addr)) {
        u.err = "invalid IPv6 address";
        return Rc::error;
    }
    u.wildcard = IN6_IS_ADDR_UNSPECIFIED(&sin6.sin6_addr);
    inet_add_addr(pool, u, reinterpret_cast<const sockaddr*>(&sin6), sizeof(sin6));
    return Rc::ok;
}

/// Clears all bits of an address but the first `shift`, and writes the mask. Returns whether a
/// cleared bit was set.
bool apply_prefix(unsigned char* addr, unsigned char* mask, std::size_t size,
                  std::int64_t shift) noexcept
{
    bool low_bits = false;
    for (std::size_t i = 0; i < size; i++) {
        const std::int64_t bits = std::clamp<std::int64_t>(shift, 0, 8);
        shift -= bits;
        mask[i] = static_cast<unsigned char>(0xff00U >> bits);
        low_bits |= (addr[i] & ~mask[i]) != 0;
        addr[i] &= mask[i];
    }
    return low_bits;
}

}  // namespace

std::size_t sock_ntop(const sockaddr* sa, socklen_t socklen, char* text, std::size_t len,
                      bool port) noexcept
{
    std::array<char, INET6_ADDRSTRLEN> host;
    char* const last = text + len;
    char* p = text;

    switch (sa->sa_family) {
    case AF_INET:
        p = put_inet(p, last, as_in(sa).sin_addr);
        if (port) {
            p = put(p, last, ':', inet_get_port(sa));
        }
        break;

    case AF_INET6:
        // Differs from nginx: ::1234 is written as it is, and not as ::0.0.18.52.
        ::inet_ntop(AF_INET6, &as_in6(sa).sin6_addr, host.data(), host.size());
        p = port ? slprintf(p, last, "[{}]:{}", host.data(), inet_get_port(sa))
                 : slprintf(p, last, "{}", host.data());
        break;

    case AF_UNIX:
        p = slprintf(p, last, "unix:{}", unix_path(as_un(sa), socklen));
        break;
    }
    return static_cast<std::size_t>(p - text);
}

Rc ptocidr(std::string_view text, Cidr& cidr) noexcept
{
    cidr = {};
    const std::size_t slash = text.find('/');
    const std::string_view addr = text.substr(0, slash);

    if (inet_addr(addr, cidr.addr)) {
        cidr.family = AF_INET;
    } else if (inet6_addr(addr, cidr.addr6)) {
        cidr.family = AF_INET6;
    } else {
        return Rc::error;
    }

    const std::int64_t bits = cidr.family == AF_INET ? 32 : 128;
    const auto shift = slash == text.npos ? std::optional{bits} : atoi(text.substr(slash + 1));
    if (!shift || *shift > bits) {
        return Rc::error;
    }

    const bool low_bits =
        cidr.family == AF_INET
            ? apply_prefix(reinterpret_cast<unsigned char*>(&cidr.addr),
                           reinterpret_cast<unsigned char*>(&cidr.mask), 4, *shift)
            : apply_prefix(cidr.addr6.s6_addr, cidr.mask6.s6_addr, 16, *shift);
    return low_bits ? Rc::done : Rc::ok;
}

bool cidr_contains(const Cidr& cidr, const sockaddr* sa) noexcept
{
    if (cidr.family != sa->sa_family) {
        return false;
    }
    if (cidr.family == AF_INET) {
        return (as_in(sa).sin_addr.s_addr & cidr.mask.s_addr) == cidr.addr.s_addr;
    }
    if (cidr.family == AF_INET6) {
        const in6_addr& addr = as_in6(sa).sin6_addr;
        for (std::size_t n = 0; n < sizeof(addr.s6_addr); n++) {
            if ((addr.s6_addr[n] & cidr.mask6.s6_addr[n]) != cidr.addr6.s6_addr[n]) {
                return false;
            }
        }
    }
    return true;
}

bool cidr_match(const sockaddr* sa, std::span<const Cidr> cidrs) noexcept
{
    sockaddr_in mapped{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}};
    if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&as_in6(sa).sin6_addr)) {
        std::memcpy(&mapped.sin_addr, as_in6(sa).sin6_addr.s6_addr + 12, sizeof(mapped.sin_addr));
        sa = reinterpret_cast<const sockaddr*>(&mapped);
    }
    const auto contains = [&](const Cidr& cidr) { return cidr_contains(cidr, sa); };
    return std::ranges::any_of(cidrs, contains);
}

Rc parse_addr(Addr& addr, std::string_view text) noexcept
{
    addr = {};
    if (inet_addr(text, addr.sockaddr.in.sin_addr)) {
        addr.sockaddr.in.sin_family = AF_INET;
        addr.socklen = sizeof(sockaddr_in);
        return Rc::ok;
    }

    addr = {};
    if (inet6_addr(text, addr.sockaddr.in6.sin6_addr)) {
        addr.sockaddr.in6.sin6_family = AF_INET6;
        addr.socklen = sizeof(sockaddr_in6);
        return Rc::ok;
    }
    return Rc::declined;
}

Rc parse_addr_port(Addr& addr, std::string_view text) noexcept
{
    if (parse_addr(addr, text) == Rc::ok) {
        return Rc::ok;
    }

    std::size_t host_end = text.find(':');
    std::size_t colon = host_end;
    const bool brackets = text.starts_with('[');
    if (brackets) {
        host_end = text.find(']');
        colon = host_end == text.npos ? text.npos : host_end + 1;
        if (colon == text.size()) {
            return parse_addr(addr, text.substr(1, host_end - 1));
        }
    }
    if (colon == text.npos || text[colon] != ':') {
        return Rc::declined;
    }

    const auto port = atoi(text.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535) {
        return Rc::declined;
    }
    const std::size_t start = brackets ? 1 : 0;
    if (parse_addr(addr, text.substr(start, host_end - start)) != Rc::ok) {
        return Rc::declined;
    }
    inet_set_port(&addr.sockaddr.any, static_cast<in_port_t>(*port));
    return Rc::ok;
}

Rc parse_url(Pool& pool, Url& u)
{
    if (strcaseeq(u.url.substr(0, 5), "unix:")) {
        return parse_unix_domain_url(pool, u);
    }
    if (u.url.starts_with('[')) {
        return parse_inet6_url(pool, u);
    }
    return parse_inet_url(pool, u);
}

Rc inet_resolve_host(Pool& pool, Url& u)
{
    if (!conf_looks_up) {
        add_stand_in(pool, u);
        return Rc::ok;
    }
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;

    addrinfo* found = nullptr;
    if (::getaddrinfo(std::string(u.host).c_str(), nullptr, &hints, &found) != 0) {
        u.err = "host not found";
        return Rc::error;
    }

    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
    for (const addrinfo* info = found; info; info = info->ai_next) {
        if (info->ai_family == AF_INET || info->ai_family == AF_INET6) {
            inet_add_addr(pool, u, info->ai_addr, info->ai_addrlen);
        }
    }
    if (u.addrs.empty()) {
        u.err = "host not found";
        return Rc::error;
    }
    return Rc::ok;
}

Rc cmp_sockaddr(const sockaddr* a, socklen_t alen, const sockaddr* b, socklen_t blen,
                bool cmp_port) noexcept
{
    if (a->sa_family != b->sa_family || (cmp_port && inet_get_port(a) != inet_get_port(b))) {
        return Rc::declined;
    }

    bool equal = false;
    switch (a->sa_family) {
    case AF_INET6:
        equal = IN6_ARE_ADDR_EQUAL(&as_in6(a).sin6_addr, &as_in6(b).sin6_addr);
        break;
    case AF_UNIX:
        equal = unix_path(as_un(a), alen) == unix_path(as_un(b), blen);
        break;
    default:
        equal = as_in(a).sin_addr.s_addr == as_in(b).sin_addr.s_addr;
    }
    return equal ? Rc::ok : Rc::declined;
}

in_port_t inet_get_port(const sockaddr* sa) noexcept
{
    switch (sa->sa_family) {
    case AF_INET:
        return ntohs(as_in(sa).sin_port);
    case AF_INET6:
        return ntohs(as_in6(sa).sin6_port);
    default:
        return 0;
    }
}

void inet_set_port(sockaddr* sa, in_port_t port) noexcept
{
    switch (sa->sa_family) {
    case AF_INET:
        reinterpret_cast<sockaddr_in*>(sa)->sin_port = htons(port);
        break;
    case AF_INET6:
        reinterpret_cast<sockaddr_in6*>(sa)->sin6_port = htons(port);
        break;
    }
}

bool inet_wildcard(const sockaddr* sa) noexcept
{
    switch (sa->sa_family) {
    case AF_INET:
        return as_in(sa).sin_addr.s_addr == INADDR_ANY;
    case AF_INET6:
        return IN6_IS_ADDR_UNSPECIFIED(&as_in6(sa).sin6_addr);
    default:
        return false;
    }
}

}  // namespace ngx
