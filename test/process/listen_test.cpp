#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <csignal>
#include <system_error>
#include <vector>

#include "test/process/client.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// Returns a `server {}` at any address, with a text that identifies it.
std::string named_server(const std::string& listen, const std::string& name)
{
    return fmt::format("    server {{ listen {}; return '{} $server_addr'; }}\n", listen, name);
}

/// Returns the number of clients that the queue of a server accepts while the server accepts none.
std::size_t waiting_clients(Server& server, const Port& port)
{
    constexpr int clients_n = 24;
    constexpr int quiet_ms = 200;
    server.pause();
    std::vector<Fd> clients;
    std::vector<pollfd> entries;
    for (int i = 0; i < clients_n; ++i) {
        clients.push_back(begin_connect(port));
        entries.push_back({.fd = clients.back().get(), .events = POLLOUT, .revents = 0});
    }
    // A client for which the queue has no room gets no answer, so no event can be awaited.
    ::poll(nullptr, 0, quiet_ms);
    const int ready = ::poll(entries.data(), entries.size(), 0);
    server.resume();
    return static_cast<std::size_t>(ready);
}

/// Duplicates the server's listening socket of the port.
Fd listening_socket(Server& server, const Port& port)
{
    for (const auto& entry : std::filesystem::directory_iterator(server.proc("fd"))) {
        Fd fd = steal_descriptor(server.child(), std::stoi(entry.path().filename()));
        int listens = 0;
        socklen_t length = sizeof(listens);
        ::getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &length);
        if (listens != 0 && bound_port(fd.get()) == port) {
            return fd;
        }
    }
    fail("the server does not listen on " + port.text());
}

int option(const Fd& socket, int level, int name)
{
    int value = 0;
    socklen_t length = sizeof(value);
    if (::getsockopt(socket.get(), level, name, &value, &length) == -1) {
        fail("getsockopt()");
    }
    return value;
}

