#include "test/event/contract/sockets.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <iterator>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <system_error>
#include <unistd.h>

namespace ngx::contract {

namespace {

int checked(int result, const char* what)
{
    if (result == -1) {
        throw std::system_error(errno, std::generic_category(), what);
    }
    return result;
}

void set_buffers(int socket, int size)
{
    for (const int option : {SO_SNDBUF, SO_RCVBUF}) {
        checked(::setsockopt(socket, SOL_SOCKET, option, &size, sizeof(size)), "setsockopt()");
    }
}

sockaddr_in address_of(int socket)
{
    sockaddr_in sin{};
    socklen_t len = sizeof(sin);
    checked(::getsockname(socket, reinterpret_cast<sockaddr*>(&sin), &len), "getsockname()");
    return sin;
}

sockaddr_in loopback()
{
    sockaddr_in sin{};
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sin;
}

/// Binds to a port that the system chooses.
void bind_to_loopback(int socket)
{
    const sockaddr_in sin = loopback();
    checked(::bind(socket, reinterpret_cast<const sockaddr*>(&sin), sizeof(sin)), "bind()");
}

int datagram_socket()
{
    const int s =
        checked(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket()");
    bind_to_loopback(s);
    return s;
}

}  // namespace

Ends socket_pair()
{
    int s[2];
    checked(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s),
            "socketpair()");
    return {s[0], test::Fd(s[1])};
}

Ends socket_pair_with_high_peer(int from)
{
    int s[2];
    checked(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s),
            "socketpair()");
    return {s[0], test::Fd(move_above(s[1], from))};
}

Ends tcp_pair()
{
    const test::Fd listening(listener());
    const int own = connect_to(listening.get());

    // accept4() has to wait here: the connection may reach the queue a moment after connect().
    checked(::fcntl(listening.get(), F_SETFL, 0), "fcntl()");
    const int peer = ::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return {own, test::Fd(checked(peer, "accept4()"))};
}

Ends pipe_to_read()
{
    int p[2];
    checked(::pipe2(p, O_NONBLOCK | O_CLOEXEC), "pipe2()");
    return {p[0], test::Fd(p[1])};
}

Ends pipe_to_write()
{
    int p[2];
    checked(::pipe2(p, O_NONBLOCK | O_CLOEXEC), "pipe2()");
    return {p[1], test::Fd(p[0])};
}

Ends refused_datagrams()
{
    Ends ends{datagram_socket(), test::Fd(datagram_socket())};
    // A socket that is connected to itself rejects datagrams from others.
    for (const int s : {ends.peer.get(), ends.own}) {
        start_connect(s, ends.peer.get());
    }
    return ends;
}

int tcp_socket()
{
    return checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket()");
}

int listener()
{
    const int s = tcp_socket();
    set_buffers(s, 16 * 1024);
    bind_to_loopback(s);
    checked(::listen(s, 16), "listen()");
    return s;
}

void start_connect(int socket, int bound)
{
    const sockaddr_in sin = address_of(bound);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&sin), sizeof(sin)) == -1 &&
        errno != EINPROGRESS) {
        checked(-1, "connect()");
    }
}

int connect_to(int listening)
{
    const int s = tcp_socket();
    set_buffers(s, 16 * 1024);
    start_connect(s, listening);
    return s;
}

int connect_to_nobody()
{
    // A bound socket that does not listen: the port is reserved and rejects connections.
    const test::Fd bound(tcp_socket());
    bind_to_loopback(bound.get());
    return connect_to(bound.get());
}

bool is_connecting(int socket)
{
    tcp_info info{};
    socklen_t len = sizeof(info);
    checked(::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &len), "getsockopt()");
    return info.tcpi_state == TCP_SYN_SENT;
}

int timer_in(std::chrono::milliseconds delay)
{
    const int fd =
        checked(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create()");
    itimerspec when{};
    when.it_value.tv_sec = delay.count() / 1000;
    when.it_value.tv_nsec = delay.count() % 1000 * 1'000'000;
    checked(::timerfd_settime(fd, 0, &when, nullptr), "timerfd_settime()");
    return fd;
}

int move_to(int fd, int number)
{
    if (fd != number) {
        checked(::dup3(fd, number, O_CLOEXEC), "dup3()");
        checked(::close(fd), "close()");
    }
    return number;
}

int move_above(int fd, int from)
{
    const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, from);
    if (moved == -1) {
        return fd;
    }
    checked(::close(fd), "close()");
    return moved;
}

int open_descriptors()
{
    // The iterator's own descriptor is always included.
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<int>(std::distance(begin(all), end(all)));
}

int socket_type(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 ? type : 0;
}

int pending_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    checked(::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), "getsockopt()");
    return error;
}

void reset(test::Fd& socket)
{
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    checked(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)),
            "setsockopt()");
    socket.close();
}

}  // namespace ngx::contract
