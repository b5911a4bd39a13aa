// System calls that fail once or always: a start is refused or succeeds, a refused reload does not
// change the server, and a call that always fails does not fill the log.

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <ostream>

#include "test/process/client.hpp"
#include "test/process/faults.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// A failing call at a start or at a reload, and its log line.
struct Failure {
    const char* call;
    int err;
    const char* when;
    std::string part;  // a part of the path that is opened
    std::string message;

    [[nodiscard]] Fault fault() const
    {
        const bool once = when == std::string_view("once");
        return {.call = call, .err = err, .times = once ? 1 : always, .part = part};
    }

    [[nodiscard]] std::string text() const
    {
        return fmt::format("{} {} {} {}\n", call, err, when, part);
    }
};

struct Start {
    Port port;
    ServerConf conf{.stream = server_block(port, "return hello;"), .workers = 2};
    TempDir dir;

    /// Runs a server whose start should fail.
    RunResult run(const Failure& failure) const
    {
        write_file(dir / "nginx.conf", conf.text());
        Faults faults(dir / "fault");
        faults.arm(failure.fault());
        return test::run({setup().binary, "-p", dir.path(), "-c", "nginx.conf"},
                         {.env = faults.env()});
    }
};

/// Checks that the failure prevents a start.
void refuses(const Failure& failure, std::string_view main = "")
{
    Start start;
    start.conf.main = main;
    const RunResult result = start.run(failure);
    BOOST_TEST(result.status.exited_with(1), failure.text() << result.status);
    std::string log = result.err;
    if (std::filesystem::exists(start.dir / "error.log")) {
        log += read_file(start.dir / "error.log");
    }
    BOOST_TEST(log.find(failure.message) != log.npos, failure.text() << failure.message << log);
    BOOST_TEST(!std::filesystem::exists(start.dir / "ngxx.pid"), failure.text());
    BOOST_TEST(connect_error(start.port) == ECONNREFUSED, failure.text());
}

/// A running server in which calls can be made to fail.
struct Faulty {
    explicit Faulty(ServerConf server_conf)
        : conf(std::move(server_conf))
        , server(conf, 1024, faults.env())
    {}

    TempDir dir;
    Faults faults{dir / "fault"};
    ServerConf conf;
    Server server;
};

/// Checks that the failure prevents a reload, and that the next reload succeeds.
void keeps_the_old(const Failure& failure)
{
    Port port;
    Port added;
    ServerConf conf{.stream = server_block(port, "return old;"), .workers = 2};
    Faulty faulty(conf);
    Server& server = faulty.server;
    for (const char* const text : {failure.message.c_str(), "the old ones go on",
                                   "cannot be respawned", "still could not bind()"}) {
        server.allow(text);
    }
    const std::vector<pid_t> workers = server.workers();
    faulty.faults.arm(failure.fault());
    conf.stream = server_block(port, "return new;") + server_block(added, "return added;");
    conf.main += " working_directory /;";
    server.write_conf(conf);
    const std::size_t errors = failure.err == EADDRINUSE ? 5 : 1;
    server.signal(SIGHUP);
    server.wait_for_log(failure.message, errors);
    server.settle();
    server.wait_for_workers(workers.size());
    BOOST_TEST(server.workers() == workers, boost::test_tools::per_element());
    BOOST_TEST(ask(port) == "old", failure.text());

    faulty.faults.disarm();
    server.reload(conf);
    BOOST_TEST(ask(port) == "new", failure.text());
    BOOST_TEST(ask(added) == "added", failure.text());
}

/// Kills a worker, and makes the starts of the next workers fail for a moment.
void starts_at_last(const char* call, const std::vector<int>& errs)
{
    constexpr int times = 4;
    Port port;
    Faulty faulty({.stream = server_block(port, "return hello;"), .workers = 2});
    Server& server = faulty.server;
    for (const std::string text : {"exited on signal 9", call, "has ended early once more"}) {
        server.allow(text);
    }
    std::size_t exits = 0;
    for (const int err : errs) {
        faulty.faults.arm({.call = call, .err = err, .times = times});
        ::kill(server.workers().front(), SIGKILL);
        exits += times;
        server.wait_for_log("exited with code 2\n", exits);
        server.wait_for_workers(2);
        BOOST_TEST(ask(port) == "hello");
    }
}

/// Checks that a client of a long fault is served when the fault ends, and that the log has at most
/// one line per second of the fault.
void fails_for_long(Fault fault, const char* multi_accept)
{
    constexpr int times = 10'000;
    const Port port;
    const Port udp_port(SOCK_DGRAM);
    const auto begin = Clock::now();
    Faulty faulty({.stream = server_block(port, "echo;") +
                             server_block(udp_port, "echo; echo_timeout 5ms;", "udp"),
                   .events = fmt::format("worker_connections 64; multi_accept {};", multi_accept)});
    BOOST_TEST_CONTEXT(fault.call << ' ' << ::strerrorname_np(fault.err) << ", multi_accept "
                                  << multi_accept)
    {
        const std::string said = fault.call + "() failed";
        faulty.server.allow(said);
        fault.times = times;
        faulty.faults.arm(fault);
        if (fault.call == "recvmsg") {
            BOOST_TEST(UdpClient(udp_port).ask("hello") == "hello");
        } else {
            BOOST_TEST(Client(port).echo("hello") == "hello");
        }
        const std::size_t told = count(faulty.server.log(), said);
        const auto took = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin);
        BOOST_TEST(faulty.faults.hits() == times);
        BOOST_TEST(told >= 1U);
        BOOST_TEST(told <= static_cast<std::size_t>(took.count()) + 2);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fault)

