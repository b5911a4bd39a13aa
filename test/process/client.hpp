#pragma once

/// \file
/// The clients of a server that is a process: those of test/support/client.hpp, and clients of
/// datagrams.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "test/support/client.hpp"

namespace ngx::test::process {

/// Returns a `server {}` that listens on 127.0.0.1.
std::string server_block(const Port& port, std::string_view content,
                         std::string_view listen_parameters = "");

/// A client of datagrams. It receives answers only from the address to which it sends.
class UdpClient : public Client {
public:
    explicit UdpClient(std::uint16_t port, const std::string& address = "127.0.0.1")
        : Client(port, address, {.type = SOCK_DGRAM})
    {}

    /// Receives the next datagram.
    [[nodiscard]] std::string receive() const { return receive_datagram(); }
    /// Sends the text and receives the answer to it.
    [[nodiscard]] std::string ask(std::string_view text) const
    {
        send(text);
        return receive();
    }
};

/// Returns this number of clients.
std::vector<UdpClient> udp_clients_of(std::uint16_t port, std::size_t n);

/// Each client sends a different text. Returns how many receive it back. Limits the number of
/// datagrams in transit to what a socket's buffer holds.
std::size_t count_echoes(const std::vector<UdpClient>& clients, const std::string& text);

/// Returns the answer of a `return` server: everything until the end of the connection.
std::string ask(std::uint16_t port, const std::string& address = "127.0.0.1");

}  // namespace ngx::test::process
