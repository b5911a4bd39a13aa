#include "test/process/client.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ngx::test::process {

std::string server_block(const Port& port, std::string_view content,
                         std::string_view listen_parameters)
{
    return fmt::format("    server {{ listen 127.0.0.1:{} {}; {} }}\n", port.text(),
                       listen_parameters, content);
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

std::string ask(std::uint16_t port, const std::string& address)
{
    return Client(port, address).until_closed();
}

}  // namespace ngx::test::process
