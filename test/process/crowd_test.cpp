#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/select.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "auto_config.hpp"
#include "test/process/client.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// The number of descriptors that are not used for clients.
constexpr std::size_t spare = 24;

/// Returns the number of wanted clients, or as many as the limits of descriptors allow. The server
/// needs `descriptors` of them for each client.
std::size_t crowd_size(std::size_t wanted, std::size_t descriptors)
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    std::size_t n =
        std::min(wanted, (static_cast<std::size_t>(limit.rlim_cur) - 2 * spare) / descriptors);
    if (setup().method == "select") {
        n = std::min(n, (std::size_t{FD_SETSIZE} - spare) / descriptors);
    }
    if (n < wanted) {
        std::cout << "the crowd is of " << n << " clients, not of " << wanted << '\n';
    }
    return n;
}

std::string events_for(std::size_t connections)
{
    return fmt::format("worker_connections {}; multi_accept on;", connections + spare / 2);
}

/// All clients send, then all receive. The server is paused while they send; otherwise it would
/// make one turn for each client, which is slow with a poller that checks all descriptors.
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

/// Connects clients in groups that fit into the queue of the listener.
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

/// Closes all clients at once, until this number of descriptors is left.
void leave(Server& server, std::vector<Client>& clients, std::size_t left)
{
    server.pause();
    clients.clear();
    server.resume();
    server.wait_for_descriptors(left);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(crowd)

BOOST_AUTO_TEST_CASE(ten_thousand_clients_are_served_while_half_of_them_are_idle)
{
    const std::size_t n = crowd_size(10'000, 1);
    const Port port;
    Server server({.stream = server_block(port, "echo; echo_timeout 1h;"),
                   .events = events_for(n),
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
    leave(server, busy, before + n / 2);
    BOOST_TEST_REQUIRE(all_echo(server, idle, 0));
    leave(server, idle, before);
    BOOST_TEST(server.descriptors() == before);
}

// With a poller that checks all descriptors in each turn the sessions are fewer, to save time. The
// upstream is a unix socket, because TCP does not have enough ports.
BOOST_AUTO_TEST_CASE(ten_thousand_proxied_sessions_are_idle_at_little_cost_and_then_busy)
{
    const std::map<std::string, std::size_t> wanted{{"epoll", 10'000},
                                                    {"iouring", 10'000},
                                                    {"poll", 2'000},
                                                    {"select", 200},
                                                    {"rtsig", 10'000}};
    const std::size_t n = crowd_size(wanted.at(setup().method), 2);
    const std::size_t measured = std::min(n, std::size_t{5'000});
    Server upstream({.stream = "server { listen unix:echo; echo; echo_timeout 1h; }\n",
                     .events = events_for(n),
                     .log_level = "notice"},
                    n + spare);
    const Port port;
    Server server({.stream = server_block(port, fmt::format("proxy_pass unix:{}; proxy_timeout 1h;",
                                                            (upstream.dir() / "echo").string())),
                   .events = events_for(2 * n),
                   .log_level = "notice"},
                  2 * n + spare);
    const std::size_t descriptors = server.descriptors();
    const std::size_t memory = memory_of(server.pid());

    std::vector<Client> clients;
    join(server, port, clients, measured);
    const std::size_t per_session = (memory_of(server.pid()) - memory) / measured;
    BOOST_TEST_MESSAGE(per_session << " bytes a session");
    BOOST_TEST((have_asan || n < 5'000 || per_session <= 3'400), per_session);
    join(server, port, clients, n);
    BOOST_TEST(server.descriptors() == descriptors + 2 * n);

    for (int round = 0; round < 2; ++round) {
        BOOST_TEST_REQUIRE(all_echo(server, clients, 0));
    }
    leave(server, clients, descriptors);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
