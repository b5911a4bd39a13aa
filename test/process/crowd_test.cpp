#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/select.h>

#include <algorithm>
#include <iostream>
#include <vector>

#include "test/process/client.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

constexpr std::size_t wanted = 10'000;
/// Descriptors that are no clients.
constexpr std::size_t spare = 24;

/// As many clients as descriptors allow, at both ends.
std::size_t crowd_size()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    std::size_t n = std::min(wanted, static_cast<std::size_t>(limit.rlim_cur) - 2 * spare);
    if (setup().method == "select") {
        n = std::min(n, std::size_t{FD_SETSIZE} - spare);
    }
    if (n < wanted) {
        std::cout << "the crowd is of " << n << " clients, not of " << wanted << '\n';
    }
    return n;
}

/// All send, then all receive. The server stands still meanwhile, or with a poller that looks at
/// every descriptor in every turn it would take a turn for each client.
bool all_echo(Server& server, const std::vector<Client>& clients, std::size_t first)
{
    const auto text = [](std::size_t i) { return fmt::format("{:06}", i); };
    server.pause();
    for (std::size_t i = first; i < clients.size(); ++i) {
        clients[i].send(text(i));
    }
    server.resume();
    for (std::size_t i = first; i < clients.size(); ++i) {
        if (clients[i].receive(text(i).size()) != text(i)) {
            return false;
        }
    }
    return true;
}

/// Adds clients in groups that fit into the queue of the listener.
void join(Server& server, const Port& port, std::vector<Client>& clients, std::size_t n)
{
    constexpr std::size_t group = 500;
    for (std::size_t first = 0; first < n; first = clients.size()) {
        server.pause();
        while (clients.size() < std::min(first + group, n)) {
            clients.emplace_back(port);
        }
        BOOST_TEST_REQUIRE(all_echo(server, clients, first));
    }
}

/// All leave at once.
void leave(Server& server, std::vector<Client>& clients)
{
    const std::size_t left = server.descriptors() - clients.size();
    server.pause();
    clients.clear();
    server.resume();
    server.wait_for_descriptors(left);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(crowd)

BOOST_AUTO_TEST_CASE(ten_thousand_clients_are_served_while_half_of_them_are_idle)
{
    const std::size_t n = crowd_size();
    const Port port;
    Server server({.stream = server_block(port, "echo; echo_timeout 1h;"),
                   .events = fmt::format("worker_connections {}; multi_accept on;", n + spare / 2),
                   .log_level = "notice"},
                  n + spare);
    const std::size_t before = server.descriptors();

    std::vector<Client> idle;
    std::vector<Client> busy;
    join(server, port, idle, n / 2);
    join(server, port, busy, n - n / 2);
    BOOST_TEST(server.descriptors() == before + n);

    for (int round = 0; round < 3; ++round) {
        BOOST_TEST_REQUIRE(all_echo(server, busy, 0));
    }
    leave(server, busy);
    BOOST_TEST_REQUIRE(all_echo(server, idle, 0));
    leave(server, idle);
    BOOST_TEST(server.descriptors() == before);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
