#include "tools/inspect/sockets.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <optional>

#include "core/inet.hpp"
#include "core/palloc.hpp"

namespace ngx::inspect {

namespace {

/// An address of a `listen`: one for each port.
struct Address {
    std::string text{};
    std::string_view family{};
    unsigned port = 0;
    bool wildcard = false;
};

std::string_view family_of(const sockaddr& sa)
{
    switch (sa.sa_family) {
    case AF_UNIX:
        return "unix";
    case AF_INET6:
        return "IPv6";
    default:
        return "IPv4";
    }
}

/// A parsed address of `listen`, and the memory that it refers to. A host name is not resolved.
struct ListenUrl {
    ListenUrl(std::string_view text, in_port_t default_port)
        : url{.url = text, .default_port = default_port, .listen = true, .no_resolve = true}
        , ok(parse_url(*pool, url) == Rc::ok)
    {}

    static constexpr std::size_t pool_size = 1024;

    std::unique_ptr<Pool, decltype(&destroy_pool)> pool{create_pool(pool_size, nullptr),
                                                        destroy_pool};
    Url url;
    bool ok;
};

/// Returns the addresses of the first argument of `listen`; none if nginx would refuse it. Without
/// a default port the system chooses one: it is 0 here.
std::vector<Address> addresses_of(std::string_view text, in_port_t default_port)
{
    const ListenUrl parsed(text, default_port);
    const Url& u = parsed.url;
    std::vector<Address> list;
    if (!parsed.ok) {
        return list;
    }
    for (const Addr& addr : u.addrs) {
        const sockaddr& sa = addr.sockaddr.any;
        list.push_back({std::string(addr.name), family_of(sa), inet_get_port(&sa), u.wildcard});
    }
    const unsigned last = std::max(u.port, u.last_port);
    for (unsigned port = u.port; u.addrs.empty() && port <= last; port++) {
        list.push_back({fmt::format("{}:{}", u.host, port), "name", port, false});
    }
    return list;
}

constexpr std::array socket_options = {
    "reuseport", "udp",       "quic",     "xquic",     "bind",          "deferred",
    "backlog=",  "rcvbuf=",   "sndbuf=",  "fastopen=", "so_keepalive=", "accept_filter=",
    "setfib=",   "ipv6only=", "multipath"};

bool is_socket_option(std::string_view word)
{
    return std::ranges::any_of(socket_options, [word](std::string_view option) {
        return option.ends_with('=') ? word.starts_with(option) : word == option;
    });
}

/// Returns true if the option makes a socket of datagrams; "xquic" is Tengine's.
bool is_datagram(std::string_view word)
{
    return word == "udp" || word == "quic" || word == "xquic";
}

/// An address, and whether a directive asks for a separate socket.
struct Wanted {
    Socket socket{};
    unsigned port = 0;
    bool bind = false;
};

class Collector {
public:
    void listen(const std::string& part, const conf::Directive& directive)
    {
        if (directive.size() < 2) {
            return;
        }
        std::vector<std::string> words = directive.args();
        const std::string text = words.front();
        words.erase(words.begin());
        std::erase_if(words, [](const std::string& word) { return !is_socket_option(word); });
        add(part, addresses_of(text, part == "http" ? http_port : 0), words, place_of(directive));
    }

    /// Adds the address of a server without `listen`, which root starts.
    void default_of_http() { add("http", addresses_of("*", http_port), {}, std::nullopt); }

    [[nodiscard]] std::vector<Socket> sockets() const
    {
        std::vector<Socket> result;
        for (const Wanted& wanted : wanted_) {
            if (wanted.bind || wanted.socket.wildcard || !has_wildcard(wanted)) {
                result.push_back(wanted.socket);
            }
        }
        return result;
    }

private:
    static constexpr in_port_t http_port = 80;

    static std::string key_of(const Socket& socket, std::string_view address)
    {
        return fmt::format("{} {} {}", socket.part, socket.datagram, address);
    }

