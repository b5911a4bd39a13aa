#include "tools/inspect/sockets.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <map>
#include <optional>

namespace ngx::inspect {

namespace {

/// The parts of the first argument of `listen`.
struct Address {
    std::string host{};
    std::string_view family{};
    unsigned first_port = 0;
    unsigned last_port = 0;
    bool wildcard = false;
};

constexpr unsigned greatest_port = 65535;

std::optional<unsigned> port(std::string_view text)
{
    unsigned n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    return whole && n > 0 && n <= greatest_port ? std::optional(n) : std::nullopt;
}

bool set_ports(Address& address, std::string_view text)
{
    const std::size_t dash = text.find('-');
    const auto first = port(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : port(text.substr(dash + 1));
    if (!first || !last || *last < *first) {
        return false;
    }
    address.first_port = *first;
    address.last_port = *last;
    return true;
}

void set_ipv4_or_name(Address& address, std::string_view host)
{
    in_addr binary{};
    if (host == "*" || host.empty()) {
        host = "0.0.0.0";
    }
    address.host = host;
    const bool is_address = ::inet_pton(AF_INET, address.host.c_str(), &binary) == 1;
    address.family = is_address ? "IPv4" : "name";
    address.wildcard = is_address && binary.s_addr == INADDR_ANY;
}

std::optional<Address> ipv6(std::string_view text, unsigned default_port)
{
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) {
        return std::nullopt;
    }
    Address address{.family = "IPv6", .first_port = default_port, .last_port = default_port};
    in6_addr binary{};
    if (::inet_pton(AF_INET6, std::string(text.substr(1, end - 1)).c_str(), &binary) != 1) {
        return std::nullopt;
    }
    std::array<char, INET6_ADDRSTRLEN> shown{};
    ::inet_ntop(AF_INET6, &binary, shown.data(), shown.size());
    address.host = fmt::format("[{}]", shown.data());
    address.wildcard = IN6_IS_ADDR_UNSPECIFIED(&binary);
    const std::string_view rest = text.substr(end + 1);
    const bool fine = rest.empty() ? default_port != 0
                                   : rest.starts_with(':') && set_ports(address, rest.substr(1));
    return fine ? std::optional(address) : std::nullopt;
}

/// Returns the parts of an address. A default port of 0 means that the port is necessary.
std::optional<Address> parse(std::string_view text, unsigned default_port)
{
    if (text.starts_with("unix:")) {
        return Address{.host = std::string(text), .family = "unix"};
    }
    if (text.starts_with('[')) {
        return ipv6(text, default_port);
    }
    Address address{.first_port = default_port, .last_port = default_port};
    const std::size_t colon = text.rfind(':');
    if (colon != std::string_view::npos) {
        set_ipv4_or_name(address, text.substr(0, colon));
        return set_ports(address, text.substr(colon + 1)) ? std::optional(address) : std::nullopt;
    }
    if (set_ports(address, text)) {
        set_ipv4_or_name(address, "*");
        return address;
    }
    set_ipv4_or_name(address, text);
    return default_port != 0 ? std::optional(address) : std::nullopt;
}

constexpr std::array socket_options = {
    "reuseport",      "udp",     "quic",      "bind",      "deferred",
    "backlog=",       "rcvbuf=", "sndbuf=",   "fastopen=", "so_keepalive=",
    "accept_filter=", "setfib=", "ipv6only=", "multipath"};

bool is_socket_option(std::string_view word)
{
    return std::ranges::any_of(socket_options, [word](std::string_view option) {
        return option.ends_with('=') ? word.starts_with(option) : word == option;
    });
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
        const unsigned default_port = part == "http" ? http_port : 0;
        const auto address = parse(directive.word(1).value(), default_port);
        if (!address) {
            return;
        }
        std::vector<std::string> words = directive.args();
        words.erase(words.begin());
        std::erase_if(words, [](const std::string& word) { return !is_socket_option(word); });
        add(part, *address, words, place_of(directive));
    }

    /// Adds the address of a server without `listen`, which root starts.
    void default_of_http()
    {
        Address address{.first_port = http_port, .last_port = http_port};
        set_ipv4_or_name(address, "*");
        add("http", address, {}, std::nullopt);
    }

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
    static constexpr unsigned http_port = 80;

    static std::string key_of(const Socket& socket, std::string_view address)
    {
        return fmt::format("{} {} {}", socket.part, socket.datagram, address);
    }

    void add(const std::string& part, const Address& address,
             const std::vector<std::string>& options, const std::optional<Place>& place)
    {
        for (unsigned port = address.first_port; port <= address.last_port; port++) {
            Socket socket{.family = address.family, .part = part, .wildcard = address.wildcard};
            socket.address =
                address.family == "unix" ? address.host : fmt::format("{}:{}", address.host, port);
            socket.datagram = std::ranges::any_of(
                options, [](const std::string& word) { return word == "udp" || word == "quic"; });
            add(std::move(socket), port, options, place);
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
            wanted.bind |= word != "udp" && word != "quic";
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

}  // namespace

std::vector<Socket> sockets_of(const Configuration& configuration)
{
    Collector collector;
    bool listens = false;  // the current server of http does
    configuration.walk(
        [&](const Placed& placed) {
            const std::size_t dot = placed.context.find('.');
            if (placed.directive.is("server") && placed.context == "http") {
                listens = false;
            }
            if (placed.directive.is("listen") && placed.context.substr(dot + 1) == "server" &&
                dot != std::string_view::npos) {
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
