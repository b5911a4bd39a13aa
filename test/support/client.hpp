#pragma once

/// \file
/// Clients and upstreams of a server: blocking sockets with time limits. They throw
/// std::system_error on errors. Their calls go to the kernel even while a FakeCall exists.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include "test/support/process.hpp"

namespace ngx::test {

/// Reserves a port of 127.0.0.1, of TCP or UDP (SOCK_DGRAM): any port, or the wanted one if it is
/// free. During its lifetime the kernel assigns the port to no other socket, but a server can
/// listen on it.
class Port {
public:
    explicit Port(int type = SOCK_STREAM, std::uint16_t wanted = 0);

    operator std::uint16_t() const { return number_; }
    [[nodiscard]] std::string text() const { return std::to_string(number_); }

    /// Returns "ADDRESS:PORT"; the address is 127.0.0.1 or, in brackets, ::1.
    [[nodiscard]] std::string at(std::string_view address) const;

private:
    Fd reservation_;
    std::uint16_t number_ = 0;
};

/// The properties of a socket.
struct SocketOptions {
    int receive = 0;  // the sizes of its buffers; 0 is the kernel's default
    int send = 0;
    int type = SOCK_STREAM;
    std::chrono::milliseconds patience = std::chrono::seconds(60);  // each call fails after it
};

/// A connected client, or the server's end of a connection to a Listener.
class Client {
public:
    explicit Client(std::uint16_t port, const std::string& address = "127.0.0.1",
                    const SocketOptions& options = {});
    explicit Client(const std::filesystem::path& unix_socket);
    Client(const sockaddr* sa, socklen_t len, const SocketOptions& options = {});
    /// Uses a connected socket.
    explicit Client(Fd socket);

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] std::uint16_t local_port() const;

    void send(std::string_view text) const;
    /// Sends until the kernel accepts no more, the server closes, or the whole text is sent.
    /// Returns the number of bytes.
    [[nodiscard]] std::size_t send_until_full(std::string_view text) const;
    /// Sends once without waiting. Returns the number of bytes that the kernel accepted.
    [[nodiscard]] std::size_t send_some(std::string_view text) const;
    /// Sends as many bytes as the kernel accepts now, and returns their number. The text is
    /// repeated without end; `already` bytes of it have been sent before.
    [[nodiscard]] std::size_t flood(std::string_view text, std::size_t already = 0) const;
    /// Shuts down the sending direction; the client can still receive.
    void finish() const;

    /// Receives exactly this number of bytes, or fewer if the data ends.
    [[nodiscard]] std::string receive(std::size_t size) const;
    /// Receives at most this number of bytes without waiting; empty if none has arrived. Throws if
    /// the connection has ended.
    [[nodiscard]] std::string receive_some(std::size_t size) const;
    /// Receives the next datagram.
    [[nodiscard]] std::string receive_datagram() const;
    /// Receives everything until the end of the data.
    [[nodiscard]] std::string receive_all() const;
    /// Receives everything until the connection is closed or reset.
    std::string until_closed() const;
    /// Sends the text and receives the same number of bytes.
    [[nodiscard]] std::string echo(std::string_view text) const;

    void close() { socket_.close(); }
    /// Resets the connection.
    void reset();

private:
    Fd socket_;
};

/// A server that accepts only when it is called, on a port of 127.0.0.1 or a unix socket.
class Listener {
public:
    /// The kernel establishes `backlog` + 1 connections before they are accepted. Accepted sockets
    /// have these options.
    explicit Listener(std::uint16_t port, int backlog = 128, const SocketOptions& options = {});
    explicit Listener(const std::filesystem::path& unix_socket);

    /// Accepts the next connection.
    [[nodiscard]] Client accept() const;
    /// Makes connections that are never accepted, until the queue is full.
    void fill_queue();
    /// The descriptor, which is readable when a connection waits.
    [[nodiscard]] int fd() const { return socket_.get(); }

private:
    void listen(const sockaddr* sa, socklen_t len, int backlog);

    Fd socket_;
    std::vector<Fd> queued_{};
};

/// Returns the port of a bound socket.
std::uint16_t bound_port(int fd);

/// Starts to connect a TCP socket to a port of 127.0.0.1 without waiting.
Fd begin_connect(std::uint16_t port);

/// Returns the result of a connect() to a port of 127.0.0.1: 0 or an errno.
int connect_error(std::uint16_t port);

/// Returns a text of this size without repeated parts.
std::string long_text(std::size_t size);

/// Returns whether a socket can be bound to ::1. With its parameter, which it ignores, it can be
/// the precondition of a test.
bool has_ipv6(unsigned long test = 0);

}  // namespace ngx::test
