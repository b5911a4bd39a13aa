#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include <chrono>
#include <future>
#include <memory>
#include <vector>

#include "test/process/client.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

constexpr std::size_t megabyte = 1024 * 1024;

/// Sends a text and reads the echo in another thread. Returns whether it is the same.
bool comes_back(const Client& client, const std::string& text)
{
    auto got = std::async(std::launch::async, [&] { return client.receive(text.size()); });
    client.send(text);
    return got.get() == text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_echo)

BOOST_AUTO_TEST_CASE(every_byte_is_sent_back_unchanged)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    const Client client(port);
    for (int value = 0; value < 256; ++value) {
        const std::string byte(1, static_cast<char>(value));
        BOOST_REQUIRE(client.echo(byte) == byte);
    }
}

BOOST_AUTO_TEST_CASE(a_buffer_of_one_byte_is_enough)
{
    const Port port;
    Server server({.stream = server_block(port, "echo; echo_buffer_size 1;")});
    const std::string text = long_text(10'000);
    BOOST_TEST(comes_back(Client(port), text));
}

BOOST_AUTO_TEST_CASE(megabytes_are_sent_back_unchanged)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    BOOST_TEST(comes_back(Client(port), long_text(16 * megabyte)));
}

BOOST_AUTO_TEST_CASE(a_client_that_does_not_read_is_not_read_from)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;", "rcvbuf=32k sndbuf=32k")});
    const Client client(port, "127.0.0.1", {.receive = 32 * 1024, .send = 32 * 1024});
    const std::string text = long_text(16 * megabyte);

    // Four socket buffers, doubled by the kernel, and the server's own buffer.
    const std::size_t sent = client.send_until_full(text);
    BOOST_TEST(sent < megabyte);

    auto got = std::async(std::launch::async, [&] { return client.receive_all(); });
    client.send(std::string_view(text).substr(sent, megabyte));
    client.finish();
    BOOST_TEST((got.get() == text.substr(0, sent + megabyte)));
}

BOOST_AUTO_TEST_CASE(data_before_a_half_close_is_sent_back_before_the_end)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16'384}, megabyte}) {
        const Client client(port);
        const std::string text = long_text(size);
        auto got = std::async(std::launch::async, [&] { return client.receive_all(); });
        client.send(text);
        client.finish();
        BOOST_TEST((got.get() == text), "of " << size << " bytes");
    }
}

BOOST_AUTO_TEST_CASE(a_slow_reader_gets_all_after_a_half_close)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;", "sndbuf=8k")});
    const Client client(port, "127.0.0.1", {.receive = 4096});
    const std::string text = long_text(megabyte);
    const std::size_t sent = client.send_until_full(text);
    client.finish();
    BOOST_TEST((client.receive_all() == text.substr(0, sent)));
}

BOOST_AUTO_TEST_CASE(an_idle_client_is_closed_and_the_log_says_why)
{
    const Port port;
    Server server({.stream = server_block(port, "echo; echo_timeout 200ms;")});
    const auto start = Clock::now();
    const Client client(port);
    BOOST_TEST(client.echo("x") == "x");
    BOOST_TEST(client.receive_all() == "");
    BOOST_TEST((Clock::now() - start >= std::chrono::milliseconds(150)));
    server.wait_for_log(fmt::format("*1 connection timed out (110: Connection timed out) while "
                                    "echoing data, client: 127.0.0.1, server: {}\n",
                                    port.at("127.0.0.1")));
}

BOOST_AUTO_TEST_CASE(a_client_that_does_not_take_its_data_back_is_closed)
{
    const Port port;
    Server server(
        {.stream = server_block(port, "echo; echo_timeout 200ms;", "rcvbuf=8k sndbuf=8k")});
    const Client client(port, "127.0.0.1", {.receive = 4096, .send = 4096});
    (void)client.send_until_full(long_text(megabyte));
    server.wait_for_log("connection timed out (110: Connection timed out) while echoing data");
}

BOOST_AUTO_TEST_CASE(a_busy_client_is_not_closed_by_the_idle_timeout)
{
    const Port port;
    const Port pause;
    Server server({.stream = server_block(port, "echo; echo_timeout 1s;") +
                             server_block(pause, "discard; discard_timeout 100ms;")});
    const Client client(port);
    const Deadline end = deadline_in(std::chrono::milliseconds(1500));
    while (Clock::now() < end) {
        BOOST_TEST_REQUIRE(client.echo("still here") == "still here");
        (void)Client(pause).receive_all();
    }
    BOOST_TEST(count(server.log(), "while echoing data") == 0U);
}

BOOST_AUTO_TEST_CASE(interleaved_clients_get_their_own_text_back)
{
    constexpr std::size_t clients_n = 100;
    const Port port;
    Server server({.stream = server_block(port, "echo;"), .events = "worker_connections 128;"});

    std::vector<Client> clients;
    for (std::size_t i = 0; i < clients_n; ++i) {
        clients.emplace_back(port);
    }
    for (std::size_t round = 0; round < 10; ++round) {
        const auto text = [&](std::size_t i) { return fmt::format("{} in round {}.", i, round); };
        for (std::size_t i = 0; i < clients_n; ++i) {
            clients[i].send(text(i));
        }
        for (std::size_t i = clients_n; i-- > 0;) {
            BOOST_REQUIRE(clients[i].receive(text(i).size()) == text(i));
        }
    }
}

BOOST_AUTO_TEST_CASE(clients_that_close_early_leave_nothing_behind)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    const Client witness(port);
    BOOST_TEST(witness.echo("x") == "x");
    const std::size_t before = server.descriptors();

    for (int i = 0; i < 20; ++i) {
        Client(port).close();
        Client talks(port);
        BOOST_TEST(talks.echo("x") == "x");
        talks.reset();
        Client unread(port);
        unread.send(long_text(100'000));
        unread.reset();
    }
    server.wait_for_descriptors(before);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(stream_discard)

BOOST_AUTO_TEST_CASE(megabytes_are_discarded_and_the_end_is_answered)
{
    const Port port;
    Server server({.stream = server_block(port, "discard;")});
    const Client client(port);
    client.send(long_text(16 * megabyte));
    client.finish();
    BOOST_TEST(client.receive_all() == "");
}

BOOST_AUTO_TEST_CASE(an_idle_client_is_closed_and_the_log_says_why)
{
    const Port port;
    Server server({.stream = server_block(port, "discard; discard_timeout 200ms;")});
    const auto start = Clock::now();
    const Client client(port);
    client.send("x");
    BOOST_TEST(client.receive_all() == "");
    BOOST_TEST((Clock::now() - start >= std::chrono::milliseconds(150)));
    server.wait_for_log(fmt::format("*1 connection timed out (110: Connection timed out) while "
                                    "discarding data, client: 127.0.0.1, server: {}\n",
                                    port.at("127.0.0.1")));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
