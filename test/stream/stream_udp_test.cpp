// Tests of UDP sessions: all clients of a listener are answered through its one socket.

#include <cerrno>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/buf.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_counters.hpp"
#include "event/event_timer.hpp"
#include "event/event_udp.hpp"
#include "stream/stream.hpp"
#include "test/stream/hooks_module.hpp"
#include "test/stream/server.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// Returns a UDP server with this content.
std::string serving(const std::string& content, const std::string& address = "127.0.0.1:PORT")
{
    return "server { listen " + address + " udp; " + content + " }";
}

/// A session whose client has sent "first".
struct Begun {
    explicit Begun(const std::string& content) : server(serving(content)) {}

    [[nodiscard]] Msec timer() const { return c.read->timer_key - current_msec; }

    /// Sends a text and returns the datagram that the client receives.
    [[nodiscard]] std::string answer_to(const std::string& text) const
    {
        return server.serve([&] {
            client.send(text);
            return client.receive_datagram();
        });
    }

    /// Whether the text has been logged.
    [[nodiscard]] bool logged(const std::string& text) const
    {
        return contains(server.shorten(server.log()), text);
    }

    Server server;
    Client client = server.connect();
    Connection& c = begin();
    StreamSession& s = *static_cast<StreamSession*>(c.data);

private:
    Connection& begin() const
    {
        client.send("first");
        return server.accepted();
    }
};

/// Sends an empty datagram.
void send_nothing(const Client& client)
{
    BOOST_TEST(::send(client.fd(), "", 0, 0) == 0);
}

/// Sends to the server from the server's own port. It receives nothing, because it is connected to
/// another port.
class Forger {
public:
    explicit Forger(const Server& server, in_addr_t address = INADDR_LOOPBACK)
    {
        const int on = 1;
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        to_.sin_family = AF_INET;
        to_.sin_port = htons(server.port);
        to_.sin_addr.s_addr = htonl(address);
        BOOST_REQUIRE_EQUAL(::bind(fd_.get(), address_of(to_), sizeof(to_)), 0);
        to_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sockaddr_in nobody = to_;
        nobody.sin_port = htons(9);
        BOOST_REQUIRE_EQUAL(::connect(fd_.get(), address_of(nobody), sizeof(nobody)), 0);
    }

    void send(std::string_view text) const
    {
        BOOST_TEST(::sendto(fd_.get(), text.data(), text.size(), 0, address_of(to_), sizeof(to_)) ==
                   static_cast<ssize_t>(text.size()));
    }

private:
    static const sockaddr* address_of(const sockaddr_in& sa)
    {
        return reinterpret_cast<const sockaddr*>(&sa);
    }

    Fd fd_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_in to_{};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_udp)

BOOST_AUTO_TEST_CASE(a_text_is_returned_to_each_datagram)
{
    const Server server(serving("return $remote_addr;"));
    const Client client = server.connect();
    for (int i = 0; i < 3; i++) {
        client.send("hello");
        server.accept();
        BOOST_TEST(client.receive_datagram() == "127.0.0.1");
        BOOST_TEST(server.connections().empty());
    }
}

BOOST_AUTO_TEST_CASE(each_client_gets_its_own_answer)
{
    const Server server(serving("return $remote_port;"));
    std::vector<Client> clients;
    for (int i = 0; i < 20; i++) {
        clients.push_back(server.connect());
        clients.back().send("hello");
    }
    for (const Client& client : clients) {
        SockaddrUnion sa{};
        socklen_t len = sizeof(sa);
        ::getsockname(client.fd(), &sa.any, &len);
        BOOST_TEST(server.serve([&] { return client.receive_datagram(); }) ==
                   std::to_string(inet_get_port(&sa.any)));
    }
}

