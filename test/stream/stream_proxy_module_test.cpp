// Tests of the proxy over TCP: each side receives what the other sends, whichever is slow, fails or
// ends.

#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <thread>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "stream/stream_upstream.hpp"
#include "test/stream/proxied.hpp"
#include "test/stream/server.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

namespace utf = boost::unit_test;

/// Returns a proxy that listens at `listen`, with these directives.
std::string proxying(std::string_view directives = "", std::string_view pass = "unix:DIR/up",
                     std::string_view listen = "unix:DIR/a")
{
    return fmt::format("server {{ listen {}; proxy_pass {}; {} }}", listen, pass, directives);
}

StreamUpstream& upstream_of(const Server& server)
{
    return *session_of(server).upstream;
}

Connection& peer_of(const Server& server)
{
    return *upstream_of(server).peer.connection;
}

/// Returns the time until the session's timer expires, in ms.
Msec timer(const Server& server)
{
    return session_of(server).connection->write->timer_key - current_msec;
}

/// Returns the log of a proxy whose upstream cannot be reached.
std::string log_of_failed(std::string_view directives, std::string_view pass = "unix:DIR/nobody")
{
    const Server server(proxying(directives, pass));
    const Client client = server.connect();
    server.accept();
    server.finish();
    BOOST_TEST(client.receive_all() == "");
    return server.shorten(server.log());
}

/// A proxy whose upstream neither accepts nor rejects connections.
struct Connecting {
    explicit Connecting(std::string_view directives)
        : server(proxying(fmt::format("error_log DIR/info info; {}", directives), "127.0.0.1:PORT2",
                          "127.0.0.1:PORT"))
    {
        upstream.fill_queue();
    }

    [[nodiscard]] Client connect() const
    {
        Client client = server.connect();
        server.turn_until([&] { return server.connections().size() == 2; });
        return client;
    }

    Server server;
    Listener upstream{static_cast<std::uint16_t>(server.port + 1), 0};
};

int option_of(const Connection& c, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    BOOST_REQUIRE_EQUAL(::getsockopt(c.fd, level, name, &value, &len), 0);
    return value;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_proxy_module)

BOOST_AUTO_TEST_CASE(each_side_receives_the_data_of_the_other)
{
    const Proxied proxied(proxying());
    BOOST_TEST(proxied.client_is_heard("hello"));
    BOOST_TEST(proxied.upstream_is_heard("welcome"));
    BOOST_TEST(proxied.client_is_heard("what now"));
    BOOST_TEST(session_of(proxied.server).received == 13);
    BOOST_TEST(upstream_of(proxied.server).received == 7);
    BOOST_TEST(session_of(proxied.server).connection->sent == 7);
    BOOST_TEST(peer_of(proxied.server).sent == 13);
}

BOOST_AUTO_TEST_CASE(data_before_the_connect_is_kept_for_the_upstream)
{
    const Server server(proxying());
    const Listener upstream(server.expand("DIR/up"));
    const Client client = server.connect();
    client.send("hello");
    server.turn_until([&] { return server.connections().size() == 2; });
    const Client peer = upstream.accept();
    BOOST_TEST(server.serve([&] { return peer.receive(5); }) == "hello");
}

