// The UDP proxy between real servers and real clients.

#include <cerrno>
#include <chrono>
#include <csignal>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
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

/// A port that is free for both TCP and UDP.
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
            continue;  // in use
        }
    }
}

/// A DNS server for some names, over UDP and TCP.
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

/// Returns dig's output for all names, each in a separate exchange.
std::string dig(const Port& port, const std::vector<std::string>& options = {})
{
    std::vector<std::string> argv = {"dig", "-r", "@127.0.0.1", "-p", port.text()};
    argv.insert(argv.end(), {"+short", "+tries=1", "+timeout=30"});
    argv.insert(argv.end(), options.begin(), options.end());
    for (int i = 0; i < names_n; ++i) {
        argv.push_back(name_of(i));
    }
    return run(argv).out;
}

/// Receives the proxy's datagrams, and answers when answer() is called.
class Service {
public:
    Service()
    {
        const int on = 1;
        const timeval limit{.tv_sec = 60, .tv_usec = 0};
        sockaddr_in sa{};
        sa.sin_family = AF_INET;
        sa.sin_port = htons(port_);
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        BOOST_TEST_REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&sa), sizeof(sa)) ==
                           0);
    }

    [[nodiscard]] std::string address() const { return port_.at("127.0.0.1"); }

    /// Receives this number of further requests.
    void receive(std::size_t n)
    {
        for (; n > 0; n--) {
            Request& r = requests_.emplace_back();
            const ssize_t size = ::recvfrom(fd_.get(), r.text.data(), r.text.size(), 0,
                                            reinterpret_cast<sockaddr*>(&r.from), &r.len);
            BOOST_TEST_REQUIRE(size >= 0);
            r.text.resize(static_cast<std::size_t>(size));
        }
    }

    /// Sends back the received requests.
    void answer()
    {
        for (const Request& r : std::exchange(requests_, {})) {
            BOOST_TEST(::sendto(fd_.get(), r.text.data(), r.text.size(), 0,
                                reinterpret_cast<const sockaddr*>(&r.from),
                                r.len) == static_cast<ssize_t>(r.text.size()));
        }
    }

private:
    struct Request {
        std::string text = std::string(100, ' ');
        sockaddr_in from{};
        socklen_t len = sizeof(sockaddr_in);
    };

    Port port_{SOCK_DGRAM};
    Fd fd_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    std::vector<Request> requests_;
};

/// Clients whose requests are not answered yet.
struct Waiting {
    Waiting(const Port& port, Service& service) : clients(udp_clients_of(port, 20))
    {
        for (std::size_t i = 0; i < clients.size(); ++i) {
            clients[i].send(fmt::format("request {}", i));
        }
        service.receive(clients.size());
    }

    [[nodiscard]] std::size_t answered() const
    {
        std::size_t right = 0;
        for (std::size_t i = 0; i < clients.size(); ++i) {
            right += clients[i].receive() == fmt::format("request {}", i);
        }
        return right;
    }

    std::vector<UdpClient> clients;
};

/// Returns whether the system reports that no socket has the port of a datagram.
bool udp_is_refused(const Port& port)
{
    const UdpClient client(port);
    try {
        client.send("x");
        client.send("x");
    } catch (const std::system_error& e) {
        return e.code().value() == ECONNREFUSED;
    }
    return false;
}

/// Returns the addresses of all names.
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
    // Each session ended with its answer.
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
    // A session uses three slots here, for the client, the upstream and the upstream's client, and
    // select() has 1024 in total.
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

BOOST_AUTO_TEST_CASE(requests_under_way_over_a_reload_are_answered)
{
    for (const char* const listen : {"udp", "udp reuseport"}) {
        for (const int workers : {0, 2}) {
            BOOST_TEST_CONTEXT(listen << " with " << workers << " workers")
            {
                const Port port(SOCK_DGRAM);
                Service service;
                const ServerConf conf{
                    .stream = server_block(port, fmt::format("proxy_pass {};", service.address()),
                                           listen),
                    .workers = workers};
                Server server(conf);
                const Waiting old(port, service);
                server.reload(conf);
                const Waiting fresh(port, service);
                service.answer();
                BOOST_TEST(old.answered() == 20);
                BOOST_TEST(fresh.answered() == 20);
                const auto processes = static_cast<std::size_t>(workers);
                wait_until("the old workers are gone",
                           [&] { return children_of(server.pid()).size() == processes; });
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_worker_that_waits_for_answers_takes_no_datagrams_from_the_new_ones)
{
    const Port port(SOCK_DGRAM);
    Service service;
    Server server({.stream = server_block(port, fmt::format("proxy_pass {};", service.address()),
                                          "udp reuseport"),
                   .workers = 4});
    const Waiting old(port, service);
    server.reload({.stream = server_block(port, "return new;", "udp reuseport"), .workers = 1});
    server.wait_for_log("gracefully shutting down", 4);
    for (const UdpClient& client : udp_clients_of(port, 50)) {
        BOOST_TEST(client.ask("x") == "new");
    }
    service.answer();
    BOOST_TEST(old.answered() == 20);
}

BOOST_AUTO_TEST_CASE(a_server_that_quits_answers_pending_requests_and_refuses_others)
{
    for (const int workers : {0, 2}) {
        const Port port(SOCK_DGRAM);
        Service service;
        Server server(
            {.stream = server_block(port, fmt::format("proxy_pass {};", service.address()), "udp"),
             .workers = workers});
        const Waiting old(port, service);
        server.signal(SIGQUIT);
        server.wait_for_log("gracefully shutting down", workers == 0 ? 1 : 2);
        wait_until("datagrams are refused", [&] { return udp_is_refused(port); });
        service.answer();
        BOOST_TEST(old.answered() == 20);
        BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
    }
}

BOOST_AUTO_TEST_CASE(answers_that_never_come_are_waited_for_until_the_shutdown_timeout)
{
    const Port port(SOCK_DGRAM);
    Service service;
    const ServerConf conf{
        .stream = server_block(port, fmt::format("proxy_pass {};", service.address()), "udp"),
        .main = "worker_shutdown_timeout 300ms;",
        .workers = 1};
    Server server(conf);
    const Waiting old(port, service);
    server.reload(conf);
    server.wait_for_log("disconnected on shutdown", 20);
    const std::string_view gone = "generation 1 is gone: its last worker ended ";
    server.wait_for_log(gone);
    const std::string log = server.log();
    BOOST_TEST(std::stoi(log.substr(log.find(gone) + gone.size())) >= 250);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