void check_keepalive(const Fd& socket, int idle, int interval, int times)
{
    BOOST_TEST(option(socket, SOL_SOCKET, SO_KEEPALIVE) == 1);
    BOOST_TEST(option(socket, IPPROTO_TCP, TCP_KEEPIDLE) == idle);
    BOOST_TEST(option(socket, IPPROTO_TCP, TCP_KEEPINTVL) == interval);
    BOOST_TEST(option(socket, IPPROTO_TCP, TCP_KEEPCNT) == times);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(listen)

BOOST_AUTO_TEST_CASE(servers_on_one_port_have_their_own_address)
{
    const Port port;
    Server server({.stream = named_server(port.at("127.0.0.1"), "one") +
                             named_server(port.at("127.0.0.2"), "two")});
    BOOST_TEST(ask(port, "127.0.0.1") == "one 127.0.0.1");
    BOOST_TEST(ask(port, "127.0.0.2") == "two 127.0.0.2");
    BOOST_CHECK_THROW(ask(port, "127.0.0.3"), std::system_error);
}

BOOST_AUTO_TEST_CASE(the_wildcard_serves_addresses_without_a_server)
{
    const Port port;
    // With reuseport each address has its own socket; without it the wildcard's socket serves both.
    for (const char* const option : {"", " reuseport"}) {
        Server server({.stream = named_server(port.text() + option, "any") +
                                 named_server(port.at("127.0.0.1") + option, "one")});
        BOOST_TEST(ask(port, "127.0.0.1") == "one 127.0.0.1", option);
        BOOST_TEST(ask(port, "127.0.0.2") == "any 127.0.0.2", option);
    }
}

BOOST_AUTO_TEST_CASE(the_wildcard_of_ipv6_may_serve_both_families, *precondition(ipv6_is_there))
{
    const Port port;
    Server server({.stream = named_server(port.at("[::]") + " ipv6only=off", "both")});
    BOOST_TEST(ask(port, "::1") == "both ::1");
    BOOST_TEST(ask(port, "127.0.0.1") == "both ::ffff:127.0.0.1");
}

BOOST_AUTO_TEST_CASE(the_wildcard_of_ipv6_leaves_ipv4_alone, *precondition(ipv6_is_there))
{
    const Port port;
    Server server({.stream = named_server(port.at("[::]"), "six")});
    BOOST_TEST(ask(port, "::1") == "six ::1");
    BOOST_TEST(connect_error(port) == ECONNREFUSED);
}

BOOST_AUTO_TEST_CASE(default_server_answers_for_a_shared_address)
{
    const Port port;
    Server server({.stream = named_server(port.at("127.0.0.1"), "first") +
                             named_server(port.at("127.0.0.1") + " default_server", "second")});
    BOOST_TEST(ask(port) == "second 127.0.0.1");
}

BOOST_AUTO_TEST_CASE(a_unix_socket_is_for_all_users_and_is_deleted_at_the_end)
{
    Server server({.stream = "server { listen unix:socket; echo; }"});
    const std::filesystem::path path = server.dir() / "socket";
    BOOST_TEST(Client(path).echo("hello") == "hello");
    const auto mode = std::filesystem::status(path).permissions() & std::filesystem::perms::all;
    BOOST_TEST((mode == std::filesystem::perms(0666)));

    BOOST_TEST(server.stop(SIGTERM).exited_with(0));
    BOOST_TEST(!std::filesystem::exists(path));
}

BOOST_AUTO_TEST_CASE(options_reach_the_socket, *precondition(descriptors_can_be_seen))
{
    const Port port;
    Server server({.stream = server_block(port, "echo;",
                                          "rcvbuf=64k sndbuf=32k so_keepalive=30:10:5 deferred "
                                          "reuseport fastopen=8")});
    const Fd socket = listening_socket(server, port);
    // The kernel doubles the size.
    BOOST_TEST(option(socket, SOL_SOCKET, SO_RCVBUF) == 128 * 1024);
    BOOST_TEST(option(socket, SOL_SOCKET, SO_SNDBUF) == 64 * 1024);
    check_keepalive(socket, 30, 10, 5);
    BOOST_TEST(option(socket, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
    BOOST_TEST(option(socket, SOL_SOCKET, SO_REUSEPORT) == 1);
    BOOST_TEST(option(socket, IPPROTO_TCP, TCP_FASTOPEN) == 8);
}

BOOST_AUTO_TEST_CASE(a_reload_changes_the_options_of_a_socket_that_stays,
                     *precondition(descriptors_can_be_seen))
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "echo;")};
    Server server(conf);
    const Fd socket = listening_socket(server, port);
    BOOST_TEST(option(socket, SOL_SOCKET, SO_REUSEPORT) == 0);
    BOOST_TEST(option(socket, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 0);

    conf.stream = server_block(port, "echo;", "so_keepalive=20:7:3 deferred reuseport");
    server.reload(conf);
    check_keepalive(socket, 20, 7, 3);
    BOOST_TEST(option(socket, SOL_SOCKET, SO_REUSEPORT) == 1);
    BOOST_TEST(option(socket, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);

    conf.stream = server_block(port, "echo;", "so_keepalive=off");
    server.reload(conf);
    BOOST_TEST(option(socket, SOL_SOCKET, SO_KEEPALIVE) == 0);
    BOOST_TEST(option(socket, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 0);
    BOOST_TEST(Client(port).echo("hello") == "hello");
}

BOOST_AUTO_TEST_CASE(the_backlog_is_how_many_may_wait)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "return hello;", "backlog=4")};
    Server server(conf);
    BOOST_TEST(waiting_clients(server, port) == 5U);
    // When a later client is answered, the queue is empty.
    BOOST_TEST(ask(port) == "hello");

    conf.stream = server_block(port, "return hello;", "backlog=16");
    server.reload(conf);
    BOOST_TEST(waiting_clients(server, port) == 17U);
}

BOOST_AUTO_TEST_CASE(a_deferred_listener_waits_for_data)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;", "deferred")});
    const Client silent(port);
    const Client talks(port);
    BOOST_TEST(talks.echo("hello") == "hello");
    BOOST_TEST(count(server.log(), "connected to") == 1U);
    BOOST_TEST(silent.echo("me too") == "me too");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