BOOST_AUTO_TEST_CASE(a_text_of_nothing_is_not_returned)
{
    hooks.variables = {
        {"nothing", [](StreamSession&, std::uintptr_t) { return std::string_view(); }}};
    const Server server(serving("return $nothing;"));
    const Client client = server.connect();
    client.send("hello");
    server.accept();
    server.finish();
    char byte = 0;
    BOOST_TEST(::recv(client.fd(), &byte, 1, MSG_DONTWAIT) == -1);
}

BOOST_AUTO_TEST_CASE(a_text_for_a_full_socket_is_sent_after_a_delay,
                     *boost::unit_test::precondition(sends_by_calls))
{
    const Server server(serving("return hello;"));
    const Client client = server.connect();
    const FakeCall sendmsg(Call::sendmsg, {.err = EAGAIN});
    client.send("x");
    server.accept();
    BOOST_TEST(server.connections().size() == 1);
    server.finish();
    BOOST_TEST(sendmsg.calls() == 2);
    BOOST_TEST(client.receive_datagram() == "hello");
}

BOOST_AUTO_TEST_CASE(a_text_for_a_socket_that_stays_full_is_dropped,
                     *boost::unit_test::precondition(sends_by_calls))
{
    const Server server(serving("return hello;"));
    const Client client = server.connect();
    const FakeCall sendmsg(Call::sendmsg, {.err = EAGAIN}, FakeCall::always);
    client.send("x");
    const Connection& c = server.accepted();
    Server::pass(c.write->timer_key - current_msec);
    BOOST_TEST(server.connections().empty());
    BOOST_TEST(contains(server.log(), "connection timed out (110: Connection timed out) while "
                                      "returning text, udp client: 127.0.0.1, server: "));
}

BOOST_AUTO_TEST_CASE(a_failure_to_send_ends_the_session,
                     *boost::unit_test::precondition(sends_by_calls))
{
    for (const char* const content : {"return hello;", "echo;"}) {
        const Server server(serving(content));
        const Client client = server.connect();
        const FakeCall sendmsg(Call::sendmsg, {.err = ENETUNREACH});
        client.send("x");
        server.accept();
        server.finish();
        BOOST_TEST(contains(server.log(), "[info]"));
        BOOST_TEST(contains(server.log(), "sendmsg() failed (101: Network is unreachable) while "));
    }
}

BOOST_AUTO_TEST_CASE(a_session_that_begins_is_logged_as_one_of_udp)
{
    const auto number = connection_counter->load();
    const Begun begun("hold;");
    SockaddrUnion sa{};
    socklen_t len = sizeof(sa);
    ::getsockname(begun.client.fd(), &sa.any, &len);
    BOOST_TEST(begun.logged(fmt::format("*{} udp client 127.0.0.1:{} connected to 127.0.0.1:PORT\n",
                                        number, inet_get_port(&sa.any))));
}

BOOST_AUTO_TEST_CASE(a_line_about_a_session_names_udp)
{
    const Begun begun("hold;");
    begun.c.log->action = "testing";
    log_error(log_warn, begun.c.log, 0, "it failed");
    BOOST_TEST(begun.logged("it failed while testing, udp client: 127.0.0.1, "
                            "server: 127.0.0.1:PORT\n"));
}

BOOST_AUTO_TEST_CASE(the_first_datagram_is_in_the_buffer_and_counted)
{
    const Begun begun("hold;");
    BOOST_TEST(begun.s.received == 5);
    BOOST_TEST(std::string(begun.c.buffer->pos, begun.c.buffer->last) == "first");
}

BOOST_AUTO_TEST_CASE(each_datagram_is_sent_back)
{
    const Begun begun("echo;");
    BOOST_TEST(begun.client.receive_datagram() == "first");
    BOOST_TEST(begun.answer_to("second") == "second");
    BOOST_TEST(begun.answer_to("third") == "third");
    BOOST_TEST(begun.s.received == 16);
    BOOST_TEST(begun.c.sent == 16);
    BOOST_TEST(begun.server.connections().size() == 1);
}

