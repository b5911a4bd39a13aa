#include <charconv>
#include <fmt/format.h>
#include <string_view>
#include <system_error>

#include "tools/inspect/sockets.hpp"
#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

/// The length of the queue of connections without the parameter, on Linux.
constexpr int default_backlog = 511;

/// Returns null if the parameter is no number.
Json backlog_of(const Socket& socket)
{
    constexpr std::string_view name = "backlog=";
    for (const std::string& option : socket.options) {
        if (option.starts_with(name)) {
            int n = 0;
            const char* const end = option.data() + option.size();
            const auto parsed = std::from_chars(option.data() + name.size(), end, n);
            return parsed.ec == std::errc() && parsed.ptr == end ? Json(n) : Json();
        }
    }
    return default_backlog;
}

Json parameters(const Socket& socket)
{
    Json list = Json::array();
    bool ipv6only = false;
    for (const std::string& option : socket.options) {
        list.push_back(option);
        ipv6only |= option.starts_with("ipv6only=");
    }
    if (socket.family == "IPv6" && !ipv6only) {
        list.push_back("ipv6only=on");
    }
    return list;
}

Json places(const Socket& socket)
{
    Json list = Json::array();
    for (const Place& place : socket.places) {
        list.push_back(place_json(place));
    }
    return list;
}

}  // namespace

Json listening_view(const Configuration& configuration)
{
    Json list = Json::array();
    for (const Socket& socket : sockets_of(configuration)) {
        list.push_back({{"address", socket.address},
                        {"block", socket.part},
                        {"places", places(socket)},
                        {"family", socket.family},
                        {"type", socket.datagram ? "datagram" : "stream"},
                        {"backlog", socket.datagram ? Json() : backlog_of(socket)},
                        {"wildcard", socket.wildcard},
                        {"reuseport", socket.reuseport},
                        {"parameters", parameters(socket)}});
    }
    return {{"view", "listening"}, {"listening", list}};
}

std::string listening_text(const Json& view)
{
    std::string text;
    for (const auto& socket : view["listening"]) {
        text += fmt::format("{}  ({}, {}, {}{})", socket["address"].get<std::string>(),
                            socket["block"].get<std::string>(), socket["family"].get<std::string>(),
                            socket["type"].get<std::string>(),
                            socket["reuseport"].get<bool>() ? ", one for each worker" : "");
        for (const auto& parameter : socket["parameters"]) {
            text += fmt::format(" {}", parameter.get<std::string>());
        }
        text += "\n";
        for (const auto& place : socket["places"]) {
            text += "    " + place_from(place).text() + "\n";
        }
        text += socket["places"].empty() ? "    a server without \"listen\"\n" : "";
    }
    return text.empty() ? "nothing listens\n" : text;
}

}  // namespace ngx::inspect
