// The TCP proxy between real servers and real clients.

#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "test/process/client.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// Returns a `server {}` that proxies to a port of 127.0.0.1.
std::string proxy_block(const Port& port, const Port& upstream, std::string_view more = "")
{
    return server_block(port, fmt::format("proxy_pass 127.0.0.1:{}; {}", upstream.text(), more));
}

// Redis.

class Redis {
public:
    Redis()
        : child_({"redis-server", "--port", port_.text(), "--bind", "127.0.0.1", "--dir",
                  dir_.path(), "--save", "", "--appendonly", "no"})
    {
        wait_for_text(child_.out_path(), "Ready to accept connections", patience(), 1, &child_);
    }

    [[nodiscard]] const Port& port() const { return port_; }

private:
    Port port_;
    TempDir dir_;
    Child child_;
};

std::string ask_redis(const Port& port, std::string_view command)
{
    const Client client(port);
    client.send(fmt::format("{}\r\nQUIT\r\n", command));
    return client.receive_all();
}

// Two sides that send at the same time.

struct Side {
    Client client;
    std::string says;
    std::size_t sent = 0;
    std::string heard{};
    /// The number of bytes that it sends or receives at once.
    std::size_t step = 0;
};

std::size_t talk(Side& side)
{
    const std::string_view left = std::string_view(side.says).substr(side.sent, side.step);
    const std::size_t n = left.empty() ? 0 : side.client.send_some(left);
    side.sent += n;
    return n;
}

std::size_t listen(Side& side)
{
    const std::string text = side.client.receive_some(side.step);
    side.heard += text;
    return text.size();
}

/// A client and the upstream of its session.
struct Pair {
    Side client;
    Side upstream;

    [[nodiscard]] bool done() const
    {
        return client.heard.size() == upstream.says.size() &&
               upstream.heard.size() == client.says.size();
    }
};

std::size_t all_talk(std::vector<Pair>& pairs)
{
    std::size_t n = 0;
    for (Pair& pair : pairs) {
        n += talk(pair.client) + talk(pair.upstream);
    }
    return n;
}

std::size_t all_listen(std::vector<Pair>& pairs)
{
    std::size_t n = 0;
    for (Pair& pair : pairs) {
        n += listen(pair.client) + listen(pair.upstream);
    }
    return n;
}

/// Returns whether one of them can send or, if `events` has POLLIN, receive within the time.
bool wait_for_any(const std::vector<Pair>& pairs, short events, std::chrono::milliseconds limit)
{
    std::vector<pollfd> entries;
    for (const Pair& pair : pairs) {
        for (const Side* side : {&pair.client, &pair.upstream}) {
            const bool more = side->sent < side->says.size();
            entries.push_back({.fd = side->client.fd(),
                               .events = static_cast<short>(more ? events | POLLOUT : events),
                               .revents = 0});
        }
    }
    return ::poll(entries.data(), entries.size(), static_cast<int>(limit.count())) > 0;
}

/// All send without receiving, until the proxy accepts no more data from any of them.
void talk_until_full(std::vector<Pair>& pairs)
{
    constexpr std::chrono::milliseconds quiet(200);
    do {
        while (all_talk(pairs) > 0) {}
    } while (wait_for_any(pairs, 0, quiet));
}

