#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include <csignal>
#include <set>
#include <thread>

#include "test/process/client.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// Returns the numbers of the connections whose start is in a log.
std::multiset<int> logged_connections(const std::filesystem::path& log)
{
    std::multiset<int> numbers;
    for (const std::string& line : lines_of(read_file(log))) {
        if (line.find(" connected to ") != std::string::npos) {
            numbers.insert(std::stoi(line.substr(line.find('*') + 1)));
        }
    }
    return numbers;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reopen)

BOOST_AUTO_TEST_CASE(a_renamed_log_is_followed_by_a_new_one_and_no_line_is_lost)
{
    constexpr int asked = 200;
    const Port port;
    Server server({.stream = server_block(port, "return hello;")});
    const std::filesystem::path rotated = server.dir() / "error.log.1";

    std::thread asker([&] {
        for (int i = 0; i < asked; ++i) {
            (void)ask(port);
        }
    });
    std::filesystem::rename(server.log_path(), rotated);
    server.signal(SIGUSR1);
    asker.join();
    BOOST_TEST(ask(port) == "hello");
    server.wait_for_log(fmt::format("*{} client ", asked + 1));

    std::multiset<int> numbers = logged_connections(rotated);
    numbers.merge(logged_connections(server.log_path()));
    BOOST_TEST(numbers.size() == asked + 1U);
    BOOST_TEST(std::set<int>(numbers.begin(), numbers.end()).size() == asked + 1U);
}

BOOST_AUTO_TEST_CASE(every_log_is_reopened)
{
    const Port port;
    Server server({.stream = "error_log stream.log info;\n" +
                             server_block(port, "return hello; error_log server.log info;")});
    for (const char* name : {"error.log", "stream.log", "server.log"}) {
        BOOST_TEST_REQUIRE(std::filesystem::remove(server.dir() / name), name);
    }
    server.signal(SIGUSR1);
    const Deadline deadline = patience();
    while (!std::filesystem::exists(server.log_path()) && Clock::now() < deadline) {
        BOOST_TEST_REQUIRE(ask(port) == "hello");
    }
    BOOST_TEST(ask(port) == "hello");
    for (const char* name : {"error.log", "stream.log", "server.log"}) {
        BOOST_TEST(std::filesystem::exists(server.dir() / name), name);
    }
    BOOST_TEST(!logged_connections(server.dir() / "server.log").empty());
}

BOOST_AUTO_TEST_CASE(clients_of_an_old_configuration_follow_to_the_new_file)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "echo; echo_timeout 1s;")};
    Server server(conf);
    const Client old(port);
    BOOST_TEST(old.echo("x") == "x");
    conf.stream = server_block(port, "discard;");
    server.reload(conf);

    std::filesystem::rename(server.log_path(), server.dir() / "error.log.1");
    server.signal(SIGUSR1);
    server.wait_for_log("*1 connection timed out");
}

BOOST_AUTO_TEST_CASE(a_log_that_cannot_be_reopened_stays_open)
{
    const Port port;
    Server server({.stream = server_block(port, "return hello;"), .log_file = "logs/error.log"});
    std::filesystem::rename(server.dir() / "logs", server.dir() / "moved");
    server.signal(SIGUSR1);
    const std::filesystem::path moved = server.dir() / "moved" / "error.log";
    wait_for_text(moved, "/logs/error.log\" failed (2: No such file or directory)\n", patience());
    BOOST_TEST(ask(port) == "hello");
    wait_for_text(moved, "*1 client ", patience());
    std::filesystem::rename(server.dir() / "moved", server.dir() / "logs");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(terminate)

BOOST_AUTO_TEST_CASE(term_and_int_end_it_at_once_with_clients_connected)
{
    for (const int number : {SIGTERM, SIGINT}) {
        const Port port;
        Server server({.stream = server_block(port, "echo;")});
        const Client client(port);
        BOOST_TEST(client.echo("hello") == "hello");

        BOOST_TEST(server.stop(number).exited_with(0));
        BOOST_TEST(client.until_closed() == "");
        BOOST_TEST(!std::filesystem::exists(server.pid_path()));
        BOOST_TEST(connect_error(port) == ECONNREFUSED);
        BOOST_TEST(count(server.log(), fmt::format("{0}#{0}: exit\n", server.pid())) == 1U);
    }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(quit)

BOOST_AUTO_TEST_CASE(without_clients_it_ends_at_once)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
    BOOST_TEST(count(server.log(), "gracefully shutting down\n") == 1U);
    BOOST_TEST(!std::filesystem::exists(server.pid_path()));
}

BOOST_AUTO_TEST_CASE(new_clients_are_refused_and_old_ones_are_served_to_their_end)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    const Client first(port);
    const Client second(port);
    BOOST_TEST(first.echo("hello") == "hello");
    BOOST_TEST(second.echo("hello") == "hello");

    server.signal(SIGQUIT);
    server.settle();
    BOOST_TEST(connect_error(port) == ECONNREFUSED);
    BOOST_TEST(first.echo("still here") == "still here");
    first.finish();
    BOOST_TEST(first.receive_all() == "");
    BOOST_TEST(second.echo("still here") == "still here");
    BOOST_TEST(server.child().running());

    second.finish();
    BOOST_TEST(second.receive_all() == "");
    BOOST_TEST(server.child().wait(patience()).exited_with(0));
}