BOOST_AUTO_TEST_CASE(an_empty_datagram_is_sent_back)
{
    const Begun begun("echo;");
    BOOST_TEST(begun.client.receive_datagram() == "first");
    BOOST_TEST(begun.server.serve([&] {
        send_nothing(begun.client);
        return begun.client.receive_datagram();
    }) == "");

    const Client other = begun.server.connect();
    send_nothing(other);
    BOOST_TEST(begun.server.serve([&] { return other.receive_datagram(); }) == "");
}

BOOST_AUTO_TEST_CASE(the_largest_datagram_is_sent_back_whole)
{
    const Begun begun("echo; echo_buffer_size 1;");
    BOOST_TEST(begun.client.receive_datagram() == "first");
    const std::string text(65'507, 'x');
    BOOST_TEST((begun.answer_to(text) == text));
}

BOOST_AUTO_TEST_CASE(a_silent_client_ends_its_session)
{
    for (const std::string name : {"echo", "discard"}) {
        const Begun begun(name + "; " + name + "_timeout 7s;");
        BOOST_TEST(begun.timer() <= 7000);
        BOOST_TEST(begun.timer() > 6000);
        Server::pass(7000);
        BOOST_TEST(begun.server.connections().empty());
        BOOST_TEST(begun.logged("[info]"));
        BOOST_TEST(begun.logged("udp timed out while "));
    }
}

BOOST_AUTO_TEST_CASE(each_datagram_restarts_the_timeout)
{
    const Begun begun("echo; echo_timeout 7s;");
    BOOST_TEST(begun.client.receive_datagram() == "first");
    Server::pass(5000);
    BOOST_TEST(begun.answer_to("x") == "x");
    BOOST_TEST(begun.timer() > 6000);
}

BOOST_AUTO_TEST_CASE(a_datagram_for_a_full_socket_is_lost_and_the_next_is_sent,
                     *boost::unit_test::precondition(sends_by_calls))
{
    const Begun begun("echo;");
    BOOST_TEST(begun.client.receive_datagram() == "first");
    {
        const FakeCall sendmsg(Call::sendmsg, {.err = EAGAIN});
        begun.client.send("lost");
        begun.server.turn_until([&] { return sendmsg.calls() == 1; });
        BOOST_CHECK(!begun.c.write->ready);
    }
    begun.server.turn_until([&] { return begun.c.write->ready; });
    BOOST_TEST(begun.answer_to("sent") == "sent");
    BOOST_TEST(begun.s.received == 13);
    BOOST_TEST(begun.c.sent == 9);
}

BOOST_AUTO_TEST_CASE(discarded_data_is_read_and_counted)
{
    const Begun begun("discard;");
    begun.client.send("second");
    begun.server.turn_until([&] { return begun.s.received == 11; });
    send_nothing(begun.client);
    begun.client.send("x");
    begun.server.turn_until([&] { return begun.s.received == 12; });
    BOOST_TEST(begun.c.sent == 0);
    BOOST_TEST(begun.server.connections().size() == 1);
}

BOOST_AUTO_TEST_CASE(an_address_of_a_wildcard_has_the_server_that_names_it)
{
    const Server server(serving("return any;", "PORT") + serving("return two;", "127.0.0.2:PORT"));
    BOOST_TEST_REQUIRE(server.cycle->listening.size() == 1);
    for (const std::string_view address : {"127.0.0.1", "127.0.0.2", "127.0.0.3"}) {
        const Client client = server.connect_to(address, SOCK_DGRAM);
        client.send("x");
        server.accept();
        BOOST_TEST(client.receive_datagram() == (address == "127.0.0.2" ? "two" : "any"));
    }
}

BOOST_AUTO_TEST_CASE(a_client_of_ipv6_gets_its_answer, *boost::unit_test::precondition(has_ipv6))
{
    const Server server(serving("echo;", "[::]:PORT"));
    const Client client = server.connect_to("::1", SOCK_DGRAM);
    client.send("hello");
    BOOST_TEST(server.serve([&] { return client.receive_datagram(); }) == "hello");
}

BOOST_AUTO_TEST_CASE(tcp_and_udp_are_served_on_one_port)
{
    const Server server("server { listen 127.0.0.1:PORT; return tcp; }" + serving("return udp;"));
    BOOST_TEST(answer(server, 0) == "tcp");
    const Client client = server.connect(1);
    client.send("x");
    server.accept();
    BOOST_TEST(client.receive_datagram() == "udp");
}

BOOST_AUTO_TEST_CASE(under_the_accept_mutex_sessions_begin_when_it_is_released)
{
    const Server server(serving("echo;"));
    const Client client = server.connect();
    use_accept_mutex = true;
    client.send("a");
    client.send("b");
    Event& ev = *server.listening().connection->read;
    event_recvmsg(ev);
    event_recvmsg(ev);
    use_accept_mutex = false;
    for (const char* const text : {"a", "b"}) {
        BOOST_TEST(server.serve([&] { return client.receive_datagram(); }) == text);
    }
    BOOST_TEST(server.connections().size() == 1);
}

BOOST_AUTO_TEST_CASE(sessions_end_when_the_server_stops_listening)
{
    for (const char* const content : {"echo;", "discard;"}) {
        const Begun begun(content);
        close_listening_sockets(*begun.server.cycle);
        BOOST_TEST(begun.server.connections().empty());
        BOOST_TEST(!begun.logged("[alert]"));
    }
}

BOOST_AUTO_TEST_CASE(a_datagram_that_seems_to_come_from_a_listener_is_dropped_and_logged)
{
    for (const char* const content : {"echo;", "return answer;", "proxy_pass 127.0.0.1:PORT2;"}) {
        for (const char* const address : {"127.0.0.1:PORT", "PORT"}) {
            const Server server(serving(content, address));
            const Forger forger(server);
            for (int i = 0; i < 4; i++) {
                forger.send("x");
            }
            const Client client = server.connect_to("127.0.0.1", SOCK_DGRAM);
            client.send("y");
            const std::int64_t handled = stat_handled->load();
            server.accept();
            BOOST_TEST(stat_handled->load() == handled + 1);
            const std::string log = server.shorten(server.log());
            BOOST_TEST(contains(log, "datagram from 127.0.0.1:PORT, which is a listener of this "
                                     "server, is dropped, 4 so far while accepting new"));
            BOOST_TEST(!contains(log, "dropped, 3 so far"));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_client_with_the_port_of_a_listener_is_answered_if_the_address_is_another)
{
    const Server server(serving("echo;"));
    const Forger client(server, INADDR_LOOPBACK + 1);
    client.send("x");
    server.accept();
    BOOST_TEST(!contains(server.log(), "is dropped"));
}

BOOST_AUTO_TEST_CASE(a_listener_of_ipv4_is_known_behind_a_socket_of_ipv6,
                     *boost::unit_test::precondition(has_ipv6))
{
    const Server server(serving("echo;", "[::]:PORT ipv6only=off"));
    const Forger forger(server);
    forger.send("x");
    server.turn_until([&] { return contains(server.log(), "is dropped, 1 so far"); });
    BOOST_TEST(server.connections().empty());
}

BOOST_AUTO_TEST_CASE(a_session_of_echo_goes_on_over_a_reload)
{
    Begun begun("echo;");
    BOOST_TEST(begun.client.receive_datagram() == "first");
    BOOST_TEST_REQUIRE(begun.server.reload(serving("return new;")));
    BOOST_TEST(begun.answer_to("old") == "old");

    const Client other = begun.server.connect();
    other.send("x");
    BOOST_TEST(begun.server.serve([&] { return other.receive_datagram(); }) == "new");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
