// Tests of listeners that read the PROXY protocol header of their clients.

#include <poll.h>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "core/proxy_protocol.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"
#include "test/stream/hooks_module.hpp"
#include "test/stream/server.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

using namespace std::string_literals;

const std::string v1 = "PROXY TCP4 192.0.2.1 198.51.100.2 80 443\r\n";

/// The same addresses in version 2, with an ALPN value.
const std::string v2 =
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\xc0\0\2\1\xc6\x33\x64\2\0\x50\1\xbb\1\0\2h2"s;

constexpr std::string_view echo = "server { listen 127.0.0.1:PORT proxy_protocol; echo; }";

/// A server that returns the values from the header.
constexpr std::string_view told =
    "server { listen 127.0.0.1:PORT proxy_protocol; return \"[$proxy_protocol_addr] "
    "[$proxy_protocol_port] [$proxy_protocol_server_addr] [$proxy_protocol_server_port] "
    "[$proxy_protocol_tlv_alpn]\"; }";

/// Returns the server's answer to a client that sends this text.
std::string answer_to(const Server& server, std::string_view text)
{
    return server.serve([&] {
        const Client client = server.connect();
        client.send(text);
        return client.receive_all();
    });
}

/// A client that has not sent its header yet. The status of its session is recorded.
struct Waiting {
    explicit Waiting(std::string_view stream = echo) : server(stream)
    {
        status() = StreamStatus::none;
    }

    static StreamStatus& status()
    {
        static StreamStatus kept;
        return kept;
    }

    /// Initialized before the server: modules add their handlers while it is configured.
    bool logs = [] {
        hooks.phases[{'a', StreamPhase::log}] = [](StreamSession& s) {
            status() = s.status;
            return Rc::ok;
        };
        return true;
    }();
    Server server;
    Client client = server.connect();
    Connection& c = server.accepted();
};

/// Returns the number of warnings about these `listen`s of one address.
std::size_t warnings(std::initializer_list<const char*> params)
{
    std::string stream;
    for (const char* param : params) {
        stream += "server { listen 127.0.0.1:PORT " + std::string(param) + "; echo; }\n";
    }
    const Server server({.stream = stream, .start = Start::conf});
    return count(server.log(), "protocol options redefined for 127.0.0.1:");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_proxy_protocol)

BOOST_AUTO_TEST_CASE(variables_have_the_values_of_the_header)
{
    const Server server(told);
    BOOST_TEST(answer_to(server, v1) == "[192.0.2.1] [80] [198.51.100.2] [443] []");
    BOOST_TEST(answer_to(server, v2) == "[192.0.2.1] [80] [198.51.100.2] [443] [h2]");
    BOOST_TEST(answer_to(server, "PROXY TCP6 ::1 ::2 0 1\r\n") == "[::1] [] [::2] [1] []");
    BOOST_TEST(answer_to(server, "PROXY UNKNOWN\r\n") == "[] [] [] [] []");
}

BOOST_AUTO_TEST_CASE(variables_are_empty_without_a_header)
{
    const Server server("server { listen 127.0.0.1:PORT; return \"[$proxy_protocol_addr"
                        "$proxy_protocol_server_port$proxy_protocol_tlv_0x01]\"; }");
    BOOST_TEST(answer(server) == "[]");
}

BOOST_AUTO_TEST_CASE(names_of_tlvs_are_case_insensitive)
{
    const Server server("server { listen 127.0.0.1:PORT proxy_protocol; return "
                        "\"$proxy_protocol_tlv_ALPN ${PROXY_PROTOCOL_TLV_0X1}\"; }");
    BOOST_TEST(answer_to(server, v2) == "h2 h2");
}

BOOST_AUTO_TEST_CASE(the_address_of_the_client_is_the_proxys)
{
    const Server server(
        "server { listen 127.0.0.1:PORT proxy_protocol; return \"$remote_addr $server_addr\"; }");
    BOOST_TEST(answer_to(server, v1) == "127.0.0.1 127.0.0.1");
}

BOOST_AUTO_TEST_CASE(data_after_the_header_belongs_to_the_content)
{
    const Server server(echo);
    for (const std::string& header : {v1, v2, "PROXY UNKNOWN\r\n"s}) {
        const std::string echoed = server.serve([&] {
            const Client client = server.connect();
            client.send(header + "hello");
            std::string text = client.receive(5);
            client.send(v1);
            client.finish();
            return text + client.receive_all();
        });
        BOOST_TEST(echoed == "hello" + v1);
    }
}

