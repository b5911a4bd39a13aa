#pragma once

/// \file
/// A server of the test's own that a proxy connects to.

#include <cstdint>
#include <string_view>

#include "core/inet.hpp"
#include "stream/stream.hpp"
#include "test/stream/server.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

/// A socket that listens: on a port of 127.0.0.1, or as a unix socket.
class Upstream {
public:
    explicit Upstream(std::uint16_t port, int backlog = 16);
    explicit Upstream(std::string_view path, int backlog = 16);

    /// The next connection that was made; waits for it up to ten seconds.
    [[nodiscard]] Client accept() const;

    /// Makes connections that nobody accepts, until the queue takes no more.
    void fill_queue();

private:
    void listen(const sockaddr* sa, socklen_t len, int backlog);

    SockaddrUnion sa_{};
    socklen_t len_ = 0;
    Fd fd_;
    std::vector<Fd> queued_;
};

/// A connection through a proxy, seen from both ends.
struct Proxied {
    /// `stream` has one listener, for the proxy, whose upstream is unix:DIR/up.
    explicit Proxied(std::string_view stream);

    /// Turns the loop until the client has ended and everything of it is closed.
    void finish() const { server.finish(); }

    /// The client says something and the upstream hears it; the other way round.
    [[nodiscard]] bool client_is_heard(std::string_view text) const;
    [[nodiscard]] bool upstream_is_heard(std::string_view text) const;

    Server server;
    Upstream upstream;
    Client client;
    Client peer;  // the upstream's end
};

/// The session of a proxy: the first that is open.
StreamSession& session_of(const Server& server);

/// A text of so many bytes, no two pieces of which are alike.
std::string numbers(std::size_t size);

}  // namespace ngx::test
