#include <algorithm>
#include <fmt/format.h>

#include "core/connection.hpp"
#include "core/inet.hpp"
#include "core/module.hpp"
#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

/// Returns the parameters of `listen` that set the options of this socket.
Json parameters(const Listening& ls)
{
    Json list = Json::array();
    const auto add = [&](bool present, std::string text) {
        if (present) {
            list.push_back(std::move(text));
        }
    };
    add(ls.type == SOCK_DGRAM, "udp");
    add(ls.reuseport, "reuseport");
    add(ls.type == SOCK_STREAM && ls.backlog != Listening::listen_backlog,
        fmt::format("backlog={}", ls.backlog));
    add(ls.rcvbuf != -1, fmt::format("rcvbuf={}", ls.rcvbuf));
    add(ls.sndbuf != -1, fmt::format("sndbuf={}", ls.sndbuf));
    add(ls.fastopen != -1, fmt::format("fastopen={}", ls.fastopen));
    add(ls.deferred_accept, "deferred");
    add(ls.keepalive == 1, "so_keepalive=on");
    add(ls.keepalive == 2, "so_keepalive=off");
    add(ls.sockaddr.any.sa_family == AF_INET6, ls.ipv6only ? "ipv6only=on" : "ipv6only=off");
    return list;
}

std::string_view family(const Listening& ls)
{
    switch (ls.sockaddr.any.sa_family) {
    case AF_INET:
        return "IPv4";
    case AF_INET6:
        return "IPv6";
    default:
        return "unix";
    }
}

bool is_of(const Directive& directive, const Listening& ls, Pool& pool)
{
    const auto& words = directive.words;
    const bool udp = std::ranges::find(words, "udp") != words.end();
    if (directive.name() != "listen" || udp != (ls.type == SOCK_DGRAM)) {
        return false;
    }
    Url u{.url = words[1], .listen = true};
    return parse_url(pool, u) == Rc::ok && std::ranges::any_of(u.addrs, [&](const Addr& addr) {
               return cmp_sockaddr(&addr.sockaddr.any, addr.socklen, &ls.sockaddr.any, ls.socklen,
                                   true) == Rc::ok;
           });
}

/// Returns the place of each `listen` directive for this address.
Json places(const Reading& reading, const Listening& ls)
{
    Json list = Json::array();
    reading.for_each([&](const Directive& directive) {
        if (is_of(directive, ls, *reading.cycle().pool)) {
            const Place& place = directive.place;
            list.push_back({{"file", place.file}, {"line", place.line}, {"column", place.column}});
        }
    });
    return list;
}

}  // namespace

Json listening_view(const Reading& reading)
{
    Json list = Json::array();
    for (const Listening& ls : reading.cycle().listening) {
        list.push_back({{"address", ls.addr_text},
                        {"places", places(reading, ls)},
                        {"family", family(ls)},
                        {"type", ls.type == SOCK_DGRAM ? "datagram" : "stream"},
                        {"backlog", ls.type == SOCK_DGRAM ? Json() : Json(ls.backlog)},
                        {"wildcard", ls.wildcard != 0},
                        {"worker", ls.reuseport ? Json(ls.worker) : Json()},
                        {"parameters", parameters(ls)}});
    }
    return {{"view", "listening"}, {"listening", list}};
}

std::string listening_text(const Json& view)
{
    std::string text;
    for (const auto& ls : view["listening"]) {
        text += fmt::format("{}  ({}, {}", ls["address"].get<std::string>(),
                            ls["family"].get<std::string>(), ls["type"].get<std::string>());
        if (!ls["worker"].is_null()) {
            text += fmt::format(", of worker {}", ls["worker"].get<std::size_t>());
        }
        text += ")";
        for (const auto& parameter : ls["parameters"]) {
            text += " " + parameter.get<std::string>();
        }
        text += "\n";
        for (const auto& place : ls["places"]) {
            text += "    " + Place{place["file"], place["line"], place["column"]}.text() + "\n";
        }
    }
    return text.empty() ? "nothing listens\n" : text;
}

}  // namespace ngx::inspect
