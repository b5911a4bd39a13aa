// Tests of the proxy over UDP: each datagram is passed on whole, and a session ends when its
// answers have arrived.

#include <array>
#include <cerrno>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "event/event_udp.hpp"
#include "stream/stream_upstream.hpp"
#include "test/stream/proxied.hpp"
#include "test/stream/server.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// An upstream socket at PORT2 that receives from the proxy and answers.
class Answering {
public:
    explicit Answering(const Server& server)
    {
        SockaddrUnion sa{};
        sa.in.sin_family = AF_INET;
        sa.in.sin_port = htons(static_cast<in_port_t>(server.port + 1));
        sa.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval timeout{.tv_sec = 10, .tv_usec = 0};
        BOOST_REQUIRE_EQUAL(
            ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
        BOOST_REQUIRE_EQUAL(::bind(fd_.get(), &sa.any, sizeof(sa.in)), 0);
    }

    /// Receives the next datagram; answer() sends to its sender.
    std::string receive()
    {
        std::string text(65'536, '\0');
        len_ = sizeof(from_);
        const ssize_t n = ::recvfrom(fd_.get(), text.data(), text.size(), 0, &from_.any, &len_);
        BOOST_REQUIRE_GE(n, 0);
        text.resize(static_cast<std::size_t>(n));
        return text;
    }

    void answer(std::string_view text) const
    {
        BOOST_TEST(::sendto(fd_.get(), text.data(), text.size(), 0, &from_.any, len_) ==
                   static_cast<ssize_t>(text.size()));
    }

private:
    Fd fd_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    SockaddrUnion from_{};
    socklen_t len_ = 0;
};

/// A unix datagram socket that receives.
class UnixDatagrams {
public:
    explicit UnixDatagrams(const std::string& path)
    {
        SockaddrUnion sa{};
        sa.un.sun_family = AF_UNIX;
        path.copy(sa.un.sun_path, sizeof(sa.un.sun_path) - 1);
        const timeval timeout{.tv_sec = 10, .tv_usec = 0};
        BOOST_REQUIRE_EQUAL(
            ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
        BOOST_REQUIRE_EQUAL(::bind(fd_.get(), &sa.any, sizeof(sa.un)), 0);
    }

    [[nodiscard]] std::string receive() const
    {
        std::array<char, 1000> text{};
        const ssize_t n = ::read(fd_.get(), text.data(), text.size());
        return n < 0 ? "nothing" : std::string(text.data(), static_cast<std::size_t>(n));
    }

private:
    Fd fd_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

std::string proxying_udp(std::string_view directives)
{
    return fmt::format("server {{ listen 127.0.0.1:PORT udp; proxy_pass 127.0.0.1:PORT2; "
                       "error_log DIR/info info; {} }}",
                       directives);
}

/// A session whose client has sent "question".
struct Asked {
    explicit Asked(std::string_view directives = "") : server(proxying_udp(directives))
    {
        client.send("question");
        server.turn_until([&] { return server.connections().size() == 2; });
        BOOST_TEST(upstream.receive() == "question");
    }

    /// Answers the question and checks that the client receives the answer whole.
    [[nodiscard]] bool is_answered(std::string_view text) const
    {
        upstream.answer(text);
        return server.serve([&] { return client.receive_datagram(); }) == text;
    }

    [[nodiscard]] std::string log() const { return read_file(server.dir / "info"); }

    Server server;
    Answering upstream{server};
    Client client = server.connect();
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_proxy_udp)

BOOST_AUTO_TEST_CASE(a_datagram_is_answered_and_the_session_goes_on)
{
    Asked asked;
    BOOST_TEST(asked.is_answered("answer"));
    BOOST_TEST(asked.is_answered("another answer"));
    asked.client.send("another question");
    BOOST_TEST(asked.server.serve([&] { return asked.upstream.receive(); }) == "another question");

    const StreamSession& s = session_of(asked.server);
    BOOST_TEST(s.upstream->downstream.packets == 2U);
    BOOST_TEST(s.upstream->upstream.packets == 2U);
    BOOST_TEST(s.received == 24);
    BOOST_TEST(s.upstream->received == 20);
}

BOOST_AUTO_TEST_CASE(datagrams_keep_their_boundaries)
{
    Asked asked;
    for (const std::size_t size : {0UL, 1UL, 1000UL, 16'384UL}) {
        BOOST_TEST(asked.is_answered(long_text(size)), size);
    }
    for (const std::size_t size : {1UL, 1000UL, 16'384UL}) {
        asked.client.send(long_text(size));
        BOOST_TEST(
            (asked.server.serve([&] { return asked.upstream.receive(); }) == long_text(size)),
            size);
    }
}

BOOST_AUTO_TEST_CASE(datagrams_that_wait_for_the_socket_are_not_cut,
                     *boost::unit_test::precondition(sends_by_calls))
{
    Asked asked("proxy_buffer_size 1000;");
    const FakeCall full(Call::sendmsg, {.err = EAGAIN});
    for (const std::size_t size : {900UL, 800UL, 700UL}) {
        asked.upstream.answer(long_text(size));
    }
    for (const std::size_t size : {900UL, 800UL, 700UL}) {
        BOOST_TEST((asked.server.serve([&] { return asked.client.receive_datagram(); }) ==
                    long_text(size)),
                   size);
    }
    BOOST_TEST(full.calls() > 1);
}

BOOST_AUTO_TEST_CASE(a_burst_of_a_client_waits_for_room_at_the_upstream)
{
    // The queue of a unix socket holds eleven datagrams.
    const Server server("server { listen 127.0.0.1:PORT udp; proxy_pass unix:DIR/log; }");
    const UnixDatagrams log(server.expand("DIR/log"));
    const Client client = server.connect();
    for (int i = 0; i < 40; i++) {
        client.send("line " + std::to_string(i));
    }
    server.turn_until([&] {
        const auto open = server.connections();
        return !open.empty() && session_of(server).upstream->downstream.packets == 40;
    });
    for (int i = 0; i < 40; i++) {
        BOOST_TEST(server.serve([&] { return log.receive(); }) == "line " + std::to_string(i));
    }
}

BOOST_AUTO_TEST_CASE(a_datagram_of_a_client_without_room_is_dropped_whole_and_counted)
{
    const Server server("server { listen 127.0.0.1:PORT udp; proxy_pass unix:DIR/log; "
                        "error_log DIR/info info; proxy_buffer_size 1000; proxy_timeout 20s; }");
    const UnixDatagrams log(server.expand("DIR/log"));
    const Client client = server.connect();
    client.send("1");
    server.turn_until([&] { return server.connections().size() == 2; });

    const StreamFlow& f = session_of(server).upstream->downstream;
    while (!f.out) {
        client.send("1");
        server.turn_until([&, before = f.packets] { return f.packets > before; });
    }
    const std::size_t before = f.packets;
    for (const std::size_t size : {600UL, 500UL, 300UL, 200UL, 99UL}) {
        client.send(long_text(size));
    }
    server.turn_until([&] { return f.packets == before + 3; });
    for (std::size_t i = 0; i < before; i++) {
        BOOST_TEST(server.serve([&] { return log.receive(); }) == "1");
    }
    for (const std::size_t size : {600UL, 300UL, 99UL}) {
        BOOST_TEST((server.serve([&] { return log.receive(); }) == long_text(size)), size);
    }

    Server::pass(20'000);
    const std::string info = read_file(server.dir / "info");
    BOOST_TEST(count(info, "[warn]") == 1U);
    BOOST_TEST(contains(info, "datagrams are dropped while proxying connection, udp client: "));
    BOOST_TEST(contains(info, " udp packets from client dropped:2, packets from client/upstream "
                              "cut:0/0\n"));
}

BOOST_AUTO_TEST_CASE(the_number_of_waiting_empty_datagrams_is_limited)
{
    Asked asked;
    const FakeCall full(Call::sendmsg, {.err = EAGAIN}, FakeCall::always);
    const UdpConnection& udp = *asked.server.connections().front()->udp;
    for (std::size_t dropped = 0; dropped < 10; dropped = udp.dropped) {
        BOOST_TEST_REQUIRE(::send(asked.client.fd(), "", 0, 0) == 0);
        process_events_and_timers(*asked.server.cycle);
    }
    BOOST_TEST(session_of(asked.server).upstream->downstream.packets == 1U + 256);
}

BOOST_AUTO_TEST_CASE(a_datagram_larger_than_the_buffer_is_cut_and_logged)
{
    Asked asked("proxy_buffer_size 1000; proxy_timeout 20s;");
    for (int i = 0; i < 2; i++) {
        asked.client.send(long_text(1001));
        BOOST_TEST((asked.server.serve([&] { return asked.upstream.receive(); }) ==
                    long_text(1001).substr(0, 1000)));
        asked.upstream.answer(long_text(2000));
        BOOST_TEST((asked.server.serve([&] { return asked.client.receive_datagram(); }) ==
                    long_text(2000).substr(0, 1000)));
        asked.client.send(long_text(1000));
        BOOST_TEST(
            (asked.server.serve([&] { return asked.upstream.receive(); }) == long_text(1000)));
    }
    // One line for each direction.
    BOOST_TEST(count(asked.log(), "datagrams of more than 1000 bytes are cut while proxying and "
                                  "reading from ") == 2U);
    Server::pass(20'000);
    BOOST_TEST(contains(asked.log(), " udp packets from client dropped:0, packets from "
                                     "client/upstream cut:2/2\n"));
}

BOOST_AUTO_TEST_CASE(a_session_ends_when_it_has_its_answers)
{
    Asked asked("proxy_responses 2;");
    BOOST_TEST(asked.is_answered("one"));
    BOOST_TEST(asked.server.connections().size() == 2U);
    BOOST_TEST(asked.is_answered("two"));
    asked.server.finish();
    BOOST_TEST(contains(asked.log(), "udp done, packets from/to client:1/2, bytes from/to "
                                     "client:8/6, bytes from/to upstream:6/8\n"));
}

BOOST_AUTO_TEST_CASE(a_session_that_waits_for_no_answers_ends_at_once)
{
    const Server server(proxying_udp("proxy_responses 0;"));
    Answering upstream(server);
    const Client client = server.connect();
    client.send("log line");
    server.accept();
    server.finish();
    BOOST_TEST(upstream.receive() == "log line");
}

BOOST_AUTO_TEST_CASE(after_so_many_requests_the_client_begins_a_new_session)
{
    Asked asked("proxy_requests 2; proxy_responses 1;");
    asked.client.send("second");
    BOOST_TEST(asked.server.serve([&] { return asked.upstream.receive(); }) == "second");
    BOOST_TEST(asked.server.connections().size() == 2U);

    asked.client.send("third");
    asked.server.turn_until([&] { return asked.server.connections().size() == 4; });
    BOOST_TEST(asked.upstream.receive() == "third");
}

BOOST_AUTO_TEST_CASE(the_first_request_alone_may_make_a_session)
{
    Asked asked("proxy_requests 1;");
    asked.client.send("second");
    asked.server.turn_until([&] { return asked.server.connections().size() == 4; });
    BOOST_TEST(asked.is_answered("to the first"));
}

BOOST_AUTO_TEST_CASE(a_session_that_is_silent_ends)
{
    Asked asked("proxy_timeout 20s;");
    BOOST_TEST(asked.is_answered("answer"));
    Server::pass(20'000);
    BOOST_TEST(asked.server.connections().empty());
    BOOST_TEST(contains(asked.log(), "udp timed out, packets from/to client:1/1, bytes from/to "
                                     "client:8/6, bytes from/to upstream:6/8\n"));
}

BOOST_AUTO_TEST_CASE(a_missing_answer_is_a_failure_of_the_upstream)
{
    Asked asked("proxy_responses 1;");
    Server::pass(600'000);
    BOOST_TEST(asked.server.connections().empty());
    BOOST_TEST(contains(asked.log(), "upstream timed out (110: Connection timed out) while "
                                     "proxying connection, udp client: 127.0.0.1, server: "));
}

BOOST_AUTO_TEST_CASE(an_unreachable_upstream_is_reported_by_the_next_read)
{
    const Server server(proxying_udp("proxy_responses 1;"));
    const Client client = server.connect();
    client.send("question");
    server.accept();
    server.finish();
    BOOST_TEST(contains(read_file(server.dir / "info"),
                        "(111: Connection refused) while proxying and reading from upstream"));
}

BOOST_AUTO_TEST_CASE(after_an_error_of_one_datagram_the_session_goes_on)
{
    const Server server(proxying_udp(""));
    const Client client = server.connect();
    for (std::size_t errors = 1; errors <= 2; errors++) {
        client.send("lost");
        server.turn_until([&] {
            return count(read_file(server.dir / "info"), "(111: Connection refused)") == errors;
        });
    }
    const Event& rev = *session_of(server).upstream->peer.connection->read;
    BOOST_TEST(unsigned{rev.error} == 1);

    Answering upstream(server);
    for (int i = 0; i < 5; i++) {
        client.send("question");
        BOOST_TEST(server.serve([&] { return upstream.receive(); }) == "question");
        upstream.answer(long_text(9000));
        BOOST_TEST((server.serve([&] { return client.receive_datagram(); }) == long_text(9000)), i);
    }
    BOOST_TEST(server.connections().size() == 2U);
    BOOST_TEST(unsigned{rev.error} == 0);
}

BOOST_AUTO_TEST_CASE(data_after_an_error_is_read)
{
    Asked asked;
    const FakeCall refused(Call::recv, {.err = ECONNREFUSED});
    BOOST_TEST(asked.is_answered("answer"));
    BOOST_TEST(asked.server.connections().size() == 2U);
}

BOOST_AUTO_TEST_CASE(an_error_of_an_earlier_datagram_does_not_lose_the_next)
{
    Asked asked;
    const FakeCall refused(Call::sendmsg, {.err = ECONNREFUSED});
    asked.client.send("second");
    BOOST_TEST(asked.server.serve([&] { return asked.upstream.receive(); }) == "second");
    BOOST_TEST(asked.is_answered("answer"));
    BOOST_TEST(asked.server.connections().size() == 2U);
}

BOOST_AUTO_TEST_CASE(a_datagram_that_was_sent_clears_the_failure_of_the_peer)
{
    const Server server(proxying_udp(""));
    const Client client = server.connect();
    client.send("lost");
    server.turn_until([&] { return contains(read_file(server.dir / "info"), "(111: "); });
    Answering upstream(server);
    client.send("log line");
    BOOST_TEST(server.serve([&] { return upstream.receive(); }) == "log line");
    BOOST_TEST(unsigned{session_of(server).upstream->peer.connection->read->error} == 0);
}

BOOST_AUTO_TEST_CASE(a_socket_that_can_be_read_no_more_ends_the_session)
{
    Asked asked;
    const FakeCall broken(Call::recv, {.err = EBADF}, FakeCall::always);
    asked.upstream.answer("answer");
    asked.server.finish();
    BOOST_TEST(broken.calls() == 2);
}

BOOST_AUTO_TEST_CASE(a_socket_that_can_be_written_no_more_ends_the_session)
{
    Asked asked;
    const FakeCall broken(Call::sendmsg, {.err = EPERM}, FakeCall::always);
    asked.client.send("second");
    asked.server.finish();
    BOOST_TEST(broken.calls() == 2);
}

BOOST_AUTO_TEST_CASE(the_header_is_a_part_of_the_first_datagram)
{
    const Server server(proxying_udp("proxy_protocol on;"));
    Answering upstream(server);
    const Client client = server.connect();
    client.send("question");
    server.turn_until([&] { return server.connections().size() == 2; });
    const std::string got = upstream.receive();
    BOOST_TEST(got.starts_with("PROXY "), got);
    BOOST_TEST(got.ends_with("\r\nquestion"), got);
    client.send("second");
    BOOST_TEST(server.serve([&] { return upstream.receive(); }) == "second");
}

BOOST_AUTO_TEST_CASE(a_rate_holds_datagrams_back_as_a_whole)
{
    Asked asked("proxy_download_rate 1k;");
    BOOST_TEST(asked.is_answered(long_text(1500)));
    const Event& rev = *session_of(asked.server).upstream->peer.connection->read;
    BOOST_TEST(unsigned{rev.delayed} == 1);
    BOOST_TEST(rev.timer_set());
}

BOOST_AUTO_TEST_CASE(a_session_ends_with_the_socket_that_it_shares)
{
    Asked asked;
    BOOST_TEST(asked.is_answered("answer"));
    close_listening_sockets(*asked.server.cycle);
    BOOST_TEST(asked.server.connections().empty());
    BOOST_TEST(contains(asked.log(), " disconnected on shutdown\n"));
}

BOOST_AUTO_TEST_CASE(a_session_whose_socket_is_closed_waits_for_the_answers_that_are_missing)
{
    for (const char* const directives : {"", "proxy_responses 2;"}) {
        Asked asked(directives);
        if (*directives != '\0') {
            BOOST_TEST(asked.is_answered("first of two"));
        }
        close_listening_sockets(*asked.server.cycle);
        BOOST_TEST(asked.server.connections().size() == 2);
        BOOST_TEST(asked.is_answered("answer"));
        BOOST_TEST(asked.server.connections().empty());
    }
}

BOOST_AUTO_TEST_CASE(a_session_whose_socket_is_closed_waits_no_longer_than_its_timeout)
{
    Asked asked("proxy_timeout 1s;");
    close_listening_sockets(*asked.server.cycle);
    BOOST_TEST(asked.server.connections().size() == 2);
    current_msec += 1001;
    event_expire_timers();
    BOOST_TEST(asked.server.connections().empty());
}

BOOST_AUTO_TEST_CASE(an_upstream_that_sends_a_lot_does_not_keep_the_turn_from_its_end)
{
    const Asked asked;
    constexpr std::size_t n = udp_max_per_turn + 10;
    for (std::size_t i = 0; i < n; i++) {
        asked.upstream.answer("a");
    }
    const StreamUpstream& u = *session_of(asked.server).upstream;
    asked.server.turn_until([&] { return u.upstream.packets != 0; });
    BOOST_TEST(u.upstream.packets == udp_max_per_turn);
    asked.server.turn_until([&] { return u.upstream.packets == n; });
}

BOOST_AUTO_TEST_CASE(a_session_of_datagrams_is_logged)
{
    Asked asked("proxy_responses 1;");
    BOOST_TEST(asked.is_answered("answer"));
    asked.server.finish();
    const std::string log = asked.server.shorten(asked.log());
    BOOST_TEST(contains(log, " udp client 127.0.0.1:"));
    BOOST_TEST(contains(log, " udp proxy 127.0.0.1:"));
    BOOST_TEST(contains(log, " connected to 127.0.0.1:PORT2\n"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
