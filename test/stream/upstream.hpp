#pragma once

/// \file
/// An upstream server in the test, to which a proxy connects.

#include <cstdint>
#include <string_view>

#include "core/inet.hpp"
#include "stream/stream.hpp"
#include "test/stream/server.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

/// A listening socket: on a port of 127.0.0.1, or a unix socket.
class Upstream {
public:
    explicit Upstream(std::uint16_t port, int backlog = 16);
    explicit Upstream(std::string_view path, int backlog = 16);

    /// Accepts the next connection; waits for it for up to ten seconds.
    [[nodiscard]] Client accept() const;

    /// Makes connections that are never accepted, until the queue is full.
    void fill_queue();

private:
    void listen(const sockaddr* sa, socklen_t len, int backlog);

    SockaddrUnion sa_{};
    socklen_t len_ = 0;
    Fd fd_;
    std::vector<Fd> queued_;
};

/// A connection through a proxy, with both of its ends.
struct Proxied {
    /// `stream` has one listener, for the proxy, whose upstream is unix:DIR/up.
    explicit Proxied(std::string_view stream);

    /// Turns the loop until all connections are closed.
    void finish() const { server.finish(); }

    /// Sends a text from one end and returns whether the other end receives it.
    [[nodiscard]] bool client_is_heard(std::string_view text) const;
    [[nodiscard]] bool upstream_is_heard(std::string_view text) const;

    Server server;
    Upstream upstream;
    Client client;
    Client peer;  // the upstream's end of the connection
};

/// Returns the session of a proxy: the first open one.
StreamSession& session_of(const Server& server);

/// Returns a text of `size` bytes in which no two pieces are equal.
std::string numbers(std::size_t size);

}  // namespace ngx::test