    void add(const std::string& part, const std::vector<Address>& addresses,
             const std::vector<std::string>& options, const std::optional<Place>& place)
    {
        for (const Address& address : addresses) {
            Socket socket{.address = address.text,
                          .family = address.family,
                          .part = part,
                          .wildcard = address.wildcard};
            socket.datagram = std::ranges::any_of(options, is_datagram);
            add(std::move(socket), address.port, options, place);
        }
    }

    void add(Socket socket, unsigned port, const std::vector<std::string>& options,
             const std::optional<Place>& place)
    {
        const auto [found, is_new] = index_.emplace(key_of(socket, socket.address), wanted_.size());
        if (is_new) {
            wanted_.push_back({std::move(socket), port});
        }
        Wanted& wanted = wanted_[found->second];
        for (const std::string& word : options) {
            auto& all = wanted.socket.options;
            if (std::ranges::find(all, word) == all.end()) {
                all.push_back(word);
            }
            wanted.socket.reuseport |= word == "reuseport";
            wanted.bind |= !is_datagram(word);
        }
        if (place) {
            wanted.socket.places.push_back(*place);
        }
        if (wanted.socket.wildcard) {
            wildcards_[port_key(wanted)] = true;
        }
    }

    static std::string port_key(const Wanted& wanted)
    {
        return key_of(wanted.socket, fmt::format("{} {}", wanted.socket.family, wanted.port));
    }

    [[nodiscard]] bool has_wildcard(const Wanted& wanted) const
    {
        return wildcards_.contains(port_key(wanted));
    }

    std::vector<Wanted> wanted_{};
    std::map<std::string, std::size_t> index_{};
    std::map<std::string, bool> wildcards_{};
};

/// Returns true if the directive asks for a socket of a server: in http, mail, stream or rtmp.
bool is_listen(const Placed& placed)
{
    const std::size_t dot = placed.context.find('.');
    return placed.directive.is("listen") && dot != std::string_view::npos &&
           placed.context.substr(dot + 1) == "server";
}

}  // namespace

std::optional<std::string> wrong_listen(const Placed& placed)
{
    if (!is_listen(placed) || placed.directive.size() < 2 || placed.context == "rtmp.server") {
        return std::nullopt;
    }
    const std::string address = placed.directive.word(1).value();
    const ListenUrl parsed(address, 0);
    return parsed.ok ? std::nullopt
                     : std::optional(fmt::format("{} in \"{}\" of the \"listen\" directive",
                                                 parsed.url.err, address));
}

std::optional<Listen> listen_of(const Placed& placed)
{
    if (!is_listen(placed) || placed.directive.size() < 2 || placed.context == "rtmp.server") {
        return std::nullopt;
    }
    constexpr in_port_t http_port = 80;
    Listen listen{.block = std::string(placed.context.substr(0, placed.context.find('.')))};
    listen.parameters = placed.directive.args();
    const std::string text = listen.parameters.front();
    listen.parameters.erase(listen.parameters.begin());
    for (const Address& address : addresses_of(text, listen.block == "http" ? http_port : 0)) {
        if (address.family != "name") {
            listen.addresses.push_back(address.text);
        }
    }
    return listen;
}

std::vector<Socket> sockets_of(const Configuration& configuration)
{
    Collector collector;
    bool listens = false;  // the current server of http does
    configuration.walk(
        [&](const Placed& placed) {
            if (placed.directive.is("server") && placed.context == "http") {
                listens = false;
            }
            if (is_listen(placed)) {
                const std::size_t dot = placed.context.find('.');
                collector.listen(std::string(placed.context.substr(0, dot)), placed.directive);
                listens = true;
            }
        },
        [&](const Placed& placed) {
            if (placed.directive.is("server") && placed.context == "http" && !listens) {
                collector.default_of_http();
            }
        });
    return collector.sockets();
}

}  // namespace ngx::inspect
