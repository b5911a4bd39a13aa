// Tests only for rtsig; the other suites run with it as with each event method.

#include <csignal>
#include <deque>
#include <fcntl.h>
#include <string>
#include <sys/resource.h>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "test/process/client.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// Limits the number of queued signals. The kernel counts those of all processes of the user.
void limit_signals(pid_t pid, rlim_t most)
{
    const rlimit limit{.rlim_cur = most, .rlim_max = most};
    BOOST_TEST_REQUIRE(::prlimit(pid, RLIMIT_SIGPENDING, &limit, nullptr) == 0);
}

/// Sends while the server is paused, so that each client's signal is queued.
void ask_at_once(Server& server, const std::deque<Client>& clients, const std::string& text)
{
    server.pause();
    for (const Client& client : clients) {
        client.send(text);
    }
    server.resume();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rtsig, *precondition(method_is_rtsig))

BOOST_AUTO_TEST_CASE(nothing_is_lost_when_the_queue_of_signals_overflows)
{
    const Port echo;
    const Port proxy;
    Server server({.stream = server_block(echo, "echo;") +
                             server_block(proxy, "proxy_pass 127.0.0.1:" + echo.text() + ";"),
                   .events = "worker_connections 512;"});
    limit_signals(server.pid(), 4);
    std::deque<Client> clients;
    for (int i = 0; i < 50; i++) {
        clients.emplace_back(echo);
        clients.emplace_back(proxy);
    }
    for (const Client& client : clients) {
        BOOST_TEST(client.echo("all are accepted") == "all are accepted");
    }
    for (int round = 1; round <= 5; round++) {
        const std::string text = fmt::format("round {}", round);
        ask_at_once(server, clients, text);
        for (const Client& client : clients) {
            BOOST_TEST(client.receive(text.size()) == text);
        }
        server.wait_for_log("rt signal queue overflowed", static_cast<std::size_t>(round));
    }
    server.reload({.stream = server_block(echo, "echo;") +
                             server_block(proxy, "proxy_pass 127.0.0.1:" + echo.text() + ";"),
                   .events = "worker_connections 512;"});
    for (const Client& client : clients) {
        BOOST_TEST(client.echo("after a reload") == "after a reload");
    }
}

BOOST_AUTO_TEST_CASE(a_server_without_a_place_for_any_signal_serves)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    limit_signals(server.pid(), 0);
    const std::string text = long_text(100'000);
    for (int i = 0; i < 10; i++) {
        BOOST_TEST((Client(port).echo(text) == text));
    }
}

BOOST_AUTO_TEST_CASE(descriptors_may_be_greater_than_was_expected)
{
    const Port port;
    std::deque<Fd> inherited;
    for (int i = 0; i < 3000; i++) {
        inherited.emplace_back(::open("/dev/null", O_RDONLY));
    }
    Server server({.stream = server_block(port, "echo;")}, 8192);
    BOOST_TEST_REQUIRE(server.descriptors() > inherited.size());
    std::deque<Client> clients;
    for (int i = 0; i < 20; i++) {
        clients.emplace_back(port);
    }
    for (const Client& client : clients) {
        BOOST_TEST(client.echo("hello") == "hello");
    }
}

BOOST_AUTO_TEST_CASE(each_real_time_signal_works)
{
    for (const int signo : {SIGRTMIN, SIGRTMAX}) {
        const Port port;
        Server server({.stream = server_block(port, "echo;"),
                       .events = fmt::format("worker_connections 64; rtsig_signo {};", signo)});
        BOOST_TEST(Client(port).echo("hello") == "hello");
    }
}

BOOST_AUTO_TEST_CASE(a_number_that_is_no_real_time_signal_is_refused_with_its_line)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    for (const int signo : {0, SIGIO, SIGRTMIN - 1, SIGRTMAX + 1}) {
        server.reload_refused(fmt::format("events {{\n  rtsig_signo {};\n}}\n", signo),
                              fmt::format("value must be between {} and "
                                          "{} in {}:2",
                                          SIGRTMIN, SIGRTMAX, server.conf_path().string()));
    }
    server.reload_refused("events {\n  rtsig_signo many;\n}\n",
                          "\"rtsig_signo\" directive invalid number in " +
                              server.conf_path().string() + ":2");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