/// All send and receive, each at its own speed, until everything is received.
void talk_to_the_end(std::vector<Pair>& pairs)
{
    constexpr std::chrono::milliseconds limit(60'000);
    while (!std::ranges::all_of(pairs, &Pair::done)) {
        const std::size_t moved = all_talk(pairs) + all_listen(pairs);
        if (moved == 0 && !wait_for_any(pairs, POLLIN, limit)) {
            fail("nothing moves any more");
        }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(proxy)

BOOST_AUTO_TEST_CASE(redis_answers_every_request_of_its_benchmark, *precondition(redis_is_there))
{
    const Redis redis;
    const Port port;
    Server server({.stream = proxy_block(port, redis.port()), .events = "worker_connections 256;"});
    const std::size_t before = server.descriptors();

    const RunResult result = run({"redis-benchmark", "-p", port.text(), "-t", "set,get", "-c", "50",
                                  "-n", "5000", "-r", "1000", "--csv"},
                                 {}, std::chrono::seconds(60));
    BOOST_TEST(result.status.exited_with(0), result.err);
    BOOST_TEST(count(result.out, "\"SET\",") == 1, result.out);
    BOOST_TEST(count(result.out, "\"GET\",") == 1, result.out);

    const std::string stats = ask_redis(port, "INFO commandstats");
    BOOST_TEST(count(stats, "cmdstat_set:calls=5000,") == 1, stats);
    BOOST_TEST(count(stats, "cmdstat_get:calls=5000,") == 1, stats);
    BOOST_TEST(ask_redis(port, "DBSIZE") == ask_redis(redis.port(), "DBSIZE"));
    server.wait_for_descriptors(before);
}

BOOST_AUTO_TEST_CASE(megabytes_go_both_ways_at_once_between_slow_sides)
{
    constexpr std::size_t size = 1'000'000;
    constexpr SocketOptions small{.receive = 32'768, .send = 32'768};
    const Port port;
    const Port behind;
    const Listener upstream(behind, 128, small);
    Server server({.stream = server_block(port,
                                          fmt::format("proxy_pass 127.0.0.1:{}; "
                                                      "proxy_socket_rcvbuf 32k; "
                                                      "proxy_socket_sndbuf 32k;",
                                                      behind.text()),
                                          "rcvbuf=32k sndbuf=32k")});
    const std::size_t before = server.descriptors();

    std::vector<Pair> pairs;
    for (const std::size_t step : {500UL, 3'000UL, 20'000UL, 100'000UL}) {
        Client client(port, "127.0.0.1", small);
        Client other = upstream.accept();
        pairs.push_back({{.client = std::move(client),
                          .says = fmt::format("client {} ", step) + long_text(size),
                          .step = step},
                         {.client = std::move(other),
                          .says = fmt::format("upstream {} ", step) + long_text(2 * size),
                          .step = 100'500 - step}});
    }
    talk_until_full(pairs);
    talk_to_the_end(pairs);
    for (const Pair& pair : pairs) {
        BOOST_TEST((pair.client.heard == pair.upstream.says));
        BOOST_TEST((pair.upstream.heard == pair.client.says));
    }
    pairs.clear();
    server.wait_for_descriptors(before);
}

BOOST_AUTO_TEST_CASE(with_half_close_netcat_gets_the_answer_to_all_its_data,
                     *precondition(netcat_is_there))
{
    const Port port;
    const Port behind;
    const Listener upstream(behind);
    Server server({.stream = proxy_block(port, behind, "proxy_half_close on;")});
    const std::string text = long_text(1'000'000);
    Child netcat({"nc.openbsd", "-N", "127.0.0.1", port.text()}, {.input = text});

    Client other = upstream.accept();
    BOOST_TEST((other.receive_all() == text));
    other.send(text);
    other.close();
    BOOST_TEST(netcat.wait(patience()).exited_with(0));
    BOOST_TEST((netcat.out() == text));
}

BOOST_AUTO_TEST_CASE(with_half_close_a_client_may_go_on_after_the_end_of_the_upstream)
{
    const Port port;
    const Port behind;
    const Listener upstream(behind);
    Server server({.stream = proxy_block(port, behind, "proxy_half_close on;")});
    const Client client(port);
    const Client other = upstream.accept();
    const std::string text = long_text(1'000'000);
    other.send("that was all");
    other.finish();
    BOOST_TEST(client.receive_all() == "that was all");

    std::size_t sent = client.send_until_full(text);
    BOOST_TEST((other.receive(sent) == text.substr(0, sent)));
    client.send(text.substr(sent));
    client.finish();
    BOOST_TEST((other.receive_all() == text.substr(sent)));
}

BOOST_AUTO_TEST_CASE(without_half_close_netcats_end_is_the_end_once_the_upstream_has_all,
                     *precondition(netcat_is_there))
{
    const Port port;
    const Port behind;
    const Listener upstream(behind);
    Server server({.stream = proxy_block(port, behind)});
    const std::string text = long_text(1'000'000);
    Child netcat({"nc.openbsd", "-N", "127.0.0.1", port.text()}, {.input = text});

    const Client other = upstream.accept();
    BOOST_TEST((other.receive_all() == text));
    BOOST_TEST(netcat.wait(patience()).exited_with(0));
    BOOST_TEST(netcat.out() == "");
    server.wait_for_log(fmt::format(
        "client disconnected, bytes from/to client:{0}/0, bytes from/to upstream:0/{0}\n",
        text.size()));
}

BOOST_AUTO_TEST_SUITE_END()

// Upstreams that fail.

namespace {

/// Returns the part of a log line about the session, after the message.
std::string session(const Port& port, const Port& upstream, std::string_view bytes)
{
    return fmt::format(", client: 127.0.0.1, server: 127.0.0.1:{}, upstream: \"127.0.0.1:{}\", {}",
                       port.text(), upstream.text(), bytes);
}

constexpr std::string_view no_bytes = "bytes from/to client:0/0, bytes from/to upstream:0/0\n";

/// A server that is not used for some time after a failure, and a backup for this time.
ServerConf with_backup(const Port& port, const Port& first, const Port& backup,
                       std::string_view fail_timeout)
{
    return {.stream = fmt::format("upstream two {{\n"
                                  "    server 127.0.0.1:{} max_fails=1 fail_timeout={};\n"
                                  "    server 127.0.0.1:{} backup;\n"
                                  "}}\n",
                                  first.text(), fail_timeout, backup.text()) +
                      server_block(port, "proxy_pass two; proxy_connect_timeout 100ms;") +
                      server_block(backup, "return backup;")};
}

/// Returns the readable one of two descriptors.
int wait_for_either(int a, int b)
{
    std::array<pollfd, 2> entries{
        {{.fd = a, .events = POLLIN, .revents = 0}, {.fd = b, .events = POLLIN, .revents = 0}}};
    if (::poll(entries.data(), entries.size(), 60'000) <= 0) {
        fail("neither can be read");
    }
    return entries[0].revents != 0 ? a : b;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(proxy_failures)

BOOST_AUTO_TEST_CASE(a_server_that_refuses_is_skipped_until_it_recovers)
{
    const Port port;
    const Port first;
    const Port backup;
    Server server(with_backup(port, first, backup, "1s"));
    BOOST_TEST(ask(port) == "backup");
    const std::string behind = session(port, first, no_bytes);
    BOOST_TEST(count(server.log(), "[error] ") == 1);
    BOOST_TEST(count(server.log(), "connect() failed (111: Connection refused) while connecting "
                                   "to upstream" +
                                       behind) == 1);
    BOOST_TEST(count(server.log(), "upstream server temporarily disabled while connecting to "
                                   "upstream" +
                                       behind) == 1);

    const Listener back(first);
    wait_until("the first server is used again", [&] {
        const Client client(port);
        return wait_for_either(client.fd(), back.fd()) == back.fd();
    });
    BOOST_TEST(count(server.log(), "[error] ") == 1);
    (void)back.accept();
}

BOOST_AUTO_TEST_CASE(a_server_that_does_not_answer_is_given_up_for_another)
{
    const Port port;
    const Port first;
    const Port backup;
    const Listener silent(first, 0);
    const Client fills_the_queue(first);
    Server server(with_backup(port, first, backup, "1h"));
    BOOST_TEST(ask(port) == "backup");
    BOOST_TEST(count(server.log(), "upstream timed out (110: Connection timed out) while "
                                   "connecting to upstream" +
                                       session(port, first, no_bytes)) == 1);
    // It is not tried again.
    BOOST_TEST(ask(port) == "backup");
    BOOST_TEST(count(server.log(), "[error] ") == 1);
}

BOOST_AUTO_TEST_CASE(no_server_is_left)
{
    const Port port;
    const Port first;
    const Port second;
    Server server({.stream = fmt::format("upstream two {{ server 127.0.0.1:{}; server "
                                         "127.0.0.1:{} backup; }}\n",
                                         first.text(), second.text()) +
                             server_block(port, "proxy_pass two;")});
    BOOST_TEST(ask(port) == "");
    BOOST_TEST(count(server.log(), "connect() failed (111: Connection refused)") == 2);
    BOOST_TEST(ask(port) == "");
    server.wait_for_log(fmt::format("no live upstreams while connecting to upstream, client: "
                                    "127.0.0.1, server: 127.0.0.1:{}, upstream: \"two\", {}",
                                    port.text(), no_bytes));
}

BOOST_AUTO_TEST_CASE(a_reset_in_the_middle_ends_the_session_and_not_the_next)
{
    const Port port;
    const Port behind;
    const Listener upstream(behind);
    Server server({.stream = proxy_block(port, behind)});
    const Client client(port);
    Client other = upstream.accept();
    client.send("hello");
    BOOST_TEST(other.receive(5) == "hello");
    other.send("good");
    BOOST_TEST(client.receive(4) == "good");
    other.reset();
    BOOST_TEST(client.until_closed() == "");
    server.wait_for_log(
        "recv() failed (104: Connection reset by peer) while proxying and reading "
        "from upstream" +
        session(port, behind, "bytes from/to client:5/4, bytes from/to upstream:4/5\n"));

    const Client next(port);
    const Client other_next = upstream.accept();
    next.send("again");
    BOOST_TEST(other_next.receive(5) == "again");
}

BOOST_AUTO_TEST_SUITE_END()

// The end of the server.

BOOST_AUTO_TEST_SUITE(proxy_life)

BOOST_AUTO_TEST_CASE(sessions_go_on_with_the_old_worker_over_a_reload)
{
    const Port port;
    const Port old_behind;
    const Port new_behind;
    const Listener old_upstream(old_behind);
    const Listener new_upstream(new_behind);
    Server server({.stream = proxy_block(port, old_behind), .workers = 1});
    const Client client(port);
    const Client other = old_upstream.accept();
    client.send("before");
    BOOST_TEST(other.receive(6) == "before");

    server.reload({.stream = proxy_block(port, new_behind), .workers = 1});
    const Client next(port);
    const Client next_other = new_upstream.accept();
    next.send("new");
    BOOST_TEST(next_other.receive(3) == "new");
    client.send("after");
    BOOST_TEST(other.receive(5) == "after");
    other.send("still here");
    BOOST_TEST(client.receive(10) == "still here");
    BOOST_TEST(children_of(server.pid()).size() == 2);

    client.finish();
    BOOST_TEST(other.receive_all() == "");
    wait_until("the old worker is gone", [&] { return children_of(server.pid()).size() == 1; });
}

BOOST_AUTO_TEST_CASE(a_graceful_stop_waits_for_sessions)
{
    for (const int workers : {0, 1}) {
        const Port port;
        const Port behind;
        const Listener upstream(behind);
        Server server({.stream = proxy_block(port, behind), .workers = workers});
        const Client client(port);
        const Client other = upstream.accept();
        server.signal(SIGQUIT);
        wait_until("nobody listens", [&] { return connect_error(port) == ECONNREFUSED; });
        client.send("hello");
        BOOST_TEST(other.receive(5) == "hello");
        client.finish();
        BOOST_TEST(other.receive_all() == "");
        BOOST_TEST(server.child().wait(patience()).exited_with(0));
    }
}

BOOST_AUTO_TEST_CASE(worker_shutdown_timeout_ends_sessions)
{
    for (const int workers : {0, 1}) {
        const Port port;
        const Port behind;
        const Listener upstream(behind);
        Server server({.stream = proxy_block(port, behind),
                       .main = "worker_shutdown_timeout 100ms;",
                       .workers = workers});
        const Client client(port);
        const Client other = upstream.accept();
        client.send("hello");
        BOOST_TEST(other.receive(5) == "hello");
        server.signal(SIGQUIT);
        BOOST_TEST(client.receive_all() == "");
        BOOST_TEST(other.receive_all() == "");
        BOOST_TEST(server.child().wait(patience()).exited_with(0));
        BOOST_TEST(count(server.log(),
                         "shutdown timeout while proxying connection" +
                             session(port, behind,
                                     "bytes from/to client:5/0, bytes from/to upstream:0/5\n")) ==
                   1);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
