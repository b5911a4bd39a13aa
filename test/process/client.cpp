#include "test/process/client.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <system_error>

#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

[[noreturn]] void fail_errno(const std::string& what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

void set_option(int fd, int level, int name, const auto& value)
{
    if (::setsockopt(fd, level, name, &value, sizeof(value)) == -1) {
        fail_errno("setsockopt()");
    }
}

/// Returns a socket whose calls fail after a time limit.
Fd make_socket(int family, Buffers buffers = {}, int type = SOCK_STREAM)
{
    Fd fd(::socket(family, type | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) {
        fail_errno("socket()");
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::seconds>(patience() - Clock::now()).count();
    const timeval limit{.tv_sec = left, .tv_usec = 0};
    set_option(fd.get(), SOL_SOCKET, SO_RCVTIMEO, limit);
    set_option(fd.get(), SOL_SOCKET, SO_SNDTIMEO, limit);
    if (buffers.receive != 0) {
        set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, buffers.receive);
    }
    if (buffers.send != 0) {
        set_option(fd.get(), SOL_SOCKET, SO_SNDBUF, buffers.send);
    }
    return fd;
}

template <typename Address>
const sockaddr* any(const Address& address)
{
    return reinterpret_cast<const sockaddr*>(&address);
}

template <typename Address>
bool connect_to(const Fd& socket, const Address& address)
{
    return ::connect(socket.get(), any(address), sizeof(address)) == 0;
}

sockaddr_in ipv4(std::uint16_t port, const std::string& address)
{
    sockaddr_in sa{};
    sa.sin_family = AF_INET;
    sa.sin_port = htons(port);
    if (::inet_pton(AF_INET, address.c_str(), &sa.sin_addr) != 1) {
        fail(address + " is no address");
    }
    return sa;
}

sockaddr_in6 ipv6(std::uint16_t port)
{
    sockaddr_in6 sa{};
    sa.sin6_family = AF_INET6;
    sa.sin6_port = htons(port);
    sa.sin6_addr = in6addr_loopback;
    return sa;
}

sockaddr_un local(const std::filesystem::path& path)
{
    sockaddr_un sa{};
    sa.sun_family = AF_UNIX;
    path.string().copy(sa.sun_path, sizeof(sa.sun_path) - 1);
    return sa;
}

}  // namespace

// A bound socket reserves the port. Because it does not listen, a socket with SO_REUSEADDR can bind
// to the same port, and connects to it are refused. A UDP socket is connected, so that it receives
// no datagrams.
Port::Port(int type, std::uint16_t wanted) : reservation_(make_socket(AF_INET, {}, type))
{
    set_option(reservation_.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    const sockaddr_in address = ipv4(wanted, "127.0.0.1");
    if (::bind(reservation_.get(), any(address), sizeof(address)) == -1) {
        fail_errno("bind()");
    }
    number_ = bound_port(reservation_.get());
    constexpr std::uint16_t nobody = 9;
    if (type == SOCK_DGRAM && !connect_to(reservation_, ipv4(nobody, "127.0.0.1"))) {
        fail_errno("connect()");
    }
}

std::string Port::at(std::string_view address) const
{
    return fmt::format("{}:{}", address, number_);
}

std::string server_block(const Port& port, std::string_view content,
                         std::string_view listen_parameters)
{
    return fmt::format("    server {{ listen 127.0.0.1:{} {}; {} }}\n", port.text(),
                       listen_parameters, content);
}

Client::Client(std::uint16_t port, const std::string& address, Buffers buffers)
{
    const bool six = address == "::1";
    socket_ = make_socket(six ? AF_INET6 : AF_INET, buffers);
    if (!(six ? connect_to(socket_, ipv6(port)) : connect_to(socket_, ipv4(port, address)))) {
        fail_errno(fmt::format("connect() to port {} of {}", port, address));
    }
}

Client::Client(const std::filesystem::path& unix_socket) : socket_(make_socket(AF_UNIX))
{
    if (!connect_to(socket_, local(unix_socket))) {
        fail_errno("connect() to " + unix_socket.string());
    }
}

std::uint16_t Client::local_port() const
{
    return bound_port(fd());
}

void Client::send(std::string_view text) const
{
    while (!text.empty()) {
        const ssize_t n = ::send(fd(), text.data(), text.size(), MSG_NOSIGNAL);
        if (n == -1) {
            fail_errno("send()");
        }
        text.remove_prefix(static_cast<std::size_t>(n));
    }
}

std::size_t Client::send_until_full(std::string_view text) const
{
    // As long as data flows, the socket accepts more within this time. On a very busy machine less
    // is sent, which is sufficient for the tests.
    constexpr int quiet_ms = 200;
    std::size_t sent = 0;
    pollfd entry{.fd = fd(), .events = POLLOUT, .revents = 0};
    while (sent < text.size() && ::poll(&entry, 1, quiet_ms) == 1) {
        const ssize_t n =
            ::send(fd(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n == -1 && errno != EAGAIN) {
            break;
        }
        sent += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
    }
    return sent;
}

std::size_t Client::send_some(std::string_view text) const
{
    const ssize_t n = ::send(fd(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n == -1 && errno != EAGAIN) {
        fail_errno("send()");
    }
    return static_cast<std::size_t>(std::max<ssize_t>(n, 0));
}

void Client::finish() const
{
    if (::shutdown(fd(), SHUT_WR) == -1) {
        fail_errno("shutdown()");
    }
}

std::string Client::receive(std::size_t size) const
{
    std::string text(size, '\0');
    for (std::size_t got = 0; got < size;) {
        const ssize_t n = ::recv(fd(), text.data() + got, size - got, 0);
        if (n == -1) {
            fail_errno("recv()");
        }
        if (n == 0) {
            fail(fmt::format("the connection ended after {} of {} bytes", got, size));
        }
        got += static_cast<std::size_t>(n);
    }
    return text;
}

std::string Client::receive_some(std::size_t size) const
{
    std::string text(size, '\0');
    const ssize_t n = ::recv(fd(), text.data(), size, MSG_DONTWAIT);
    if (n == -1 && errno != EAGAIN) {
        fail_errno("recv()");
    }
    if (n == 0) {
        fail("the connection ended");
    }
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return text;
}

std::string Client::receive_all() const
{
    std::string text;
    std::array<char, 65536> buffer;
    for (;;) {
        const ssize_t n = ::recv(fd(), buffer.data(), buffer.size(), 0);
        if (n == -1) {
            fail_errno("recv()");
        }
        if (n == 0) {
            return text;
        }
        text.append(buffer.data(), static_cast<std::size_t>(n));
    }
}

std::string Client::echo(std::string_view text) const
{
    send(text);
    return receive(text.size());
}

std::string Client::until_closed() const
{
    std::string text;
    std::array<char, 65536> buffer;
    ssize_t n = 0;
    while ((n = ::recv(fd(), buffer.data(), buffer.size(), 0)) > 0) {
        text.append(buffer.data(), static_cast<std::size_t>(n));
    }
    if (n == -1 && errno != ECONNRESET) {
        fail_errno("recv()");
    }
    return text;
}

void Client::reset()
{
    set_option(fd(), SOL_SOCKET, SO_LINGER, linger{.l_onoff = 1, .l_linger = 0});
    socket_.close();
}

Listener::Listener(const Port& port, int backlog, Buffers buffers)
    : socket_(make_socket(AF_INET, buffers))
{
    set_option(socket_.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    const sockaddr_in address = ipv4(port, "127.0.0.1");
    if (::bind(socket_.get(), any(address), sizeof(address)) == -1) {
        fail_errno("bind()");
    }
    if (::listen(socket_.get(), backlog) == -1) {
        fail_errno("listen()");
    }
}

// An accepted socket inherits the time limits of the listening socket.
Client Listener::accept() const
{
    Fd fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.is_open()) {
        fail_errno("accept()");
    }
    return Client(std::move(fd));
}

UdpClient::UdpClient(std::uint16_t port, const std::string& address)
    : socket_(make_socket(AF_INET, {}, SOCK_DGRAM))
{
    if (!connect_to(socket_, ipv4(port, address))) {
        fail_errno("connect()");
    }
}

void UdpClient::send(std::string_view text) const
{
    if (::send(socket_.get(), text.data(), text.size(), 0) == -1) {
        fail_errno("send()");
    }
}

std::string UdpClient::receive() const
{
    std::string text(65'536, '\0');
    const ssize_t n = ::recv(socket_.get(), text.data(), text.size(), 0);
    if (n == -1) {
        fail_errno("recv()");
    }
    text.resize(static_cast<std::size_t>(n));
    return text;
}

std::vector<UdpClient> udp_clients_of(std::uint16_t port, std::size_t n)
{
    std::vector<UdpClient> clients;
    for (std::size_t i = 0; i < n; ++i) {
        clients.emplace_back(port);
    }
    return clients;
}

std::size_t count_echoes(const std::vector<UdpClient>& clients, const std::string& text)
{
    constexpr std::size_t at_once = 50;
    std::size_t right = 0;
    for (std::size_t begin = 0; begin < clients.size(); begin += at_once) {
        const std::size_t end = std::min(begin + at_once, clients.size());
        for (std::size_t i = begin; i < end; ++i) {
            clients[i].send(fmt::format("{} {}", text, i));
        }
        for (std::size_t i = begin; i < end; ++i) {
            right += clients[i].receive() == fmt::format("{} {}", text, i);
        }
    }
    return right;
}

Fd begin_connect(std::uint16_t port)
{
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!connect_to(socket, ipv4(port, "127.0.0.1")) && errno != EINPROGRESS) {
        fail_errno("connect()");
    }
    return socket;
}

std::uint16_t bound_port(int fd)
{
    sockaddr_storage sa{};
    socklen_t length = sizeof(sa);
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&sa), &length) == -1) {
        fail_errno("getsockname()");
    }
    return ntohs(sa.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&sa)->sin6_port
                                          : reinterpret_cast<sockaddr_in*>(&sa)->sin_port);
}

int connect_error(std::uint16_t port)
{
    const Fd socket = make_socket(AF_INET);
    return connect_to(socket, ipv4(port, "127.0.0.1")) ? 0 : errno;
}

std::string ask(std::uint16_t port, const std::string& address)
{
    return Client(port, address).until_closed();
}

std::string long_text(std::size_t size)
{
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) {
        text += fmt::format("{:07} ", i);
    }
    text.resize(size);
    return text;
}

bool has_ipv6()
{
    const Fd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in6 address = ipv6(0);
    return probe.is_open() && ::bind(probe.get(), any(address), sizeof(address)) == 0;
}

}  // namespace ngx::test::process
