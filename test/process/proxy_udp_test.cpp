// The proxy of datagrams between real servers and real clients.

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "test/process/client.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

constexpr int names_n = 100;

std::string name_of(int i)
{
    return fmt::format("host{}.test", i);
}

std::string address_of(int i)
{
    return fmt::format("10.0.{}.{}", i / 100, i % 100);
}

/// A port that is free for both.
struct Ports {
    Port udp;
    Port tcp;
};

Ports free_ports()
{
    for (;;) {
        Port udp(SOCK_DGRAM);
        try {
            Port tcp(SOCK_STREAM, udp);
            return {std::move(udp), std::move(tcp)};
        } catch (const std::system_error&) {
            continue;  // somebody has it
        }
    }
}

/// A server that knows some names, over UDP and over TCP.
class Dnsmasq {
public:
    Dnsmasq()
    {
        std::vector<std::string> argv = {
            "dnsmasq",           "--no-daemon", "--conf-file=/dev/null",
            "--port=" + text(),  "--no-resolv", "--listen-address=127.0.0.1",
            "--bind-interfaces", "--no-hosts",  "--local=/test/"};
        for (int i = 0; i < names_n; ++i) {
            argv.push_back(fmt::format("--address=/{}/{}", name_of(i), address_of(i)));
        }
        child_.emplace(std::move(argv));
        wait_for_text(child_->err_path(), "started, version", patience(), 1, &*child_);
    }

    [[nodiscard]] std::string text() const { return ports_.udp.text(); }

private:
    Ports ports_ = free_ports();
    std::optional<Child> child_;
};

/// What dig is told when it asks for all names, each in its own exchange.
std::string dig(const Port& port, const std::vector<std::string>& options = {})
{
    std::vector<std::string> argv = {"dig", "-r", "@127.0.0.1", "-p", port.text()};
    argv.insert(argv.end(), {"+short", "+tries=1", "+timeout=30"});
    argv.insert(argv.end(), options.begin(), options.end());
    for (int i = 0; i < names_n; ++i) {
        argv.push_back(name_of(i));
    }
    return run(argv, {}, std::chrono::seconds(60)).out;
}

/// The addresses of all names.
std::string all_addresses()
{
    std::string text;
    for (int i = 0; i < names_n; ++i) {
        text += address_of(i) + "\n";
    }
    return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(proxy_udp)

BOOST_AUTO_TEST_CASE(dig_is_answered_by_the_dns_server_behind_the_proxy,
                     *precondition(dns_is_there))
{
    const Dnsmasq dns;
    const Port port(SOCK_DGRAM);
    const std::string pass = fmt::format("proxy_pass 127.0.0.1:{}; proxy_responses 1;", dns.text());
    Server server({.stream = server_block(port, pass, "udp"), .events = "worker_connections 16;"});
    const std::size_t before = server.descriptors();
    BOOST_TEST(dig(port) == all_addresses());
    // Each session was over with its answer, and none had to wait.
    BOOST_TEST(server.descriptors() == before);
    BOOST_TEST(count(server.log(), "udp done, packets from/to client:1/1, ") == names_n);
}

BOOST_AUTO_TEST_CASE(dig_asks_over_tcp_as_well, *precondition(dns_is_there))
{
    const Dnsmasq dns;
    const Port port;
    Server server(
        {.stream = server_block(port, fmt::format("proxy_pass 127.0.0.1:{};", dns.text()))});
    BOOST_TEST(dig(port, {"+tcp"}) == all_addresses());
    BOOST_TEST(dig(port, {"+tcp", "+keepopen"}) == all_addresses());
}

BOOST_AUTO_TEST_CASE(each_of_a_thousand_clients_gets_its_own_answers)
{
    // A session has three slots here, for the client, the upstream and the upstream's client, and
    // select() has 1024 in all.
    const std::size_t n = setup().method == "select" ? 300 : 1000;
    const Port port(SOCK_DGRAM);
    const Port behind(SOCK_DGRAM);
    Server server(
        {.stream =
             server_block(port, fmt::format("proxy_pass 127.0.0.1:{};", behind.text()), "udp") +
             server_block(behind, "echo;", "udp"),
         .events = fmt::format("worker_connections {};", 3 * n + 16)},
        2048);
    const std::size_t before = server.descriptors();
    const auto clients = udp_clients_of(port, n);
    BOOST_TEST(count_echoes(clients, "hello") == n);
    BOOST_TEST(server.descriptors() == before + n);
    BOOST_TEST(count_echoes(clients, "again") == n);
    BOOST_TEST(server.descriptors() == before + n);
    BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
}

BOOST_AUTO_TEST_CASE(sessions_that_are_silent_end)
{
    const Port port(SOCK_DGRAM);
    const Port behind(SOCK_DGRAM);
    const std::string pass =
        fmt::format("proxy_pass 127.0.0.1:{}; proxy_timeout 500ms;", behind.text());
    Server server({.stream = server_block(port, pass, "udp") + server_block(behind, "echo;", "udp"),
                   .events = "worker_connections 512;"});
    const std::size_t before = server.descriptors();
    const auto clients = udp_clients_of(port, 100);
    BOOST_TEST(count_echoes(clients, "hello") == clients.size());
    server.wait_for_log("udp timed out, packets from/to client:1/1, ", clients.size());
    server.wait_for_descriptors(before);
    BOOST_TEST(count_echoes(clients, "again") == clients.size());
}

BOOST_AUTO_TEST_CASE(after_a_reload_the_sessions_of_the_old_workers_are_over)
{
    const Port port(SOCK_DGRAM);
    const Port behind(SOCK_DGRAM);
    const auto conf = [&](std::string_view content) {
        const std::string pass =
            fmt::format("proxy_pass 127.0.0.1:{}; proxy_timeout 1h;", behind.text());
        return ServerConf{.stream = server_block(port, pass, "udp") +
                                    server_block(behind, content, "udp"),
                          .events = "worker_connections 512;",
                          .workers = 2};
    };
    Server server(conf("echo; echo_timeout 1h;"));
    const auto clients = udp_clients_of(port, 20);
    BOOST_TEST(count_echoes(clients, "old") == clients.size());

    server.reload(conf("return new;"));
    wait_until("the old workers are gone", [&] { return children_of(server.pid()).size() == 2; });
    for (const UdpClient& client : clients) {
        BOOST_TEST(client.ask("x") == "new");
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