BOOST_AUTO_TEST_CASE(a_header_may_come_in_pieces)
{
    for (const std::string& header : {v1, v2}) {
        for (std::size_t i = 1; i < header.size(); i++) {
            const Waiting waiting(told);
            const Event& rev = *waiting.c.read;
            waiting.client.send(header.substr(0, i));
            waiting.server.turn_until([&] { return waiting.c.buffer != nullptr; });
            BOOST_TEST(rev.timer_set());
            BOOST_TEST(waiting.server.serve([&] {
                waiting.client.send(header.substr(i));
                return waiting.client.receive_all();
            }) == (header == v1 ? "[192.0.2.1] [80] [198.51.100.2] [443] []"
                                : "[192.0.2.1] [80] [198.51.100.2] [443] [h2]"));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_header_may_arrive_byte_by_byte)
{
    const Server server(echo);
    const std::string echoed = server.serve([&] {
        const Client client = server.connect();
        for (const char ch : v1 + "hello") {
            client.send({&ch, 1});
        }
        return client.receive(5);
    });
    BOOST_TEST(echoed == "hello");
}

/// After recv() has reported that no data is left, more data arrives before the next call.
BOOST_AUTO_TEST_CASE(a_piece_of_a_header_that_recv_has_not_counted_is_taken)
{
    for (const std::string& rest : {"ROXY TCP4 192.0.2.1"s, v1.substr(1) + "hello"}) {
        const Waiting waiting;
        Event& rev = *waiting.c.read;
        waiting.client.send("P");
        waiting.server.turn_until([&] { return waiting.c.buffer != nullptr; });
        waiting.client.send(rest);
        pollfd arrival{waiting.c.fd, POLLIN, 0};
        BOOST_REQUIRE(::poll(&arrival, 1, -1) == 1);
        rev.available = 0;
        rev.handler(rev);
        BOOST_TEST((Waiting::status() == StreamStatus::none));
    }
}

BOOST_AUTO_TEST_CASE(the_rest_of_a_header_is_not_waited_for_without_end)
{
    Waiting waiting;
    const Msec key = waiting.c.read->timer_key;
    waiting.client.send("PROXY TCP4");
    waiting.server.turn_until([&] { return waiting.c.buffer != nullptr; });
    BOOST_TEST(waiting.c.read->timer_key == key);
    Server::pass(30'000);
    BOOST_TEST(waiting.server.connections().empty());

    // The end arrives together with the beginning.
    const Client client = waiting.server.connect();
    client.send("PROXY TCP4");
    client.finish();
    waiting.server.accept();
    waiting.server.finish();
    BOOST_TEST(contains(waiting.server.log(), "broken header: \"PROXY TCP4\""));
}

BOOST_AUTO_TEST_CASE(logged_data_of_a_client_is_escaped)
{
    const Server server(echo);
    const Client client = server.connect();
    client.send("PROX\x1b[2J\x07\x7f\n");
    server.accept();
    server.finish();
    BOOST_TEST(contains(server.log(), "broken header: \"PROX\\x1B[2J\\x07\\x7F\" while "));
}

BOOST_AUTO_TEST_CASE(the_longest_header_is_read)
{
    const Server server(echo);
    const std::string body(4080, '\0');
    const std::string header = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xf0"s + body;
    BOOST_TEST_REQUIRE(header.size() == proxy_protocol_max_header);
    const std::string echoed = server.serve([&] {
        const Client client = server.connect();
        client.send(header + "hello");
        return client.receive(5);
    });
    BOOST_TEST(echoed == "hello");
}

BOOST_AUTO_TEST_CASE(a_header_above_the_limit_is_refused)
{
    const Waiting waiting;
    waiting.client.send("\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xf1"s + std::string(4081, '\0'));
    waiting.server.finish();
    BOOST_TEST((Waiting::status() == StreamStatus::bad_request));
    BOOST_TEST(contains(waiting.server.log(),
                        "header is too large while reading PROXY protocol, client: "));
}

BOOST_AUTO_TEST_CASE(an_incomplete_header_is_an_error)
{
    for (const std::string& header : {v1, v2}) {
        for (std::size_t n = 1; n < header.size(); n++) {
            const Waiting waiting;
            waiting.client.send(header.substr(0, n));
            waiting.client.finish();
            waiting.server.finish();
            BOOST_TEST((Waiting::status() == StreamStatus::bad_request));
        }
    }
}

BOOST_AUTO_TEST_CASE(data_that_is_no_header_is_logged)
{
    for (const std::string text :
         {"GET / HTTP/1.0\r\n\r\n", "\x80", "", "PROXY TCP9 a b 1 2\r\n"}) {
        const Waiting waiting;
        waiting.client.send(text);
        waiting.client.finish();
        waiting.server.finish();
        BOOST_TEST((Waiting::status() == StreamStatus::bad_request));
        const std::string line = "broken header: \"" + text.substr(0, text.find('\r')) +
                                 "\" while reading PROXY protocol, client: 127.0.0.1, server: ";
        BOOST_TEST(contains(waiting.server.log(), line));
        BOOST_TEST(hooks.session == nullptr);
    }
}

BOOST_AUTO_TEST_CASE(a_proxy_that_resets_ends_the_session)
{
    Waiting waiting;
    waiting.client.reset();
    waiting.server.finish();
    BOOST_TEST((Waiting::status() == StreamStatus::ok));
    BOOST_TEST(contains(waiting.server.log(), "[info]"));
    BOOST_TEST(contains(waiting.server.log(),
                        "recv() failed (104: Connection reset by peer) while reading PROXY"));
}

BOOST_AUTO_TEST_CASE(a_silent_proxy_is_closed_after_the_timeout)
{
    const Waiting waiting("proxy_protocol_timeout 7s;" + std::string(echo));
    BOOST_TEST(waiting.c.read->timer_set());
    Server::pass(7000);
    BOOST_TEST(waiting.server.connections().empty());
    BOOST_TEST((Waiting::status() == StreamStatus::ok));
    BOOST_TEST(contains(waiting.server.log(),
                        "client timed out (110: Connection timed out) while reading PROXY"));
}

BOOST_AUTO_TEST_CASE(the_timeout_runs_from_the_first_wait)
{
    const Waiting waiting;
    const Msec until = waiting.c.read->timer_key;
    BOOST_TEST(until - current_msec <= 30'000);
    current_msec += 1000;
    waiting.c.read->handler(*waiting.c.read);  // no data has arrived
    BOOST_TEST(waiting.c.read->timer_key == until);
    BOOST_TEST(waiting.server.connections().size() == 1);
}

BOOST_AUTO_TEST_CASE(the_timer_of_the_header_ends_before_the_content)
{
    const Waiting waiting("server { listen 127.0.0.1:PORT proxy_protocol; hold; }");
    waiting.client.send(v1);
    waiting.server.turn_until([] { return hooks.session != nullptr; });
    BOOST_TEST(!waiting.c.read->timer_set());
    BOOST_TEST(waiting.c.log->action == nullptr);
}

BOOST_AUTO_TEST_CASE(a_session_that_is_to_be_closed_does_not_wait_for_a_header)
{
    const Waiting waiting;
    waiting.c.close = 1;
    waiting.c.read->handler(*waiting.c.read);
    BOOST_TEST(waiting.server.connections().empty());
}

BOOST_AUTO_TEST_CASE(a_poller_that_fails_ends_the_session)
{
    const Server server(echo);
    const Client client = server.connect();
    server.accept_with_failing_poller();
    BOOST_TEST(server.connections().empty());
}

// Such a connection is ready before it is in any poller.
BOOST_AUTO_TEST_CASE(a_deferred_connection_comes_with_its_header)
{
    const Server server("server { listen 127.0.0.1:PORT deferred proxy_protocol; echo; }");
    const std::string echoed = server.serve([&] {
        const Client client = server.connect();
        client.send(v1 + "hello");
        return client.receive(5);
    });
    BOOST_TEST(echoed == "hello");
}

BOOST_AUTO_TEST_CASE(phases_come_behind_the_header)
{
    std::string seen;
    hooks.phases[{'a', StreamPhase::post_accept}] = [&](StreamSession& s) {
        seen = s.connection->proxy_protocol->src_addr;
        return Rc::ok;
    };
    const Server server(told);
    BOOST_TEST(!answer_to(server, v1).empty());
    BOOST_TEST(seen == "192.0.2.1");
}

BOOST_AUTO_TEST_CASE(each_address_of_a_port_has_its_own_word)
{
    const Server server("server { listen PORT; return \"a [$proxy_protocol_addr]\"; }"
                        "server { listen 127.0.0.2:PORT proxy_protocol;"
                        " return \"b [$proxy_protocol_addr]\"; }");
    const auto answer_of = [&](std::string_view address) {
        return server.serve([&] {
            const Client client = server.connect_to(address);
            if (address == "127.0.0.2") {
                client.send(v1);
            }
            return client.receive_all();
        });
    };
    BOOST_TEST(answer_of("127.0.0.1") == "a []");
    BOOST_TEST(answer_of("127.0.0.2") == "b [192.0.2.1]");
}

BOOST_AUTO_TEST_CASE(one_server_of_an_address_that_wants_a_header_is_enough)
{
    const Server server("server { listen unix:DIR/a; return \"[$proxy_protocol_addr]\"; }"
                        "server { listen unix:DIR/a proxy_protocol; hold; }");
    BOOST_TEST(answer_to(server, v1) == "[192.0.2.1]");
}

BOOST_AUTO_TEST_CASE(different_servers_of_an_address_are_a_warning)
{
    const auto* const pp = "proxy_protocol";
    const auto* const bind = "bind";
    const auto* const both = "bind proxy_protocol";
    BOOST_TEST(warnings({pp, pp}) == 0);
    BOOST_TEST(warnings({"", pp}) == 0);
    BOOST_TEST(warnings({pp, ""}) == 0);
    BOOST_TEST(warnings({bind, pp}) == 1);
    BOOST_TEST(warnings({pp, bind}) == 1);
    BOOST_TEST(warnings({"", both}) == 0);
    BOOST_TEST(warnings({both, ""}) == 0);
    BOOST_TEST(warnings({"", pp, ""}) == 0);
    BOOST_TEST(warnings({"", pp, pp}) == 1);
    BOOST_TEST(warnings({"", "", pp}) == 0);
    BOOST_TEST(warnings({pp, pp, ""}) == 1);
    BOOST_TEST(warnings({pp, "", pp}) == 1);
    BOOST_TEST(warnings({pp, "", ""}) == 0);
    BOOST_TEST(warnings({pp, "", bind}) == 1);
    BOOST_TEST(warnings({"", pp, both}) == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
