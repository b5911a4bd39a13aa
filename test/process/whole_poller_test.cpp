// A poller that keeps every promise and has add_conn, but is not epoll: it also reports events
// without a handler.

#include <csignal>
#include <filesystem>
#include <string>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "test/process/client.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

ServerConf on_whole(std::string stream, int workers = 0, std::string method = "whole")
{
    const auto file = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "whole.so";
    ServerConf conf;
    conf.stream = std::move(stream);
    conf.main = fmt::format("load_module {};", file.string());
    conf.method = std::move(method);
    conf.log_level = "notice";
    conf.workers = workers;
    return conf;
}

/// Checks that a server works completely, and that no worker is restarted.
void serves(const std::string& events, int workers)
{
    const Port echo;
    const Port proxy;
    const Port told;
    ServerConf conf =
        on_whole(server_block(echo, "echo;") +
                     server_block(proxy, "proxy_pass 127.0.0.1:" + echo.text() + ";") +
                     server_block(told, "return '[$proxy_protocol_addr]';", "proxy_protocol"),
                 workers);
    conf.events += events;
    Server server(conf);
    const auto begun_with = server.workers();

    const std::string text = long_text(100'000);
    BOOST_TEST(Client(echo).echo("hello") == "hello");
    BOOST_TEST((Client(proxy).echo(text) == text));
    const Client slow(told);
    BOOST_TEST(Client(proxy).echo("meanwhile") == "meanwhile");
    slow.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    BOOST_TEST(slow.receive_all() == "[192.0.2.1]");

    BOOST_TEST(server.workers() == begun_with, boost::test_tools::per_element());
    server.reload(conf);
    BOOST_TEST(Client(proxy).echo("again") == "again");
    BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
    BOOST_TEST(server.log().find("exited on signal") == std::string::npos, server.log());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(whole_poller, *precondition(method_is_epoll))

BOOST_AUTO_TEST_CASE(a_server_without_a_master_serves_with_it)
{
    serves("", 0);
}

BOOST_AUTO_TEST_CASE(a_master_and_its_workers_serve_with_it)
{
    serves("", 2);
}

BOOST_AUTO_TEST_CASE(workers_with_the_accept_mutex_serve_with_it)
{
    serves("accept_mutex on; accept_mutex_delay 10ms;", 2);
}

BOOST_AUTO_TEST_CASE(a_poller_for_one_worker_serves_with_one_and_refuses_a_reload_to_two)
{
    const Port port;
    const std::string block = server_block(port, "echo;");
    Server server(on_whole(block, 1, "alone"));
    BOOST_TEST(Client(port).echo("hello") == "hello");
    server.reload_refused(on_whole(block, 2, "alone").text(),
                          "event method \"alone\" works with one worker only, and "
                          "\"worker_processes\" is 2");
    BOOST_TEST(Client(port).echo("again") == "again");
    BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
}

BOOST_AUTO_TEST_CASE(workers_whose_poller_needs_the_accept_mutex_use_it)
{
    const Port port;
    const std::string block = server_block(port, "echo;");
    Server server(on_whole(block, 2, "in_turn"));
    BOOST_TEST(Client(port).echo("hello") == "hello");
    ServerConf off = on_whole(block, 2, "in_turn");
    off.events += "accept_mutex off;";
    server.reload_refused(off.text(), "event method \"in_turn\" needs \"accept_mutex\" with 2 "
                                      "workers, and it is off");
    BOOST_TEST(Client(port).echo("again") == "again");
    BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
