#pragma once

/// \file
/// The sockets on which a server listens, as the `listen` directives of any module ask for them.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/inspect/configuration.hpp"
#include "tools/inspect/listen.hpp"

namespace ngx::inspect {

/// An address on which the server listens.
struct Socket {
    std::string address{};
    std::string_view family{};  // "IPv4", "IPv6", "unix", or "name": it is not resolved
    std::string part{};         // "http", "mail", "stream", "rtmp"
    bool datagram = false;
    bool wildcard = false;
    bool reuseport = false;
    std::vector<std::string> options{};  // those of the socket
    std::vector<Place> places{};         // empty for the address that a server has by default

    /// Returns the number of sockets that the server opens for it.
    [[nodiscard]] std::size_t count(std::size_t workers) const { return reuseport ? workers : 1; }
};

/// Returns nginx's message if the directive is a `listen` of http, mail or stream whose address is
/// invalid. A host name is not resolved.
std::optional<std::string> wrong_listen(const Placed& placed);

/// Returns a valid `listen` of http, mail or stream; nothing for another directive.
std::optional<Listen> listen_of(const Placed& placed);

/// Returns the sockets in the order of their directives. An address to which nginx does not bind
/// because it is bound to the wildcard of the same port is not among them.
std::vector<Socket> sockets_of(const Configuration& configuration);

}  // namespace ngx::inspect
