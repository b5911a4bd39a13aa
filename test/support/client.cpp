#include "test/support/client.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "test/support/restarted.hpp"

namespace ngx::test {

namespace {

long checked(long result, const std::string& what)
{
    if (result == -1) {
        throw std::system_error(errno, std::generic_category(), what);
    }
    return result;
}

void set_option(int fd, int level, int name, const auto& value)
{
    checked(::setsockopt(fd, level, name, &value, sizeof(value)), "setsockopt()");
}

void limit_waits(int fd, std::chrono::milliseconds limit)
{
    const timeval wait{.tv_sec = limit.count() / 1000, .tv_usec = limit.count() % 1000 * 1000};
    set_option(fd, SOL_SOCKET, SO_RCVTIMEO, wait);
    set_option(fd, SOL_SOCKET, SO_SNDTIMEO, wait);
}

Fd make_socket(int family, const SocketOptions& options = {})
{
    Fd fd(static_cast<int>(checked(::socket(family, options.type | SOCK_CLOEXEC, 0), "socket()")));
    limit_waits(fd.get(), options.patience);
    if (options.receive != 0) {
        set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, options.receive);
    }
    if (options.send != 0) {
        set_option(fd.get(), SOL_SOCKET, SO_SNDBUF, options.send);
    }
    return fd;
}

// The system calls themselves: a FakeCall is for the server only.

bool connect_to(const Fd& socket, const sockaddr* sa, socklen_t len)
{
    return restarted([&] { return ::syscall(SYS_connect, socket.get(), sa, len); }) == 0;
}

ssize_t send_to(int fd, std::string_view text, int flags)
{
    return restarted([&] {
        return ::syscall(SYS_sendto, fd, text.data(), text.size(), flags | MSG_NOSIGNAL, nullptr,
                         0);
    });
}

ssize_t receive_from(int fd, char* buf, std::size_t size, int flags = 0)
{
    return restarted(
        [&] { return ::syscall(SYS_recvfrom, fd, buf, size, flags, nullptr, nullptr); });
}

template <typename Address>
const sockaddr* any(const Address& address)
{
    return reinterpret_cast<const sockaddr*>(&address);
}

sockaddr_in ipv4(std::uint16_t port, const std::string& address)
{
    sockaddr_in sa = loopback(port);
    if (::inet_pton(AF_INET, address.c_str(), &sa.sin_addr) != 1) {
        throw std::invalid_argument(address + " is no address");
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

// The bound socket reserves the port. It does not listen: connections are refused until the server,
// whose socket has SO_REUSEADDR, listens on the port. A UDP socket is connected to another port, so
// that it receives no datagrams. It gets SO_REUSEADDR after its port: the kernel gives one port to
// two UDP sockets that have the option.
Port::Port(int type, std::uint16_t wanted) : reservation_(make_socket(AF_INET, {.type = type}))
{
    if (type != SOCK_DGRAM) {
        set_option(reservation_.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    }
    const sockaddr_in address = loopback(wanted);
    checked(::bind(reservation_.get(), any(address), sizeof(address)), "bind()");
    set_option(reservation_.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    number_ = bound_port(reservation_.get());
    const sockaddr_in unused = loopback(9);
    if (type == SOCK_DGRAM) {
        checked(::connect(reservation_.get(), any(unused), sizeof(unused)), "connect()");
    }
}

std::string Port::at(std::string_view address) const
{
    return fmt::format("{}:{}", address, number_);
}

Client::Client(std::uint16_t port, const std::string& address, const SocketOptions& options)
{
    const bool six = address == "::1";
    socket_ = make_socket(six ? AF_INET6 : AF_INET, options);
    const sockaddr_in6 sin6 = ipv6(port);
    const sockaddr_in sin = six ? sockaddr_in{} : ipv4(port, address);
    if (!connect_to(socket_, six ? any(sin6) : any(sin), six ? sizeof(sin6) : sizeof(sin))) {
        checked(-1, fmt::format("connect() to port {} of {}", port, address));
    }
}

Client::Client(const std::filesystem::path& unix_socket) : socket_(make_socket(AF_UNIX))
{
    const sockaddr_un un = local(unix_socket);
    if (!connect_to(socket_, any(un), sizeof(un))) {
        checked(-1, "connect() to " + unix_socket.string());
    }
}

Client::Client(const sockaddr* sa, socklen_t len, const SocketOptions& options)
    : socket_(make_socket(sa->sa_family, options))
{
    if (!connect_to(socket_, sa, len)) {
        checked(-1, "connect()");
    }
}

Client::Client(Fd socket) : socket_(std::move(socket))
{
    limit_waits(fd(), SocketOptions{}.patience);
}

std::uint16_t Client::local_port() const
{
    return bound_port(fd());
}

void Client::send(std::string_view text) const
{
    while (!text.empty()) {
        text.remove_prefix(static_cast<std::size_t>(checked(send_to(fd(), text, 0), "send()")));
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
        const ssize_t n = send_to(fd(), text.substr(sent), MSG_DONTWAIT);
        if (n == -1 && errno != EAGAIN) {
            break;
        }
        sent += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
    }
    return sent;
}

std::size_t Client::send_some(std::string_view text) const
{
    const ssize_t n = send_to(fd(), text, MSG_DONTWAIT);
    return n == -1 && errno == EAGAIN ? 0 : static_cast<std::size_t>(checked(n, "send()"));
}

std::size_t Client::flood(std::string_view text, std::size_t already) const
{
    std::size_t sent = 0;
    while (const std::size_t n = send_some(text.substr((already + sent) % text.size()))) {
        sent += n;
    }
    return sent;
}

void Client::finish() const
{
    checked(::shutdown(fd(), SHUT_WR), "shutdown()");
}

std::string Client::receive(std::size_t size) const
{
    std::string text(size, '\0');
    std::size_t got = 0;
    while (got < size) {
        const long n = checked(receive_from(fd(), text.data() + got, size - got), "recv()");
        if (n == 0) {
            break;
        }
        got += static_cast<std::size_t>(n);
    }
    text.resize(got);
    return text;
}

std::string Client::receive_some(std::size_t size) const
{
    std::string text(size, '\0');
    const ssize_t n = receive_from(fd(), text.data(), size, MSG_DONTWAIT);
    if (n == 0) {
        throw std::runtime_error("the connection ended");
    }
    text.resize(n == -1 && errno == EAGAIN ? 0 : static_cast<std::size_t>(checked(n, "recv()")));
    return text;
}

std::string Client::receive_datagram() const
{
    std::string text(65'536, '\0');
    const long n = checked(receive_from(fd(), text.data(), text.size()), "recv()");
    text.resize(static_cast<std::size_t>(n));
    return text;
}

std::string Client::receive_all() const
{
    constexpr std::size_t piece = 65'536;
    std::string text;
    for (std::size_t before = 0;; before = text.size()) {
        text += receive(piece);
        if (text.size() - before < piece) {
            return text;
        }
    }
}

std::string Client::until_closed() const
{
    std::string text;
    std::array<char, 65'536> buffer;
    ssize_t n = 0;
    while ((n = receive_from(fd(), buffer.data(), buffer.size())) > 0) {
        text.append(buffer.data(), static_cast<std::size_t>(n));
    }
    if (n == -1 && errno != ECONNRESET) {
        checked(n, "recv()");
    }
    return text;
}

std::string Client::echo(std::string_view text) const
{
    send(text);
    return receive(text.size());
}

void Client::reset()
{
    set_option(fd(), SOL_SOCKET, SO_LINGER, linger{.l_onoff = 1, .l_linger = 0});
    socket_.close();
}

Listener::Listener(std::uint16_t port, int backlog, const SocketOptions& options)
    : socket_(make_socket(AF_INET, options))
{
    const sockaddr_in sin = loopback(port);
    listen(any(sin), sizeof(sin), backlog);
}

Listener::Listener(const std::filesystem::path& unix_socket) : socket_(make_socket(AF_UNIX))
{
    const sockaddr_un un = local(unix_socket);
    listen(any(un), sizeof(un), 16);
}

void Listener::listen(const sockaddr* sa, socklen_t len, int backlog)
{
    set_option(fd(), SOL_SOCKET, SO_REUSEADDR, 1);
    checked(::bind(fd(), sa, len), "bind()");
    checked(::listen(fd(), backlog), "listen()");
}

Client Listener::accept() const
{
    const long fd = restarted(
        [this] { return ::syscall(SYS_accept4, socket_.get(), nullptr, nullptr, SOCK_CLOEXEC); });
    return Client(Fd(static_cast<int>(checked(fd, "accept()"))));
}

void Listener::fill_queue()
{
    sockaddr_storage sa{};
    socklen_t len = sizeof(sa);
    checked(::getsockname(fd(), reinterpret_cast<sockaddr*>(&sa), &len), "getsockname()");
    for (bool connected = true; connected;) {
        Fd& socket = queued_.emplace_back(
            make_socket(sa.ss_family, {.patience = std::chrono::milliseconds(50)}));
        connected = connect_to(socket, any(sa), len);
    }
}

std::uint16_t bound_port(int fd)
{
    sockaddr_storage sa{};
    socklen_t len = sizeof(sa);
    checked(::getsockname(fd, reinterpret_cast<sockaddr*>(&sa), &len), "getsockname()");
    return ntohs(sa.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&sa)->sin6_port
                                          : reinterpret_cast<sockaddr_in*>(&sa)->sin_port);
}

Fd begin_connect(std::uint16_t port)
{
    Fd socket = make_socket(AF_INET, {.type = SOCK_STREAM | SOCK_NONBLOCK});
    const sockaddr_in sin = loopback(port);
    if (!connect_to(socket, any(sin), sizeof(sin)) && errno != EINPROGRESS) {
        checked(-1, "connect()");
    }
    return socket;
}

int connect_error(std::uint16_t port)
{
    const Fd socket = make_socket(AF_INET);
    const sockaddr_in sin = loopback(port);
    return connect_to(socket, any(sin), sizeof(sin)) ? 0 : errno;
}

std::string long_text(std::size_t size)
{
    std::string text;
    for (std::size_t i = 0; text.size() < size; i++) {
        text += fmt::format("{:07} ", i);
    }
    text.resize(size);
    return text;
}

bool has_ipv6(unsigned long)
{
    const Fd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in6 sin6 = ipv6(0);
    return probe.is_open() && ::bind(probe.get(), any(sin6), sizeof(sin6)) == 0;
}

}  // namespace ngx::test
