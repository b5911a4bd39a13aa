#include "tools/inspect/listen.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <string_view>

#include "core/parse.hpp"
#include "core/string.hpp"

namespace ngx::inspect {

namespace {

/// A parameter, the blocks that have it, and the first release of nginx with it in each.
struct Parameter {
    std::string_view name;  // with "=" if it has a value
    std::string_view http;  // empty if the block does not have it
    std::string_view mail;
    std::string_view stream;
    bool socket;  // one of the options that an address has once
};

constexpr std::string_view always = "0";

constexpr Parameter known_parameters[] = {
    {"accept_filter=", always, "", "1.25.5", true},
    {"backlog=", always, always, always, true},
    {"bind", always, always, always, true},
    {"default", always, "", "", false},
    {"default_server", always, "", "1.25.5", false},
    {"deferred", always, "", "1.25.5", true},
    {"fastopen=", always, "", "1.21.0", true},
    {"http2", always, "", "", false},
    {"ipv6only=o", always, always, always, true},
    {"multipath", "1.29.7", "1.29.7", "1.29.7", true},
    {"proxy_protocol", always, "1.19.8", always, false},
    {"quic", "1.25.0", "", "", false},
    {"rcvbuf=", always, always, always, true},
    {"reuseport", always, "", always, true},
    {"setfib=", always, "", "1.25.5", true},
    {"sndbuf=", always, always, always, true},
    {"so_keepalive=", always, always, always, true},
    {"ssl", always, always, always, false},
    {"udp", "", "", always, false},
};

const Parameter* find_parameter(std::string_view word)
{
    const auto* const found =
        std::ranges::find_if(known_parameters, [word](const Parameter& parameter) {
            return parameter.name.find('=') != parameter.name.npos
                       ? word.starts_with(parameter.name)
                       : word == parameter.name;
        });
    return found == std::end(known_parameters) ? nullptr : found;
}

std::string_view since_of(const Parameter& parameter, std::string_view block)
{
    return block == "http" ? parameter.http : block == "mail" ? parameter.mail : parameter.stream;
}

bool is_keepalive(std::string_view value)
{
    if (value == "on" || value == "off") {
        return true;
    }
    const std::size_t first = std::min(value.find(':'), value.size());
    const std::string_view rest = value.substr(std::min(first + 1, value.size()));
    const std::size_t second = std::min(rest.find(':'), rest.size());
    const std::string_view idle = value.substr(0, first);
    const std::string_view interval = rest.substr(0, second);
    const std::string_view count = rest.substr(std::min(second + 1, rest.size()));
    const auto a = idle.empty() ? std::optional<Msec>(0) : parse_msec(idle);
    const auto b = interval.empty() ? std::optional<Msec>(0) : parse_msec(interval);
    const auto n = count.empty() ? std::optional<std::ptrdiff_t>(0) : ngx::atoi(count);
    return a && b && n && (*a != 0 || *b != 0 || *n != 0);
}

/// Returns nginx's message about the value of a parameter.
std::optional<WrongListen> wrong_value_of(const Parameter& parameter, const std::string& word)
{
    const std::string_view name = parameter.name.substr(0, parameter.name.find('='));
    const std::string value = word.substr(name.size() + 1);
    if (name == "backlog" || name == "fastopen" || name == "setfib") {
        const auto n = ngx::atoi(value);
        return n && (name != "backlog" || *n != 0)
                   ? std::nullopt
                   : std::optional(WrongListen{fmt::format("invalid {} \"{}\"", name, word),
                                               "it takes a number"});
    }
    if (name == "rcvbuf" || name == "sndbuf") {
        return parse_size(value)
                   ? std::nullopt
                   : std::optional(WrongListen{fmt::format("invalid {} \"{}\"", name, word),
                                               "it takes a size such as 64k"});
    }
    if (name == "ipv6only" && value != "on" && value != "off") {
        return WrongListen{fmt::format("invalid ipv6only flags \"{}\"", value),
                           "it takes on or off"};
    }
    if (name == "so_keepalive" && !is_keepalive(value)) {
        return WrongListen{fmt::format("invalid so_keepalive value: \"{}\"", value),
                           "it takes on, off, or IDLE:INTERVAL:COUNT"};
    }
    return std::nullopt;
}

/// Returns nginx's message about a parameter that the block does not have.
WrongListen unknown(const Listen& listen, const std::string& word, const Program& program)
{
    const bool old = listen.block != "http" && !program.is_since("1.25.5");
    const Parameter* const parameter = find_parameter(word);
    const std::string_view since = parameter ? since_of(*parameter, listen.block) : "";
    return {old ? fmt::format("the invalid \"{}\" parameter", word)
                : fmt::format("invalid parameter \"{}\"", word),
            !parameter      ? ""
            : since.empty() ? fmt::format("{} does not have it", listen.block)
                            : fmt::format("it is a parameter of nginx {} and later", since)};
}

bool has(const Listen& listen, std::string_view name)
{
    return std::ranges::any_of(listen.parameters, [name](std::string_view word) {
        return name.ends_with('=') ? word.starts_with(name) : word == name;
    });
}

/// Returns nginx's message if a socket of datagrams has a parameter of one of streams.
std::optional<WrongListen> wrong_together(const Listen& listen)
{
    const std::string_view datagram = has(listen, "quic") ? "quic" : "udp";
    if (!has(listen, datagram)) {
        return std::nullopt;
    }
    for (const std::string_view name : {"fastopen=", "backlog=", "deferred", "multipath", "ssl",
                                        "http2", "so_keepalive=", "proxy_protocol"}) {
        if (has(listen, name)) {
            const std::string_view plain = name.substr(0, name.find('='));
            return WrongListen{
                fmt::format("\"listen\" directive \"{}\" parameter is incompatible with \"{}\"",
                            plain, datagram),
                "TCP and UDP need a directive each"};
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<WrongListen> wrong_parameters(const Listen& listen, const Program& program)
{
    const bool is_nginx = program.name().starts_with("nginx");
    for (const std::string& word : listen.parameters) {
        const Parameter* const parameter = find_parameter(word);
        const std::string_view since = parameter ? since_of(*parameter, listen.block) : "";
        const bool is_here = !since.empty() && program.is_since(since);
        const bool is_of_fork = !program.is_stated() && word == "xquic";
        if (!is_here && is_nginx && !is_of_fork) {
            return unknown(listen, word, program);
        }
        if (is_here && parameter->name.find('=') != parameter->name.npos) {
            if (auto wrong = wrong_value_of(*parameter, word)) {
                return wrong;
            }
        }
    }
    return wrong_together(listen);
}

std::optional<WrongListen> ListenRepeats::add(const Listen& listen, const Program& program)
{
    const bool set = std::ranges::any_of(listen.parameters, [](const std::string& word) {
        const Parameter* const parameter = find_parameter(word);
        return parameter && parameter->socket;
    });
    const bool is_default = has(listen, "default_server") || has(listen, "default");
    const bool one_server =
        listen.block == "mail" || (listen.block == "stream" && !program.is_since("1.25.5"));
    const bool datagram = has(listen, "udp") || has(listen, "quic") || has(listen, "xquic");
    for (const std::string& address : listen.addresses) {
        const std::string key = fmt::format("{} {} {}", listen.block, datagram, address);
        const auto [found, is_new] = addresses_.try_emplace(key);
        Options& options = found->second;
        if (!is_new && one_server) {
            return WrongListen{fmt::format("duplicate \"{}\" address and port pair", address),
                               "a server has an address alone"};
        }
        if (!server_.insert(key).second) {
            return WrongListen{fmt::format("a duplicate listen {}", address),
                               "leave out one of the two in this server"};
        }
        if (set && options.set) {
            return WrongListen{fmt::format("duplicate listen options for {}", address),
                               "one \"listen\" has the options of the socket for all servers"};
        }
        if (is_default && options.default_server) {
            return WrongListen{fmt::format("a duplicate default server for {}", address),
                               "one server is the default"};
        }
        options.set |= set;
        options.default_server |= is_default;
    }
    return std::nullopt;
}

}  // namespace ngx::inspect