BOOST_AUTO_TEST_CASE(a_start_without_processes_channels_or_shared_memory_is_refused)
{
    for (const char* const when : {"once", "always"}) {
        refuses({"fork", EAGAIN, when, "", "[alert] "});
        refuses({"fork", EAGAIN, when, "",
                 "fork() failed while spawning \"worker process\" (11: Resource temporarily "});
        refuses(
            {"socketpair", EMFILE, when, "",
             "socketpair() failed while spawning \"worker process\" (24: Too many open files)"});
        refuses({"mmap", ENOMEM, when, "", "(12: Cannot allocate memory)"});
    }
}

BOOST_AUTO_TEST_CASE(workers_that_cannot_become_their_user_end_the_start,
                     *precondition(we_are_root))
{
    for (const char* const when : {"once", "always"}) {
        refuses({"setuid", EAGAIN, when, "", "setuid(65534) failed (11: Resource temporarily "},
                "user nobody nogroup;");
        refuses({"setgid", EPERM, when, "", "setgid(65534) failed (1: Operation not permitted)"},
                "user nobody nogroup;");
    }
}

BOOST_AUTO_TEST_CASE(sockets_and_logs_that_cannot_be_opened_end_the_start)
{
    for (const char* const when : {"once", "always"}) {
        refuses({"bind", EACCES, when, "", "failed (13: Permission denied)"});
        refuses({"listen", EOPNOTSUPP, when, "", "failed (95: Operation not supported)"});
        refuses({"open", EACCES, when, "second.log", "second.log\" failed (13: Permission denied)"},
                "error_log second.log;");
        refuses({"open", EMFILE, when, "ngxx.pid", "ngxx.pid\" failed (24: Too many open files)"});
    }
    refuses({"bind", EADDRINUSE, "always", "", "[emerg] still could not bind()"});
}

BOOST_AUTO_TEST_CASE(an_address_in_use_for_a_moment_is_tried_again)
{
    for (const char* const call : {"bind", "listen"}) {
        Port port;
        const TempDir dir;
        Faults faults(dir / "fault");
        faults.arm({.call = call, .err = EADDRINUSE});
        Server server({.stream = server_block(port, "return hello;"), .workers = 2}, 1024,
                      faults.env());
        server.allow("Address already in use");
        BOOST_TEST(ask(port) == "hello");
    }
}

BOOST_AUTO_TEST_CASE(a_reload_without_processes_or_channels_leaves_the_old_workers)
{
    for (const char* const when : {"once", "always"}) {
        keeps_the_old({"fork", EAGAIN, when, "", "fork() failed while spawning"});
        keeps_the_old({"socketpair", EMFILE, when, "", "socketpair() failed while spawning"});
    }
}

BOOST_AUTO_TEST_CASE(a_reload_whose_workers_cannot_become_their_user_leaves_the_old_ones,
                     *precondition(we_are_root))
{
    for (const char* const when : {"once", "always"}) {
        keeps_the_old({"setuid", EAGAIN, when, "", "setuid(0) failed"});
    }
}

BOOST_AUTO_TEST_CASE(a_reload_without_sockets_or_logs_changes_nothing)
{
    for (const char* const when : {"once", "always"}) {
        keeps_the_old({"bind", EACCES, when, "", "failed (13: Permission denied)"});
        keeps_the_old({"listen", EOPNOTSUPP, when, "", "failed (95: Operation not supported)"});
        keeps_the_old({"open", EACCES, when, "error.log", "open() "});
    }
}

BOOST_AUTO_TEST_CASE(a_worker_that_cannot_be_started_again_is_tried_again)
{
    Port port;
    Faulty faulty({.stream = server_block(port, "return hello;"), .workers = 2});
    Server& server = faulty.server;
    for (const char* const text :
         {"exited on signal 9", "fork() failed while spawning", "could not respawn"}) {
        server.allow(text);
    }
    for (const int times : {1, always}) {
        const std::size_t before = count(server.log(), "could not respawn worker process\n");
        faulty.faults.arm({.call = "fork", .err = EAGAIN, .times = times});
        ::kill(server.workers().front(), SIGKILL);
        server.wait_for_log("could not respawn worker process\n", before + 1);
        BOOST_TEST(ask(port) == "hello");
        faulty.faults.disarm();
        server.wait_for_workers(2);
    }
}

BOOST_AUTO_TEST_CASE(a_worker_that_cannot_become_its_user_for_a_moment_is_tried_again,
                     *precondition(we_are_root))
{
    starts_at_last("setuid", {EAGAIN});
}

BOOST_AUTO_TEST_CASE(a_worker_that_gets_no_epoll_descriptor_for_a_moment_is_tried_again,
                     *precondition(method_is_epoll))
{
    starts_at_last("epoll_create1", {EMFILE, ENFILE});
}

// accept4() and recvmsg() are called again at once, because the client still waits.
BOOST_AUTO_TEST_CASE(calls_that_fail_for_ever_do_not_fill_the_log_and_clients_are_served_afterwards)
{
    for (const char* const multi_accept : {"off", "on"}) {
        for (const int err : {ECONNABORTED, EPROTO, EINTR}) {
            fails_for_long({.call = "accept4", .err = err, .stays = true}, multi_accept);
        }
        for (const int err : {EINTR, EBADF}) {
            fails_for_long({.call = "recvmsg", .err = err}, multi_accept);
        }
    }
    fails_for_long({.call = wait_call(), .err = EINTR}, "off");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
