#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include <csignal>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "test/process/client.hpp"
#include "test/process/daemon.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// Returns a configuration with a UDP server.
ServerConf serving(const Port& port, const std::string& content, const std::string& parameters = "",
                   int workers = 0)
{
    return {.stream = server_block(port, content, "udp " + parameters),
            .events = "worker_connections 1024;",
            .workers = workers};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(udp)

BOOST_AUTO_TEST_CASE(reserved_ports_are_all_different)
{
    std::vector<Port> ports;
    std::set<std::uint16_t> numbers;
    for (int i = 0; i < 500; i++) {
        numbers.insert(ports.emplace_back(SOCK_DGRAM));
    }
    BOOST_TEST(numbers.size() == ports.size());
}

BOOST_AUTO_TEST_CASE(a_thousand_clients_of_one_socket_get_their_own_answers)
{
    const Port port(SOCK_DGRAM);
    Server server(serving(port, "echo; echo_timeout 500ms;"));
    const std::size_t before = server.descriptors();
    const auto clients = udp_clients_of(port, 1000);
    BOOST_TEST(count_echoes(clients, "hello") == clients.size());
    BOOST_TEST(server.descriptors() == before);
    BOOST_TEST(count_echoes(clients, "again") == clients.size());

    server.wait_for_log("udp timed out while echoing data, udp client: 127.0.0.1", clients.size());
    BOOST_TEST(server.descriptors() == before);
}

BOOST_AUTO_TEST_CASE(clients_beyond_the_slots_are_lost_and_the_others_served)
{
    const Port port(SOCK_DGRAM);
    ServerConf conf = serving(port, "echo; echo_timeout 300ms;");
    conf.events = "worker_connections 12;";
    Server server(conf);
    server.allow("12 worker_connections are not enough");
    const auto clients = udp_clients_of(port, 20);
    for (const UdpClient& client : clients) {
        client.send("hello");
    }
    server.wait_for_log("12 worker_connections are not enough");
    BOOST_TEST(clients.front().receive() == "hello");
    server.wait_for_log("udp timed out");
    BOOST_TEST(clients.front().ask("again") == "again");
}

BOOST_AUTO_TEST_CASE(a_text_is_returned_to_each_datagram)
{
    const Port port(SOCK_DGRAM);
    Server server(serving(port, "return $remote_addr;"));
    const std::size_t before = server.descriptors();
    const UdpClient client(port);
    for (int i = 0; i < 100; ++i) {
        BOOST_REQUIRE(client.ask("x") == "127.0.0.1");
    }
    BOOST_TEST(server.descriptors() == before);
}

BOOST_AUTO_TEST_CASE(a_wildcard_answers_from_the_address_that_was_written_to)
{
    const Port port(SOCK_DGRAM);
    Server server({.stream = fmt::format("server {{ listen {} udp; echo; }}", port.text())});
    for (const char* const address : {"127.0.0.1", "127.0.0.7", "127.1.2.3"}) {
        const UdpClient client(port, address);
        BOOST_TEST(client.ask(address) == address);
        BOOST_TEST(client.ask("again") == "again");
    }
}

BOOST_AUTO_TEST_CASE(workers_share_a_socket)
{
    for (const char* const events : {"accept_mutex off;", "accept_mutex on;"}) {
        const Port port(SOCK_DGRAM);
        ServerConf conf = serving(port, "return $remote_port;", "", 2);
        conf.events += events;
        Server server(conf);
        for (const UdpClient& client : udp_clients_of(port, 50)) {
            BOOST_TEST(client.ask("x") != "");
        }
    }
}

BOOST_AUTO_TEST_CASE(with_reuseport_a_client_stays_with_its_worker)
{
    const Port port(SOCK_DGRAM);
    Server server(serving(port, "return $pid;", "reuseport", 4));
    const auto clients = udp_clients_of(port, 200);
    std::map<std::string, int> answers;
    for (const UdpClient& client : clients) {
        const std::string worker = client.ask("x");
        ++answers[worker];
        BOOST_TEST(client.ask("y") == worker);
    }
    std::set<std::string> workers;
    for (const pid_t worker : server.workers()) {
        workers.insert(std::to_string(worker));
    }
    BOOST_TEST(answers.size() == 4);
    for (const auto& [worker, n] : answers) {
        BOOST_TEST(workers.count(worker) == 1);
        BOOST_TEST(n > 10);
    }
}

BOOST_AUTO_TEST_CASE(with_reuseport_a_thousand_clients_get_their_own_answers)
{
    const Port port(SOCK_DGRAM);
    Server server(serving(port, "echo;", "reuseport", 4));
    const auto clients = udp_clients_of(port, 1000);
    BOOST_TEST(count_echoes(clients, "hello") == clients.size());
    BOOST_TEST(count_echoes(clients, "again") == clients.size());
}

BOOST_AUTO_TEST_CASE(after_a_reload_the_sessions_of_the_old_workers_are_over)
{
    for (const std::string parameters : {"", "reuseport"}) {
        const Port port(SOCK_DGRAM);
        Server server(serving(port, "echo; echo_timeout 1h;", parameters, 2));
        const auto clients = udp_clients_of(port, 20);
        BOOST_TEST(count_echoes(clients, "old") == clients.size());

        server.reload(serving(port, "return new;", parameters, 2));
        // The old workers have nothing to wait for.
        wait_until("the old workers are gone",
                   [&] { return children_of(server.pid()).size() == 2; });
        for (const UdpClient& client : clients) {
            BOOST_TEST(client.ask("x") == "new");
        }
    }
}

BOOST_AUTO_TEST_CASE(in_one_process_sessions_go_on_over_a_reload)
{
    const Port port(SOCK_DGRAM);
    Server server(serving(port, "echo;"));
    const std::size_t before = server.descriptors();
    const UdpClient old_client(port);
    BOOST_TEST(old_client.ask("hello") == "hello");

    server.reload(serving(port, "return new;"));
    BOOST_TEST(UdpClient(port).ask("hello") == "new");
    BOOST_TEST(old_client.ask("again") == "again");
    BOOST_TEST(server.descriptors() >= before);
}

BOOST_AUTO_TEST_CASE(in_one_process_sessions_end_with_a_removed_listener)
{
    const Port removed(SOCK_DGRAM);
    const Port kept(SOCK_DGRAM);
    ServerConf conf = serving(removed, "echo; echo_timeout 1h;");
    const std::string removed_server = conf.stream;
    conf.stream += server_block(kept, "echo;", "udp");
    Server server(conf);
    const auto clients = udp_clients_of(removed, 10);
    BOOST_TEST(count_echoes(clients, "hello") == clients.size());
    const UdpClient client(kept);
    BOOST_TEST(client.ask("x") == "x");

    conf.stream = server_block(kept, "echo;", "udp");
    server.reload(conf);
    BOOST_TEST(client.ask("y") == "y");
}

BOOST_AUTO_TEST_CASE(a_graceful_stop_does_not_wait_for_silent_clients)
{
    for (const int workers : {0, 2}) {
        for (const char* const content : {"echo; echo_timeout 1h;", "discard;"}) {
            const Port port(SOCK_DGRAM);
            Server server(serving(port, content, "", workers));
            const auto clients = udp_clients_of(port, 10);
            for (const UdpClient& client : clients) {
                client.send("hello");
            }
            server.wait_for_log(" udp client 127.0.0.1:", clients.size());
            BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_new_binary_takes_the_socket_over)
{
    const Port port(SOCK_DGRAM);
    ServerConf conf = serving(port, "return $pid;", "", 1);
    conf.log_level = "notice";
    const Daemon daemon(conf);
    const UdpClient client(port);
    const std::string before = client.ask("x");

    const pid_t old = daemon.pid();
    const pid_t fresh = daemon.change_binary();
    wait_until("the new worker is there", [&] { return workers_of(fresh).size() == 1; });
    ::kill(old, SIGQUIT);
    wait_for_end(old);
    const std::string after = client.ask("x");
    BOOST_TEST(after != before);
    BOOST_TEST(after == std::to_string(workers_of(fresh).at(0)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
