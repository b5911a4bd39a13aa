// Tests only for iouring; the other suites run with it as with each event method.

#include <cerrno>
#include <deque>
#include <string>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "test/process/client.hpp"
#include "test/process/faults.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

BOOST_AUTO_TEST_SUITE(iouring, *precondition(method_is_iouring))

BOOST_AUTO_TEST_CASE(nothing_is_lost_when_a_ring_has_one_submission)
{
    const Port echo;
    const Port proxy;
    Server server({.stream = server_block(echo, "echo;") +
                             server_block(proxy, "proxy_pass 127.0.0.1:" + echo.text() + ";"),
                   .events = "worker_connections 512; iouring_entries 1;"});
    std::deque<Client> clients;
    for (int i = 0; i < 50; i++) {
        clients.emplace_back(echo);
        clients.emplace_back(proxy);
    }
    for (int round = 1; round <= 5; round++) {
        const std::string text = fmt::format("round {}", round);
        server.pause();
        for (const Client& client : clients) {
            client.send(text);
        }
        server.resume();
        for (const Client& client : clients) {
            BOOST_TEST(client.receive(text.size()) == text);
        }
    }
}

BOOST_AUTO_TEST_CASE(workers_without_a_ring_use_epoll_if_the_configuration_permits)
{
    const TempDir dir;
    Faults faults(dir / "fault");
    faults.arm({.call = "io_uring_setup", .err = EPERM, .times = always});
    const Port port;
    Server server({.stream = server_block(port, "echo;"),
                   .events = "worker_connections 64; iouring_fallback on;",
                   .workers = 2},
                  1024, faults.env());
    server.wait_for_log("epoll is used instead");
    BOOST_TEST(Client(port).echo("hello") == "hello");
    faults.disarm();
    server.reload({.stream = server_block(port, "return again;"),
                   .events = "worker_connections 64; iouring_fallback on;",
                   .workers = 2});
    BOOST_TEST(ask(port) == "again");
}

BOOST_AUTO_TEST_CASE(a_reload_that_io_uring_refuses_keeps_the_old_workers)
{
    const TempDir dir;
    Faults faults(dir / "fault");
    const Port port;
    const ServerConf conf{.stream = server_block(port, "return old;"), .workers = 2};
    Server server(conf, 1024, faults.env());
    const std::vector<pid_t> workers = server.workers();
    server.allow("io_uring is refused");
    faults.arm({.call = "io_uring_setup", .err = EPERM, .times = always});
    server.signal(SIGHUP);
    server.wait_for_log("io_uring is refused");
    server.settle();
    BOOST_TEST(server.workers() == workers, boost::test_tools::per_element());
    BOOST_TEST(ask(port) == "old");
    faults.disarm();
    server.reload(conf);
    BOOST_TEST(ask(port) == "old");
}

BOOST_AUTO_TEST_CASE(the_log_says_what_the_kernel_has)
{
    const Port port;
    Server server({.stream = server_block(port, "echo;")});
    server.wait_for_log("io_uring: 512 submissions, ");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
