#pragma once

/// \file
/// Clients: blocking sockets with time limits. Errors are thrown as std::system_error, or as
/// std::runtime_error if the connection ends too early.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include "test/support/process.hpp"

namespace ngx::test::process {

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

/// Returns a `server {}` that listens on 127.0.0.1.
std::string server_block(const Port& port, std::string_view content,
                         std::string_view listen_parameters = "");

/// The buffer sizes of a client's socket; 0 is the kernel's default.
struct Buffers {
    int receive = 0;
    int send = 0;
};

class Client {
public:
    explicit Client(std::uint16_t port, const std::string& address = "127.0.0.1",
                    Buffers buffers = {});
    explicit Client(const std::filesystem::path& unix_socket);
    /// Uses a connected socket.
    explicit Client(Fd socket) : socket_(std::move(socket)) {}

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] std::uint16_t local_port() const;

    void send(std::string_view text) const;
    /// Sends until the kernel accepts no more, the server closes, or the whole text is sent.
    /// Returns the number of bytes.
    [[nodiscard]] std::size_t send_until_full(std::string_view text) const;
    /// Sends once without waiting. Returns the number of bytes that the kernel accepted.
    [[nodiscard]] std::size_t send_some(std::string_view text) const;
    /// Shuts down the sending direction.
    void finish() const;

    /// Receives exactly this number of bytes.
    [[nodiscard]] std::string receive(std::size_t size) const;
    /// Receives at most this number of bytes without waiting; empty if none has arrived.
    [[nodiscard]] std::string receive_some(std::size_t size) const;
    /// Receives everything until the end of the data.
    [[nodiscard]] std::string receive_all() const;
    /// Sends the text and receives the same number of bytes.
    [[nodiscard]] std::string echo(std::string_view text) const;
    /// Receives everything until the connection is closed or reset.
    std::string until_closed() const;

    void close() { socket_.close(); }
    /// Resets the connection.
    void reset();

private:
    Fd socket_;
};

/// A server in the test's own process, which accepts only when it is called.
class Listener {
public:
    /// The kernel establishes `backlog` + 1 connections before they are accepted. Accepted sockets
    /// have these buffers.
    explicit Listener(const Port& port, int backlog = 128, Buffers buffers = {});

    /// Accepts the next connection.
    [[nodiscard]] Client accept() const;
    /// The descriptor, which is readable when a connection waits.
    [[nodiscard]] int fd() const { return socket_.get(); }

private:
    Fd socket_;
};

/// A client of datagrams. It receives answers only from the address to which it sends.
class UdpClient {
public:
    explicit UdpClient(std::uint16_t port, const std::string& address = "127.0.0.1");

    void send(std::string_view text) const;
    /// Receives the next datagram.
    [[nodiscard]] std::string receive() const;
    /// Sends the text and receives the answer to it.
    [[nodiscard]] std::string ask(std::string_view text) const
    {
        send(text);
        return receive();
    }

private:
    Fd socket_;
};

/// Returns this number of clients.
std::vector<UdpClient> udp_clients_of(std::uint16_t port, std::size_t n);

/// Each client sends a different text. Returns how many receive it back. Limits the number of
/// datagrams in transit to what a socket's buffer holds.
std::size_t count_echoes(const std::vector<UdpClient>& clients, const std::string& text);

/// Starts a connect without waiting for it.
Fd begin_connect(std::uint16_t port);

/// Returns the port of a bound TCP socket.
std::uint16_t bound_port(int fd);

/// Returns the result of a connect() to the port: 0 or an errno.
int connect_error(std::uint16_t port);

/// Returns the answer of a `return` server: everything until the end of the connection.
std::string ask(std::uint16_t port, const std::string& address = "127.0.0.1");

/// Returns a text of this size without repeated parts.
std::string long_text(std::size_t size);

/// Returns whether a socket can be bound to ::1.
bool has_ipv6();

}  // namespace ngx::test::process
