#pragma once

#include <netinet/in.h>
#include <span>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <vector>

#include "core/core.hpp"

namespace ngx {

/// Room for any address that a socket of ours may have. The largest stands first: only the first is
/// sure to be zero in a SockaddrUnion{}.
///
/// nginx: ngx_sockaddr_t
union SockaddrUnion {
    sockaddr_un un;
    sockaddr_in6 in6;
    sockaddr_in in;
    sockaddr any;
};
static_assert(sizeof(sockaddr_un) > sizeof(sockaddr_in6));

/// "unix:" and the longest path.
inline constexpr std::size_t sockaddr_strlen = 5 + sizeof(sockaddr_un::sun_path);

/// A network: an address and a mask of the same family; for unix sockets, all of them.
///
/// nginx: ngx_cidr_t
struct Cidr {
    sa_family_t family = AF_UNSPEC;
    in_addr addr{};
    in_addr mask{};
    in6_addr addr6{};
    in6_addr mask6{};
};

/// An address with its text, "127.0.0.1:80".
///
/// nginx: ngx_addr_t
struct Addr {
    SockaddrUnion sockaddr{};
    socklen_t socklen = 0;
    std::string_view name{};
};

/// A URL's address part as a directive gives it, and what became of it.
///
/// nginx: ngx_url_t
struct Url {
    std::string_view url{};
    in_port_t default_port = 0;
    bool listen = false;      // a port alone, "*" and a range of ports will do
    bool no_resolve = false;  // leave a host name as it is

    std::string_view host{};
    in_port_t port = 0;
    in_port_t last_port = 0;
    bool no_port = false;
    bool wildcard = false;
    std::vector<Addr> addrs{};
    const char* err = nullptr;  // why Rc::error
};

/// Writes an address as text, with its port if asked for, not zero-terminated; returns its
/// length. `text` should have sockaddr_strlen bytes.
///
/// nginx: ngx_sock_ntop()
std::size_t sock_ntop(const sockaddr* sa, socklen_t socklen, char* text, std::size_t len,
                      bool port) noexcept;

/// "10.0.0.0/8", "::1", ...: done when bits beyond the mask had to be cleared, error when the
/// text is no network.
///
/// nginx: ngx_ptocidr()
Rc ptocidr(std::string_view text, Cidr& cidr) noexcept;

/// Whether an address is in the network, which is of its family.
bool cidr_contains(const Cidr& cidr, const sockaddr* sa) noexcept;

/// Whether an address is in one of the networks: ok, else declined. An IPv4 address that comes
/// mapped into IPv6 counts as IPv4.
///
/// nginx: ngx_cidr_match()
Rc cidr_match(const sockaddr* sa, std::span<const Cidr> cidrs) noexcept;

/// A numeric IPv4 or IPv6 address; declined when it is none.
///
/// nginx: ngx_parse_addr()
Rc parse_addr(Addr& addr, std::string_view text) noexcept;

/// As parse_addr(), with an optional port; IPv6 with a port is in brackets.
///
/// nginx: ngx_parse_addr_port()
Rc parse_addr_port(Addr& addr, std::string_view text) noexcept;

/// Turns `u.url` into addresses: unix:PATH, IPv6 in brackets, IPv4 or a name that is resolved now.
/// On error `u.err` says why. The texts lie in `pool`.
///
/// nginx: ngx_parse_url()
Rc parse_url(Pool& pool, Url& u);

/// Resolves `u.host` now, by blocking.
///
/// nginx: ngx_inet_resolve_host()
Rc inet_resolve_host(Pool& pool, Url& u);

/// ok when the addresses are equal, with or without their ports, else declined.
///
/// nginx: ngx_cmp_sockaddr()
Rc cmp_sockaddr(const sockaddr* a, socklen_t alen, const sockaddr* b, socklen_t blen,
                bool cmp_port) noexcept;

/// nginx: ngx_inet_get_port()
in_port_t inet_get_port(const sockaddr* sa) noexcept;

/// nginx: ngx_inet_set_port()
void inet_set_port(sockaddr* sa, in_port_t port) noexcept;

/// Whether it is the address of all interfaces.
///
/// nginx: ngx_inet_wildcard()
bool inet_wildcard(const sockaddr* sa) noexcept;

}  // namespace ngx
