#pragma once

/// \file
/// A connection through a proxy to an upstream in the test.

#include <string_view>

#include "stream/stream.hpp"
#include "test/stream/server.hpp"
#include "test/support/client.hpp"

namespace ngx::test {

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
    Listener upstream;
    Client client;
    Client peer;  // the upstream's end of the connection
};

/// Returns the session of a proxy: the first open one.
StreamSession& session_of(const Server& server);

}  // namespace ngx::test
