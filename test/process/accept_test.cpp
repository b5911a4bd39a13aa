#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include <set>
#include <string>
#include <vector>

#include "test/process/client.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// Returns the answers of a server that returns the variable. All clients wait before it accepts
/// one.
std::vector<std::string> burst(const Port& port, const char* variable, const char* multi_accept)
{
    constexpr std::size_t clients_n = 500;  // fewer than the backlog
    Server server(
        {.stream = server_block(port, fmt::format("return {};", variable)),
         .events = fmt::format("worker_connections 512; multi_accept {};", multi_accept)});
    server.pause();
    std::vector<Client> clients;
    for (std::size_t i = 0; i < clients_n; ++i) {
        clients.emplace_back(port);
    }
    server.resume();
    std::vector<std::string> answers;
    for (const Client& client : clients) {
        answers.push_back(client.receive_all());
    }
    return answers;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(accept)

BOOST_AUTO_TEST_CASE(a_burst_of_clients_is_served_in_its_order)
{
    for (const char* const multi_accept : {"on", "off"}) {
        const Port port;
        const std::vector<std::string> answers = burst(port, "$connection", multi_accept);
        for (std::size_t i = 0; i < answers.size(); ++i) {
            BOOST_TEST_REQUIRE(answers[i] == std::to_string(i + 1), multi_accept);
        }
    }
}

// The loop reads the time once in a turn.
BOOST_AUTO_TEST_CASE(multi_accept_takes_all_that_wait_in_one_turn)
{
    const auto times = [](const char* multi_accept) {
        const Port port;
        const std::vector<std::string> answers = burst(port, "$msec", multi_accept);
        return std::set<std::string>(answers.begin(), answers.end()).size();
    };
    BOOST_TEST(times("on") == 1U);
    BOOST_TEST(times("off") > 1U);
}

BOOST_AUTO_TEST_CASE(what_was_sent_before_the_accept_is_seen)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    const std::string text = long_text(50'000);

    server.pause();
    const Client talks(port);
    talks.send(text);
    const Client ends(port);
    ends.finish();
    const Client talks_and_ends(port);
    talks_and_ends.send(text);
    talks_and_ends.finish();
    server.resume();

    BOOST_TEST((talks.receive(text.size()) == text));
    BOOST_TEST(ends.receive_all() == "");
    BOOST_TEST((talks_and_ends.receive_all() == text));
}

BOOST_AUTO_TEST_CASE(clients_that_close_before_the_accept_are_harmless)
{
    const Port port;
    Server server({.stream = server_block(port, "return hello;")});
    const std::size_t before = server.descriptors();
    server.pause();
    for (int i = 0; i < 10; ++i) {
        Client(port).reset();
        Client(port).close();
    }
    const Client stays(port);
    server.resume();
    BOOST_TEST(stays.receive_all() == "hello");
    server.wait_for_descriptors(before);
}

BOOST_AUTO_TEST_CASE(the_end_of_data_is_found_after_the_data)
{
    // The client's end arrives while the server has more unread data than one buffer holds and the
    // client receives nothing: the socket has no further event for the end.
    const Port port;
    Server server({.stream = server_block(port, "echo; echo_buffer_size 1k;", "sndbuf=8k")});
    const Client client(port, "127.0.0.1", {.receive = 4096});
    const std::string text = long_text(60'000);
    const std::size_t sent = client.send_until_full(text);
    client.finish();
    server.settle();
    BOOST_TEST((client.receive_all() == text.substr(0, sent)));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(leak)

BOOST_AUTO_TEST_CASE(a_thousand_clients_and_twenty_reloads_leave_no_descriptor_open)
{
    const Port echo;
    const Port text;
    const ServerConf conf{.stream = server_block(echo, "echo;") +
                                    server_block(text, "return hello; error_log other.log;"),
                          .log_level = "notice"};
    Server server(conf);
    // The logs of the previous configuration stay open until the next reload.
    server.reload(conf);
    const std::size_t before = server.descriptors();

    for (int reload = 0; reload < 20; ++reload) {
        const Client over(echo);
        BOOST_TEST_REQUIRE(over.echo("hello") == "hello");
        server.reload(conf);
        BOOST_TEST_REQUIRE(over.echo("hello") == "hello");
        for (int i = 0; i < 25; ++i) {
            BOOST_TEST_REQUIRE(Client(echo).echo("hello") == "hello");
            BOOST_TEST_REQUIRE(ask(text) == "hello");
        }
    }
    server.wait_for_descriptors(before);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
