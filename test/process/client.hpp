#pragma once

/// \file
/// The clients: blocking sockets, none of whose calls waits for ever. What goes wrong is thrown as
/// std::system_error, or as std::runtime_error when the connection ends too early.

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

/// A port of 127.0.0.1, of TCP or of UDP (SOCK_DGRAM), that the kernel gives to nobody else while
/// this lives, but that a server may listen on: any, or the wanted one, if it is free.
class Port {
public:
    explicit Port(int type = SOCK_STREAM, std::uint16_t wanted = 0);

    operator std::uint16_t() const { return number_; }
    [[nodiscard]] std::string text() const { return std::to_string(number_); }

    /// The port at an address: 127.0.0.1 or, in brackets, ::1.
    [[nodiscard]] std::string at(std::string_view address) const;

private:
    Fd reservation_;
    std::uint16_t number_ = 0;
};

/// A `server {}` that listens on 127.0.0.1.
std::string server_block(const Port& port, std::string_view content,
                         std::string_view listen_parameters = "");

/// The buffers of a client's socket; 0 leaves them to the kernel.
struct Buffers {
    int receive = 0;
    int send = 0;
};

class Client {
public:
    explicit Client(std::uint16_t port, const std::string& address = "127.0.0.1",
                    Buffers buffers = {});
    explicit Client(const std::filesystem::path& unix_socket);
    /// The other side of a connection.
    explicit Client(Fd socket) : socket_(std::move(socket)) {}

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] std::uint16_t local_port() const;

    void send(std::string_view text) const;
    /// Sends what the kernel takes while it takes it and the server does not break off, at most the
    /// whole; returns how much that was.
    [[nodiscard]] std::size_t send_until_full(std::string_view text) const;
    /// Sends once, without waiting; returns how much the kernel took.
    [[nodiscard]] std::size_t send_some(std::string_view text) const;
    /// Tells the server that nothing more will be sent.
    void finish() const;

    /// So many bytes, neither more nor less.
    [[nodiscard]] std::string receive(std::size_t size) const;
    /// What is there, at most so much; empty when there is nothing.
    [[nodiscard]] std::string receive_some(std::size_t size) const;
    /// All up to the end of the data.
    [[nodiscard]] std::string receive_all() const;
    /// Sends the text, which the server is to send back.
    [[nodiscard]] std::string echo(std::string_view text) const;
    /// All up to the end of the connection, by which of its two ways ever.
    std::string until_closed() const;

    void close() { socket_.close(); }
    /// Breaks the connection off.
    void reset();

private:
    Fd socket_;
};

/// A server in the test's own process, which has only what it is told to accept.
class Listener {
public:
    /// So many connections more than one are made before they are accepted; what is accepted has
    /// the buffers.
    explicit Listener(const Port& port, int backlog = 128, Buffers buffers = {});

    /// The next connection.
    [[nodiscard]] Client accept() const;
    /// Is readable when there is one.
    [[nodiscard]] int fd() const { return socket_.get(); }

private:
    Fd socket_;
};

/// A client of datagrams, which takes answers only from the address that it sends to.
class UdpClient {
public:
    explicit UdpClient(std::uint16_t port, const std::string& address = "127.0.0.1");

    void send(std::string_view text) const;
    /// The next datagram.
    [[nodiscard]] std::string receive() const;
    /// Sends the text and receives the answer.
    [[nodiscard]] std::string ask(std::string_view text) const
    {
        send(text);
        return receive();
    }

private:
    Fd socket_;
};

/// So many clients.
std::vector<UdpClient> udp_clients_of(std::uint16_t port, std::size_t n);

/// Each client says something of its own; how many get that back. Fewer are on the way at once than
/// a socket takes.
std::size_t count_echoes(const std::vector<UdpClient>& clients, const std::string& text);

/// A connection that is not waited for.
Fd begin_connect(std::uint16_t port);

/// The port that a TCP socket is bound to.
std::uint16_t bound_port(int fd);

/// What connect() to the port says: 0 or an errno.
int connect_error(std::uint16_t port);

/// What a `return` server says, or all that comes until the end of the connection.
std::string ask(std::uint16_t port, const std::string& address = "127.0.0.1");

/// A text of this size, no two pieces of which are alike.
std::string long_text(std::size_t size);

/// Whether a socket can be bound to ::1.
bool has_ipv6();

}  // namespace ngx::test::process