BOOST_AUTO_TEST_CASE(any_size_of_the_buffers_will_do)
{
    const std::string text = long_text(50'000);
    for (const char* const size : {"1", "7", "4k", "1m"}) {
        const Proxied proxied(proxying(fmt::format("proxy_buffer_size {};", size)));
        BOOST_TEST(proxied.client_is_heard(text), size);
        BOOST_TEST(proxied.upstream_is_heard(text), size);
    }
}

BOOST_AUTO_TEST_CASE(a_client_that_takes_nothing_stops_the_upstream)
{
    const Proxied proxied(proxying("proxy_buffer_size 4k;"));
    const std::string text = long_text(100'000);
    const StreamUpstream& u = upstream_of(proxied.server);
    const Connection& c = *session_of(proxied.server).connection;

    std::size_t said = 0;
    proxied.server.turn_until([&] {
        said += proxied.peer.flood(text, said);
        return !c.write->ready && u.received == c.sent + 4096;
    });
    BOOST_TEST(said > static_cast<std::size_t>(u.received));

    std::string all;
    while (all.size() < said) {
        all += text;
    }
    all.resize(said);
    BOOST_TEST((proxied.server.serve([&] { return proxied.client.receive(said); }) == all));
}

BOOST_AUTO_TEST_CASE(an_idle_session_has_no_buffers)
{
    const Proxied proxied(proxying());
    BOOST_TEST(proxied.client_is_heard("hello"));
    BOOST_TEST(proxied.upstream_is_heard("welcome"));
    const StreamUpstream& u = upstream_of(proxied.server);
    BOOST_TEST(u.downstream.buf.start == nullptr);
    BOOST_TEST(u.upstream.buf.start == nullptr);
}

BOOST_AUTO_TEST_CASE(the_end_of_the_client_ends_the_session)
{
    const Proxied proxied(proxying("error_log DIR/info info;"));
    BOOST_TEST(proxied.client_is_heard("hello"));
    proxied.client.finish();
    proxied.finish();
    BOOST_TEST(proxied.peer.receive_all() == "");
    BOOST_TEST(contains(read_file(proxied.server.dir / "info"),
                        "client disconnected, bytes from/to client:5/0, bytes from/to "
                        "upstream:0/5\n"));
}

BOOST_AUTO_TEST_CASE(the_end_of_the_upstream_ends_the_session_once_the_client_has_all)
{
    const std::string text = long_text(3'000'000);
    const Proxied proxied(proxying("error_log DIR/info info;"));
    const std::string heard = proxied.server.serve([&] {
        const std::jthread saying([&] {
            proxied.peer.send(text);
            proxied.peer.finish();
        });
        return proxied.client.receive_all();
    });
    BOOST_TEST((heard == text));
    proxied.finish();
    BOOST_TEST(contains(read_file(proxied.server.dir / "info"),
                        "upstream disconnected, bytes from/to client:0/3000000, bytes from/to "
                        "upstream:3000000/0\n"));
}

BOOST_AUTO_TEST_CASE(what_is_buffered_when_both_sides_have_ended_is_delivered,
                     *boost::unit_test::precondition(sends_by_calls))
{
    for (const std::string half_close : {"off", "on"}) {
        const Proxied proxied(proxying("proxy_half_close " + half_close + ";"));
        Connection& c = *session_of(proxied.server).connection;
        Connection& pc = peer_of(proxied.server);
        {
            const FakeCall full(Call::send, {.err = EAGAIN}, FakeCall::always);
            proxied.client.send("question");
            proxied.peer.send("answer");
            proxied.server.turn_until([&] { return c.buffered != 0 && pc.buffered != 0; });
            proxied.client.finish();
            proxied.server.turn_until([&] { return c.read->eof != 0; });
            proxied.peer.finish();
            proxied.server.turn_until([&] { return c.fd == -1 || pc.read->eof != 0; });
        }
        BOOST_TEST_REQUIRE(proxied.server.connections().size() == 2);
        for (Event* wev : {c.write, pc.write}) {
            wev->ready = 1;
            post_event(*wev, posted_next_events);  // with these the turn does not wait
        }
        proxied.finish();
        BOOST_TEST(proxied.peer.receive_all() == "question");
        BOOST_TEST(proxied.client.receive_all() == "answer");
    }
}

BOOST_AUTO_TEST_CASE(with_half_close_the_other_side_may_go_on)
{
    const Proxied proxied(proxying("proxy_half_close on;"));
    const std::string answer = proxied.server.serve([&] {
        proxied.client.send("question");
        proxied.client.finish();
        const std::string question = proxied.peer.receive_all();
        proxied.peer.send("answer to " + question);
        proxied.peer.finish();
        return proxied.client.receive_all();
    });
    BOOST_TEST(answer == "answer to question");
    proxied.finish();
}

BOOST_AUTO_TEST_CASE(a_reset_by_either_side_ends_the_session)
{
    for (const bool by_client : {true, false}) {
        Server server("server { listen 127.0.0.1:PORT; proxy_pass 127.0.0.1:PORT2; }");
        const Listener upstream(static_cast<std::uint16_t>(server.port + 1));
        Client client = server.connect();
        server.turn_until([&] { return server.connections().size() == 2; });
        Client peer = upstream.accept();
        server.turn_until([&] { return upstream_of(server).connected; });
        (by_client ? client : peer).reset();
        server.finish();
        BOOST_TEST(contains(server.log(), "recv() failed (104: Connection reset by peer) while "
                                          "proxying and reading from "));
        const Client& other = by_client ? peer : client;
        BOOST_TEST(other.receive_all() == "");
    }
}

BOOST_AUTO_TEST_CASE(an_upstream_that_refuses_ends_the_session)
{
    const std::string log = log_of_failed("", "127.0.0.1:PORT2");
    BOOST_TEST(contains(log, "[error]"));
    BOOST_TEST(contains(log, "connect() failed (111: Connection refused) while connecting to "
                             "upstream, client: unix:, server: unix:DIR/a, upstream: "
                             "\"127.0.0.1:PORT2\", bytes from/to client:0/0, bytes from/to "
                             "upstream:0/0\n"));
}

BOOST_AUTO_TEST_CASE(a_missing_unix_socket_is_logged_at_once)
{
    BOOST_TEST(contains(log_of_failed(""),
                        "connect() to unix:DIR/nobody failed (2: No such file or directory) while "
                        "connecting to upstream, "));
}

BOOST_AUTO_TEST_CASE(the_next_upstream_is_tried)
{
    const Proxied proxied("upstream u { server 127.0.0.1:PORT2; server unix:DIR/nobody; "
                          "server unix:DIR/up; } " +
                          proxying("", "u"));
    BOOST_TEST(proxied.client_is_heard("hello"));
    const std::string log = proxied.server.log();
    BOOST_TEST(count(log, "upstream server temporarily disabled while connecting to upstream") ==
               2U);
}

BOOST_AUTO_TEST_CASE(the_next_upstream_is_not_tried_when_it_may_not_be)
{
    const std::string upstreams =
        "upstream u { server unix:DIR/x; server unix:DIR/y; server unix:DIR/z; } ";
    const auto tries = [&](std::string_view directive) {
        const Server server(upstreams + proxying(directive, "u"));
        const Client client = server.connect();
        server.accept();
        server.finish();
        return count(server.log(), "connect() to unix:");
    };
    BOOST_TEST(tries("") == 3U);
    BOOST_TEST(tries("proxy_next_upstream off;") == 1U);
    BOOST_TEST(tries("proxy_next_upstream_tries 2;") == 2U);
    BOOST_TEST(tries("proxy_next_upstream_tries 0;") == 3U);
    BOOST_TEST(tries("proxy_next_upstream_timeout 1m;") == 3U);
}

BOOST_AUTO_TEST_CASE(no_upstream_is_left)
{
    const Server server("upstream u { server unix:DIR/x max_fails=1; server unix:DIR/y; } " +
                        proxying("", "u"));
    for (int i = 0; i < 2; i++) {
        const Client client = server.connect();
        server.accept();
        server.finish();
    }
    BOOST_TEST(contains(server.shorten(server.log()),
                        "no live upstreams while connecting to upstream, client: unix:, server: "
                        "unix:DIR/a, upstream: \"u\", "));
}

BOOST_AUTO_TEST_CASE(an_upstream_that_does_not_answer_is_given_up)
{
    const Server server("server { listen 127.0.0.1:PORT; proxy_connect_timeout 30s; "
                        "proxy_pass 127.0.0.1:PORT2; }");
    Listener upstream(static_cast<std::uint16_t>(server.port + 1), 0);
    upstream.fill_queue();
    const Client client = server.connect();
    server.turn_until([&] { return server.connections().size() == 2; });
    const Event& wev = *peer_of(server).write;
    const Msec left = wev.timer_key - current_msec;
    BOOST_TEST(left <= 30'000);
    BOOST_TEST(left > 29'000);

    Server::pass(30'000);
    BOOST_TEST(server.connections().empty());
    BOOST_TEST(contains(server.log(), "upstream timed out (110: Connection timed out) while "
                                      "connecting to upstream, client: 127.0.0.1, "));
}

BOOST_AUTO_TEST_CASE(a_client_that_closes_during_the_connect_ends_the_session)
{
    for (const bool reset : {false, true}) {
        const Connecting connecting(reset ? "proxy_half_close on;" : "proxy_protocol on;");
        Client client = connecting.connect();
        if (reset) {
            client.send("question");
            connecting.server.turn_until(
                [&] { return session_of(connecting.server).received > 0; });
            client.reset();
        } else {
            client.close();
        }
        connecting.server.finish();
        BOOST_TEST(contains(
            read_file(connecting.server.dir / "info"),
            reset ? "recv() failed (104: "
                  : "client "
                    "disconnected, bytes from/to client:0/0, bytes from/to upstream:0/0\n"));
    }
}

BOOST_AUTO_TEST_CASE(a_client_that_waits_for_an_answer_or_has_said_something_is_not_gone)
{
    for (const std::string half_close : {"off", "on"}) {
        const Connecting connecting("proxy_half_close " + half_close + ";");
        const Client client = connecting.connect();
        if (half_close == "off") {
            client.send("log line");
        }
        client.finish();
        connecting.server.turn_until(
            [&] { return session_of(connecting.server).connection->read->eof != 0; });
        BOOST_TEST(connecting.server.connections().size() == 2);
    }
}

BOOST_AUTO_TEST_CASE(an_idle_session_is_closed)
{
    const Proxied proxied(proxying("proxy_timeout 20s;"));
    BOOST_TEST(proxied.client_is_heard("hello"));
    BOOST_TEST(timer(proxied.server) <= 20'000);
    BOOST_TEST(timer(proxied.server) > 19'000);
    Server::pass(20'000);
    BOOST_TEST(proxied.server.connections().empty());
    BOOST_TEST(contains(proxied.server.log(),
                        "connection timed out (110: Connection timed out) while proxying "
                        "connection, client: unix:, "));
}

BOOST_AUTO_TEST_CASE(data_from_either_side_restarts_the_timeout)
{
    const Proxied proxied(proxying("proxy_timeout 20s;"));
    BOOST_TEST(proxied.client_is_heard("hello"));
    Event& wev = *session_of(proxied.server).connection->write;
    for (const bool by_client : {true, false}) {
        del_timer(wev);
        add_timer(wev, 5000);
        BOOST_TEST((by_client ? proxied.client_is_heard("x") : proxied.upstream_is_heard("x")));
        BOOST_TEST(timer(proxied.server) > 19'000);
    }
}

BOOST_AUTO_TEST_CASE(a_rate_holds_the_source_back)
{
    const Proxied proxied(proxying("proxy_upload_rate 1k;"));
    const StreamSession& s = session_of(proxied.server);
    proxied.client.send(long_text(10'000));
    proxied.server.turn_until([&] { return s.received > 0; });
    BOOST_TEST(s.received <= 2048);
    BOOST_TEST(unsigned{s.connection->read->delayed} == 1);
    BOOST_TEST(s.connection->read->timer_set());
    BOOST_TEST(!s.connection->write->timer_set());
    BOOST_TEST(proxied.upstream_is_heard("no limit this way"));

    // One second later the next kilobyte may be read.
    const off_t before = s.received;
    proxied.server.turn_until([&] { return s.received > before; });
    BOOST_TEST(s.received <= before + 2048);
    BOOST_TEST((proxied.peer.receive(1000) == long_text(1000)));
}

BOOST_AUTO_TEST_CASE(a_rate_uses_the_monotonic_clock)
{
    const Proxied proxied(proxying("proxy_upload_rate 1k;"));
    const StreamSession& s = session_of(proxied.server);
    proxied.client.send(long_text(10'000));
    proxied.server.turn_until([&] { return s.received > 0; });
    Server::pass(5000);
    BOOST_TEST(s.received >= 6 * 1024);
}

BOOST_AUTO_TEST_CASE(a_source_that_is_held_back_and_silent_has_a_timeout_again)
{
    const Proxied proxied(proxying("proxy_download_rate 1k; proxy_timeout 20s;"));
    Event& rev = *peer_of(proxied.server).read;
    BOOST_TEST(proxied.upstream_is_heard("hi"));
    BOOST_TEST(proxied.upstream_is_heard(long_text(500)));
    proxied.server.turn_until([&] { return !rev.delayed; });
    BOOST_TEST(timer(proxied.server) > 19'000);
    BOOST_TEST(proxied.upstream_is_heard("more"));
}

BOOST_AUTO_TEST_CASE(a_rate_may_be_a_variable)
{
    const Proxied proxied(proxying("proxy_upload_rate $pid; proxy_download_rate $protocol;"));
    const StreamUpstream& u = upstream_of(proxied.server);
    BOOST_TEST(u.downstream.limit_rate == static_cast<std::size_t>(::getpid()));
    BOOST_TEST(u.upstream.limit_rate == 0U);
    BOOST_TEST(contains(proxied.server.log(), "invalid size \"TCP\""));
}

BOOST_AUTO_TEST_CASE(the_upstream_may_be_a_variable)
{
    const Server server("upstream unix { server unix:DIR/up; } "
                        "server { listen 127.0.0.1:PORT; proxy_pass $server_addr:PORT2; }"
                        "server { listen unix:DIR/b; proxy_pass $remote_addr; }");
    const Listener upstream(static_cast<std::uint16_t>(server.port + 1));
    const Client client = server.connect();
    server.turn_until([&] { return server.connections().size() == 2; });
    const Client peer = upstream.accept();
    client.send("hello");
    BOOST_TEST(server.serve([&] { return peer.receive(5); }) == "hello");
}

BOOST_AUTO_TEST_CASE(a_variable_that_names_no_upstream_ends_the_session)
{
    BOOST_TEST(contains(log_of_failed("", "$protocol:80"), "no resolver defined to resolve TCP"));
    BOOST_TEST(contains(log_of_failed("", "$protocol"), "no port in upstream \"TCP\""));
    BOOST_TEST(contains(log_of_failed("", "$protocol:0"), "invalid port in upstream \"TCP:0\""));
}

BOOST_AUTO_TEST_CASE(the_socket_is_as_configured)
{
    const Server server("server { listen unix:DIR/a; proxy_pass 127.0.0.1:PORT2; "
                        "proxy_bind 127.0.0.2; proxy_socket_keepalive on; "
                        "proxy_socket_rcvbuf 8k; proxy_socket_sndbuf 16k; }");
    const Listener upstream(static_cast<std::uint16_t>(server.port + 1));
    const Client client = server.connect();
    server.turn_until([&] { return server.connections().size() == 2; });
    const Client accepted = upstream.accept();
    server.turn_until([&] { return upstream_of(server).connected; });

    const Connection& pc = peer_of(server);
    BOOST_TEST(option_of(pc, SOL_SOCKET, SO_KEEPALIVE) == 1);
    BOOST_TEST(option_of(pc, SOL_SOCKET, SO_RCVBUF) == 2 * 8192);
    BOOST_TEST(option_of(pc, SOL_SOCKET, SO_SNDBUF) == 2 * 16'384);
    server.turn_until([&] { return option_of(pc, IPPROTO_TCP, TCP_NODELAY) == 1; });

    SockaddrUnion sa{};
    socklen_t len = sizeof(sa);
    BOOST_REQUIRE_EQUAL(::getsockname(pc.fd, &sa.any, &len), 0);
    BOOST_TEST(ntohl(sa.in.sin_addr.s_addr) == INADDR_LOOPBACK + 1);
}

BOOST_AUTO_TEST_CASE(the_address_to_bind_to_may_be_a_variable)
{
    const Server server("server { listen 127.0.0.1:PORT; proxy_pass 127.0.0.1:PORT2; "
                        "proxy_bind $remote_addr; }"
                        "server { listen unix:DIR/b; proxy_pass 127.0.0.1:PORT2; "
                        "proxy_bind $protocol; }");
    const Listener upstream(static_cast<std::uint16_t>(server.port + 1));
    for (const std::size_t i : {0UL, 1UL}) {
        const Client client = server.connect(i);
        server.turn_until([&] { return server.connections().size() == 2; });
        const Client peer = upstream.accept();
        server.turn_until([&] { return upstream_of(server).connected; });
        BOOST_TEST((upstream_of(server).peer.local != nullptr) == (i == 0));
        client.finish();
        server.finish();
    }
    BOOST_TEST(contains(server.log(), "invalid local address \"TCP\""));
}

BOOST_AUTO_TEST_CASE(an_address_that_is_not_ours_cannot_be_bound_to)
{
    const std::string log = log_of_failed("proxy_bind 192.0.2.1;", "127.0.0.1:PORT2");
    BOOST_TEST(contains(log, "[crit]"));
    BOOST_TEST(contains(log, "bind(192.0.2.1) failed (99: Cannot assign requested address)"));
}

BOOST_AUTO_TEST_CASE(the_upstream_gets_the_address_of_the_client)
{
    const Server server("server { listen 127.0.0.1:PORT; proxy_pass unix:DIR/up; "
                        "proxy_protocol on; proxy_buffer_size 10; }");
    const Listener upstream(server.expand("DIR/up"));
    const Client client = server.connect();
    client.send("hello");
    server.turn_until([&] { return server.connections().size() == 2; });
    const Client peer = upstream.accept();

    SockaddrUnion sa{};
    socklen_t len = sizeof(sa);
    BOOST_REQUIRE_EQUAL(::getsockname(client.fd(), &sa.any, &len), 0);
    const std::string wanted = fmt::format("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\nhello",
                                           ntohs(sa.in.sin_port), server.port);
    BOOST_TEST(server.serve([&] { return peer.receive(wanted.size()); }) == wanted);
}

BOOST_AUTO_TEST_CASE(a_session_is_logged_from_its_beginning_to_its_end)
{
    const Server server("server { listen 127.0.0.1:PORT; proxy_pass 127.0.0.1:PORT2; "
                        "error_log DIR/info info; }");
    const Listener upstream(static_cast<std::uint16_t>(server.port + 1));
    const Client client = server.connect();
    server.turn_until([&] { return server.connections().size() == 2; });
    const Client peer = upstream.accept();
    server.turn_until([&] { return upstream_of(server).connected; });
    client.finish();
    server.finish();

    const std::string log = server.shorten(read_file(server.dir / "info"));
    BOOST_TEST(contains(log, " client 127.0.0.1:"));
    BOOST_TEST(contains(log, " connected to 127.0.0.1:PORT\n"));
    BOOST_TEST(contains(log, " proxy 127.0.0.1:"));
    BOOST_TEST(contains(log, " connected to 127.0.0.1:PORT2\n"));
    BOOST_TEST(contains(log, " client disconnected, bytes from/to client:0/0, bytes from/to "
                             "upstream:0/0\n"));
}

BOOST_AUTO_TEST_CASE(a_call_that_fails_ends_the_session,
                     *boost::unit_test::precondition(sends_by_calls))
{
    for (const Call call : {Call::recv, Call::send}) {
        const Proxied proxied(proxying());
        proxied.client.send("hello");
        const FakeCall failing(call, {.err = ENOBUFS});
        proxied.finish();
        BOOST_TEST(contains(proxied.server.log(), "[alert]"));
        BOOST_TEST(contains(proxied.server.log(), "() failed (105: No buffer space available)"));
    }
}

BOOST_AUTO_TEST_CASE(a_session_that_cannot_have_a_socket_ends)
{
    const Server server(proxying());
    const Client client = server.connect();
    const FakeCall failing(Call::socket, {.err = EMFILE});
    server.accept();
    server.finish();
    BOOST_TEST(contains(server.log(), "socket() failed (24: Too many open files) while connecting "
                                      "to upstream"));
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_asked_to_close_closes)
{
    const Proxied proxied(proxying("error_log DIR/info info;"));
    Connection& c = *session_of(proxied.server).connection;
    c.close = 1;
    c.read->handler(*c.read);
    BOOST_TEST(proxied.server.connections().empty());
    BOOST_TEST(event_timer_rbtree.empty());
    BOOST_TEST(contains(read_file(proxied.server.dir / "info"), "shutdown timeout"));
}

BOOST_AUTO_TEST_CASE(the_directives_are_checked)
{
    const auto refused = [](std::string_view directives, std::string_view message) {
        const std::string log = refusal(proxying(directives));
        BOOST_TEST(contains(log, message), directives << " gave " << log);
    };
    refused("proxy_pass unix:DIR/b;", "\"proxy_pass\" directive is duplicate in ");
    refused("proxy_buffer_size 0;", "\"proxy_buffer_size\" directive must not be zero in ");
    refused("proxy_bind nobody;", "invalid address \"nobody\" in ");
    refused("proxy_bind 127.0.0.1 opaque;", "invalid parameter \"opaque\" in ");
    refused("proxy_bind off; proxy_bind off;", "\"proxy_bind\" directive is duplicate in ");
    refused("proxy_upload_rate fast;", "\"proxy_upload_rate\" directive invalid value in ");
    refused("proxy_upload_rate $nothing;", "unknown \"nothing\" variable");
    refused("proxy_protocol v3;", "invalid value \"v3\" in ");
    refused("proxy_ssl on;", "unknown directive \"proxy_ssl\" (nginx has it, ");
    BOOST_TEST(contains(refusal("server { listen unix:DIR/a; proxy_pass unix:; }"),
                        "no path in the unix domain socket in upstream \"unix:\" in "));
    BOOST_TEST(contains(refusal("server { listen unix:DIR/a; proxy_pass 127.0.0.1; }"),
                        "no port in upstream \"127.0.0.1\" in "));
}

BOOST_AUTO_TEST_CASE(an_old_name_of_a_directive_gets_a_warning)
{
    for (const char* const name : {"proxy_downstream_buffer", "proxy_upstream_buffer"}) {
        const std::string log = refusal(proxying(fmt::format("{} 4k; bad;", name)));
        BOOST_TEST(contains(log, fmt::format("the \"{}\" directive is deprecated, use the "
                                             "\"proxy_buffer_size\" directive instead in ",
                                             name)));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
