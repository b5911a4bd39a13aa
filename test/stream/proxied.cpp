#include "test/stream/proxied.hpp"

#include "stream/stream_upstream.hpp"

namespace ngx::test {

Proxied::Proxied(std::string_view stream)
    : server(stream)
    , upstream(server.expand("DIR/up"))
    , client(server.connect())
    , peer([this] {
        server.turn_until([this] {
            return server.connections().size() == 2 && session_of(server).upstream->connected;
        });
        return upstream.accept();
    }())
{}

bool Proxied::client_is_heard(std::string_view text) const
{
    return server.serve([&] {
        client.send(text);
        return peer.receive(text.size()) == text;
    });
}

bool Proxied::upstream_is_heard(std::string_view text) const
{
    return server.serve([&] {
        peer.send(text);
        return client.receive(text.size()) == text;
    });
}

StreamSession& session_of(const Server& server)
{
    return *static_cast<StreamSession*>(server.connections().at(0)->data);
}

}  // namespace ngx::test
