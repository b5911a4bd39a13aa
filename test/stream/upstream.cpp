#include "test/stream/upstream.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

#include "stream/stream_upstream.hpp"
#include "test/support/restarted.hpp"

namespace ngx::test {

namespace {

int checked(int rc, const char* what)
{
    if (rc == -1) {
        throw std::system_error(errno, std::generic_category(), what);
    }
    return rc;
}

}  // namespace

Upstream::Upstream(std::uint16_t port, int backlog)
{
    sa_.in.sin_family = AF_INET;
    sa_.in.sin_port = htons(port);
    sa_.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen(&sa_.any, sizeof(sa_.in), backlog);
}

Upstream::Upstream(std::string_view path, int backlog)
{
    sa_.un.sun_family = AF_UNIX;
    std::memcpy(sa_.un.sun_path, path.data(), path.size());
    listen(&sa_.any, sizeof(sa_.un), backlog);
}

void Upstream::listen(const sockaddr* sa, socklen_t len, int backlog)
{
    len_ = len;
    fd_ = Fd(checked(::socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket()"));
    const int on = 1;
    checked(::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "setsockopt()");
    const timeval timeout{.tv_sec = 10, .tv_usec = 0};
    checked(::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)),
            "setsockopt()");
    checked(::bind(fd_.get(), sa, len), "bind()");
    checked(::listen(fd_.get(), backlog), "listen()");
}

Client Upstream::accept() const
{
    const long fd = restarted([&] { return ::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC); });
    return Client(Fd(checked(static_cast<int>(fd), "accept()")));
}

void Upstream::fill_queue()
{
    for (;;) {
        Fd fd(checked(::socket(sa_.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket()"));
        const timeval timeout{.tv_sec = 0, .tv_usec = 50'000};
        checked(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)),
                "setsockopt()");
        const bool connected = ::connect(fd.get(), &sa_.any, len_) == 0;
        queued_.push_back(std::move(fd));
        if (!connected) {
            return;
        }
    }
}

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

std::string numbers(std::size_t size)
{
    std::string text;
    for (int i = 0; text.size() < size; i++) {
        text.append(std::to_string(i)).append(" ");
    }
    text.resize(size);
    return text;
}

}  // namespace ngx::test
