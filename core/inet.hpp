#pragma once

#include <array>
#include <netinet/in.h>
#include <span>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <vector>

#include "core/core.hpp"

namespace ngx {

/// Space for any socket address that ngxx uses. The largest member is the first, because
/// SockaddrUnion{} zeroes only the first member.
///
/// nginx: ngx_sockaddr_t
union SockaddrUnion {
    sockaddr_un un;
    sockaddr_in6 in6;
    sockaddr_in in;
    sockaddr any;
};
static_assert(sizeof(sockaddr_un) > sizeof(sockaddr_in6));

/// The longest text of an address: "unix:" and the longest path.
///
/// nginx: NGX_SOCKADDR_STRLEN
inline constexpr std::size_t sockaddr_strlen = 5 + sizeof(sockaddr_un::sun_path);

/// A network: an address and a mask of the same family. AF_UNIX stands for all unix sockets.
///
/// nginx: ngx_cidr_t
struct Cidr {
    sa_family_t family = AF_UNSPEC;
    in_addr addr{};
    in_addr mask{};
    in6_addr addr6{};
    in6_addr mask6{};
};

/// An address and its text, "127.0.0.1:80". The text belongs to a pool.
///
/// nginx: ngx_addr_t
struct Addr {
    SockaddrUnion sockaddr{};
    socklen_t socklen = 0;
    std::string_view name{};
};

/// An address as a directive gives it, and the result of parse_url(). The views refer to the
/// directive's text.
///
/// nginx: ngx_url_t
struct Url {
    std::string_view url{};
    in_port_t default_port = 0;
    bool listen = false;      // allow a port alone, "*" and a range of ports
    bool no_resolve = false;  // do not resolve a host name

    std::string_view host{};
    in_port_t port = 0;
    in_port_t last_port = 0;
    bool no_port = false;
    bool wildcard = false;
    std::vector<Addr> addrs{};
    const char* err = nullptr;  // the reason for Rc::error
};

/// Formats an address, with its port if `port` is true, without a zero byte at the end. Returns the
/// length. `text` should have sockaddr_strlen bytes.
///
/// nginx: ngx_sock_ntop()
std::size_t sock_ntop(const sockaddr* sa, socklen_t socklen, char* text, std::size_t len,
                      bool port) noexcept;

/// Formats an address as sock_ntop() does, and holds the text.
class SockaddrText {
public:
    SockaddrText(const sockaddr* sa, socklen_t socklen, bool port) noexcept
        : len_(sock_ntop(sa, socklen, text_.data(), text_.size(), port))
    {}

    std::string_view view() const noexcept { return {text_.data(), len_}; }

private:
    std::array<char, sockaddr_strlen> text_;
    std::size_t len_;
};

/// Parses a network, "10.0.0.0/8", or an address, "::1". Returns ok, done if bits beyond the mask
/// were set (they are cleared), or error.
///
/// nginx: ngx_ptocidr()
Rc ptocidr(std::string_view text, Cidr& cidr) noexcept;

/// Tells whether an address is in the network; false if their families differ.
bool cidr_contains(const Cidr& cidr, const sockaddr* sa) noexcept;

/// Tells whether an address is in one of the networks. An IPv4-mapped IPv6 address counts as IPv4.
///
/// nginx: ngx_cidr_match()
bool cidr_match(const sockaddr* sa, std::span<const Cidr> cidrs) noexcept;

/// Parses a numeric IPv4 or IPv6 address. Returns ok, or declined if the text is not one.
///
/// nginx: ngx_parse_addr()
Rc parse_addr(Addr& addr, std::string_view text) noexcept;

/// Parses an address as parse_addr() does, with an optional port. An IPv6 address with a port is in
/// brackets.
///
/// nginx: ngx_parse_addr_port()
Rc parse_addr_port(Addr& addr, std::string_view text) noexcept;

/// Parses `u.url`: unix:PATH, IPv6 in brackets, IPv4, or a host name, which is resolved by a
/// blocking call. Appends to `u.addrs`; their texts are allocated from `pool`. Returns error with
/// the reason in `u.err`.
///
/// nginx: ngx_parse_url()
Rc parse_url(Pool& pool, Url& u);

/// Resolves `u.host` by a blocking call and appends to `u.addrs`. Returns error with the reason in
/// `u.err`.
///
/// nginx: ngx_inet_resolve_host()
Rc inet_resolve_host(Pool& pool, Url& u);

/// Returns ok if the addresses are equal, and with `cmp_port` also their ports; else declined.
///
/// nginx: ngx_cmp_sockaddr()
Rc cmp_sockaddr(const sockaddr* a, socklen_t alen, const sockaddr* b, socklen_t blen,
                bool cmp_port) noexcept;

/// Returns the port in host byte order; 0 for a unix socket.
///
/// nginx: ngx_inet_get_port()
in_port_t inet_get_port(const sockaddr* sa) noexcept;

/// Sets the port, in host byte order; does nothing for a unix socket.
///
/// nginx: ngx_inet_set_port()
void inet_set_port(sockaddr* sa, in_port_t port) noexcept;

/// Tells whether the address is the one of all interfaces.
///
/// nginx: ngx_inet_wildcard()
bool inet_wildcard(const sockaddr* sa) noexcept;

}  // namespace ngx
