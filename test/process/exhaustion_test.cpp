#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include <future>
#include <vector>

#include "test/process/client.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

using std::chrono::milliseconds;

constexpr int threads_n = 8;
constexpr int rounds = 20;

/// Returns whether an echo server serves a client completely.
bool is_served(const Port& port)
{
    const Client client(port);
    try {
        client.send("hello");
        client.finish();
        return client.receive_all() == "hello";
    } catch (const std::system_error&) {
        return false;
    }
}

/// Several threads connect clients one after another. Returns how many clients are served.
int served_under_load(const Port& port)
{
    std::vector<std::future<int>> threads;
    for (int i = 0; i < threads_n; ++i) {
        threads.push_back(std::async(std::launch::async, [&] {
            int served = 0;
            for (int round = 0; round < rounds; ++round) {
                served += is_served(port);
            }
            return served;
        }));
    }
    int served = 0;
    for (std::future<int>& thread : threads) {
        served += thread.get();
    }
    return served;
}

/// Returns clients that the server has accepted.
std::vector<Client> accepted_clients(const Port& port, std::size_t n)
{
    std::vector<Client> clients;
    for (std::size_t i = 0; i < n; ++i) {
        clients.emplace_back(port);
        BOOST_TEST_REQUIRE(clients.back().echo("hello") == "hello");
    }
    return clients;
}

void check_all_served(const std::vector<Client>& clients)
{
    for (const Client& client : clients) {
        BOOST_TEST(client.echo("still here") == "still here");
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(worker_connections)

// The listener and the channel for signals use two of the connections.
constexpr std::size_t room = 14;

ServerConf small_server(const Port& port)
{
    return {.stream = server_block(port, "echo;"), .events = "worker_connections 16;"};
}

BOOST_AUTO_TEST_CASE(excess_clients_are_closed_until_others_leave)
{
    const Port port;
    Server server(small_server(port));
    server.allow("16 worker_connections are not enough");
    const std::size_t before = server.descriptors();
    std::vector<Client> clients = accepted_clients(port, room);

    for (std::size_t i = 1; i <= 3; ++i) {
        BOOST_TEST(Client(port).until_closed() == "");
        server.wait_for_log(fmt::format("[alert] {0}#{0}: 16 worker_connections are not enough "
                                        "while accepting new connection on {1}\n",
                                        server.pid(), port.at("127.0.0.1")),
                            i);
    }
    check_all_served(clients);

    clients.erase(clients.begin(), clients.begin() + 3);
    server.wait_for_descriptors(before + room - 3);
    const std::vector<Client> later = accepted_clients(port, 3);
    check_all_served(clients);
    BOOST_TEST(count(server.log(), "not enough") == 3U);
}

BOOST_AUTO_TEST_CASE(it_recovers_from_a_rush_of_clients)
{
    const Port port;
    Server server(small_server(port));
    server.allow("16 worker_connections are not enough");
    const std::size_t before = server.descriptors();
    std::vector<Client> clients = accepted_clients(port, room);

    BOOST_TEST(served_under_load(port) == 0);
    BOOST_TEST(count(server.log(), "not enough") == std::size_t{threads_n * rounds});
    check_all_served(clients);
    clients.clear();
    server.wait_for_descriptors(before);

    BOOST_TEST(served_under_load(port) == threads_n * rounds);
    BOOST_TEST(count(server.log(), "not enough") == std::size_t{threads_n * rounds});
    server.wait_for_descriptors(before);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(descriptors)

constexpr std::size_t open_files = 32;
const std::string refused = "accept4() failed";
const std::string too_many = refused + " (24: Too many open files)";

ServerConf patient_server(const Port& port, milliseconds delay)
{
    return {.stream = server_block(port, "echo;"),
            .events =
                fmt::format("worker_connections 64; accept_mutex_delay {}ms;", delay.count())};
}

BOOST_AUTO_TEST_CASE(without_descriptors_clients_wait_and_the_server_does_not_spin)
{
    constexpr milliseconds delay(100);
    constexpr int periods = 10;
    const Port port;
    Server server(patient_server(port, delay), open_files);
    server.allow(refused);
    std::vector<Client> clients = accepted_clients(port, open_files - server.descriptors());

    std::vector<Client> waiting;
    for (int i = 0; i < 5; ++i) {
        waiting.emplace_back(port);
        waiting.back().send("hello");
    }
    server.wait_for_log(fmt::format("[crit] {0}#{0}: {1}", server.pid(), too_many));
    const auto start = Clock::now();
    const milliseconds cpu = server.cpu_time();
    const std::size_t before = server.waits();
    wait_until("ten periods are over", [&] { return server.waits() >= before + periods; });
    BOOST_TEST((Clock::now() - start >= delay * (periods - 1)));
    BOOST_TEST((server.cpu_time() - cpu <= delay * periods / 5));
    check_all_served(clients);

    clients.erase(clients.begin(), clients.begin() + 5);
    for (const Client& client : waiting) {
        BOOST_TEST(client.receive(5) == "hello");
    }
    BOOST_TEST(server.descriptors() == open_files);
}

BOOST_AUTO_TEST_CASE(every_client_of_a_rush_is_served_in_its_turn)
{
    const Port port;
    Server server(patient_server(port, milliseconds(20)), open_files);
    server.allow(refused);
    const std::size_t before = server.descriptors();
    std::vector<Client> clients = accepted_clients(port, open_files - before);

    auto served = std::async(std::launch::async, [&] { return served_under_load(port); });
    server.wait_for_log(too_many);
    clients.erase(clients.begin(), clients.begin() + 2);
    BOOST_TEST(served.get() == threads_n * rounds);
    server.wait_for_descriptors(open_files - 2);
    check_all_served(clients);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