BOOST_AUTO_TEST_CASE(clients_of_old_configurations_are_waited_for_as_well)
{
    const Port port;
    const ServerConf conf{.stream = server_block(port, "echo;")};
    Server server(conf);
    const Client old(port);
    BOOST_TEST(old.echo("hello") == "hello");
    server.reload(conf);

    server.signal(SIGQUIT);
    server.settle();
    BOOST_TEST(old.echo("still here") == "still here");
    old.finish();
    BOOST_TEST(old.receive_all() == "");
    BOOST_TEST(server.child().wait(patience()).exited_with(0));
}

BOOST_AUTO_TEST_CASE(worker_shutdown_timeout_ends_clients_of_all_configurations)
{
    const Port port;
    const Port other;
    const ServerConf conf{.stream = server_block(port, "echo; echo_timeout 1h;") +
                                    server_block(other, "discard;"),
                          .main = "worker_shutdown_timeout 500ms;"};
    Server server(conf);
    const Client old(port);
    BOOST_TEST(old.echo("hello") == "hello");
    server.reload(conf);
    const Client echo(port);
    BOOST_TEST(echo.echo("hello") == "hello");
    const Client discard(other);
    discard.send("hello");
    server.settle();

    const auto start = Clock::now();
    server.signal(SIGQUIT);
    for (const Client* client : {&old, &echo, &discard}) {
        BOOST_TEST(client->receive_all() == "");
    }
    BOOST_TEST(server.child().wait(patience()).exited_with(0));
    BOOST_TEST((Clock::now() - start >= std::chrono::milliseconds(450)));
}

BOOST_AUTO_TEST_CASE(term_ends_it_while_it_waits_for_clients)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    const Client client(port);
    BOOST_TEST(client.echo("hello") == "hello");
    server.signal(SIGQUIT);
    server.settle();
    BOOST_TEST(client.echo("still here") == "still here");
    BOOST_TEST(server.stop(SIGTERM).exited_with(0));
    BOOST_TEST(client.until_closed() == "");
}

BOOST_AUTO_TEST_CASE(a_second_quit_and_a_reload_change_nothing_any_more)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    const Client client(port);
    BOOST_TEST(client.echo("hello") == "hello");
    for (const int number : {SIGQUIT, SIGQUIT, SIGHUP}) {
        server.signal(number);
        server.settle();
    }
    BOOST_TEST(client.echo("still here") == "still here");
    BOOST_TEST(connect_error(port) == ECONNREFUSED);
    client.finish();
    BOOST_TEST(server.child().wait(patience()).exited_with(0));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(signals)

BOOST_AUTO_TEST_CASE(without_a_master_or_a_daemon_the_binary_is_not_changed)
{
    const Port port;
    Server server({.stream = server_block(port, "return hello;")});
    server.allow("the changing binary signal is ignored");
    server.signal(SIGUSR2);
    server.wait_for_log(
        fmt::format("signal 12 (SIGUSR2) received from {}, ignoring\n", ::getpid()));
    server.signal(SIGWINCH);
    server.wait_for_log(fmt::format("signal 28 (SIGWINCH) received from {}\n", ::getpid()));
    server.settle();
    BOOST_TEST(ask(port) == "hello");
}

BOOST_AUTO_TEST_CASE(ignored_signals_are_harmless)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    const Client client(port);
    const std::size_t before = count(server.log(), "received from");
    for (const int number : {SIGCHLD, SIGIO, SIGALRM, SIGPIPE, SIGSYS}) {
        server.signal(number);
        server.settle();
        BOOST_TEST(client.echo("hello") == "hello", number);
        BOOST_TEST(Client(port).echo("hello") == "hello", number);
    }
    // For rtsig SIGIO is an overflow, after which it checks all descriptors.
    const std::size_t meant = setup().method == "rtsig" ? 1 : 0;
    BOOST_TEST(count(server.log(), "received from") == before + 3U + 5U - meant);
}

BOOST_AUTO_TEST_CASE(an_idle_server_handles_each_of_many_reloads)
{
    const Port port;
    const ServerConf conf{.stream = server_block(port, "return hello;")};
    Server server(conf);
    const std::string done = "using the \"" + setup().method + "\" event method\n";
    for (std::size_t i = 1; i <= 200; ++i) {
        server.signal(SIGHUP);
        server.wait_for_log(done, 1 + i);
    }
    BOOST_TEST(ask(port) == "hello");
}

BOOST_AUTO_TEST_CASE(an_idle_server_handles_each_of_many_reopenings)
{
    const Port port;
    Server server({.stream = server_block(port, "return hello;")});
    for (int i = 0; i < 200; ++i) {
        server.settle();
    }
    BOOST_TEST(ask(port) == "hello");
}

BOOST_AUTO_TEST_CASE(a_signal_during_a_reload_is_handled)
{
    for (const int number : {SIGTERM, SIGINT, SIGQUIT}) {
        const Port port;
        ServerConf conf{.stream = server_block(port, "return hello;")};
        Server server(conf);
        // Reading this takes some time, so the signal arrives before the end of the reload.
        conf.main = std::string(8'000'000, '\n');
        server.write_conf(conf);
        server.signal(SIGHUP);
        server.wait_for_log(": reconfiguring\n");
        BOOST_TEST(server.stop(number).exited_with(0), number);
        BOOST_TEST(count(server.log(), "event method\n") == 2U, number);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
