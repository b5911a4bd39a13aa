// Memory that runs out, and modules that throw: the operation is refused, and the server continues.

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <sstream>

#include "test/process/client.hpp"
#include "test/process/daemon.hpp"
#include "test/process/faults.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

constexpr const char* no_memory = "failed (12: Cannot allocate memory)";

/// The results of the failing allocations of an operation.
struct Table {
    int met = 0;
    int refused = 0;

    void report(std::string_view operation) const
    {
        BOOST_TEST_MESSAGE(fmt::format("{:8}: {:3} allocations failed, {:3} refused, {:3} came "
                                       "about",
                                       operation, met, refused, met - refused));
        BOOST_TEST(met > 0);
    }
};

/// Repeats an operation. The first allocation fails in the first run, and one that is `step` later
/// in each following run, until the operation has no more allocations. The operation returns
/// whether it succeeded.
template <typename Operation>
Table sweep(Faults& faults, pid_t pid, Operation operation, int step = 1)
{
    Table table;
    for (int n = 0;; n += step) {
        faults.arm({.call = "malloc", .err = ENOMEM, .pass = n, .pid = pid});
        const bool done = operation();
        const bool met = faults.hits() > 0;
        faults.disarm();
        BOOST_TEST_REQUIRE((done || met));
        if (!met) {
            return table;
        }
        table.met++;
        table.refused += !done;
    }
}

/// A server whose allocations can be made to fail.
struct Short {
    explicit Short(int workers = 2)
    {
        conf.workers = workers;
        conf.stream = server_block(port, "return hello;") +
                      "upstream u { server 127.0.0.1:9; server 127.0.0.1:19 backup; }\n" +
                      server_block(other, "proxy_pass u;");
    }

    Port port;
    Port other;
    ServerConf conf{.log_level = "notice"};
    TempDir dir;
    Faults faults{dir / "fault"};
};

/// Reloads. Returns whether the new configuration serves.
bool reload(Server& server, std::size_t workers)
{
    const std::string fresh = fmt::format("{0}#{0}: generation ", server.pid());
    const auto generations = [&] {
        const std::string log = server.log();
        return count(log, fresh) - count(log, " is gone: ");
    };
    const std::size_t before = generations();
    server.signal(SIGHUP);
    server.settle();
    server.wait_for_workers(workers);
    return generations() > before;
}

/// Returns the size of a process's address space in bytes.
rlim_t address_space_of(pid_t pid)
{
    std::istringstream in(read_file(fmt::format("/proc/{}/statm", pid)));
    rlim_t pages = 0;
    in >> pages;
    return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

/// Limits the address space of a process during its lifetime.
class AddressSpaceLimit {
public:
    AddressSpaceLimit(pid_t pid, rlim_t more) : pid_(pid)
    {
        const rlimit limit{.rlim_cur = address_space_of(pid) + more, .rlim_max = RLIM_INFINITY};
        BOOST_TEST_REQUIRE(::prlimit(pid_, RLIMIT_AS, &limit, &before_) == 0);
    }
    AddressSpaceLimit(const AddressSpaceLimit&) = delete;
    AddressSpaceLimit& operator=(const AddressSpaceLimit&) = delete;
    ~AddressSpaceLimit() { ::prlimit(pid_, RLIMIT_AS, &before_, nullptr); }

private:
    pid_t pid_;
    rlimit before_{};
};

constexpr rlim_t mib = 1024 * 1024;

}  // namespace

BOOST_AUTO_TEST_SUITE(exceptions)

BOOST_AUTO_TEST_CASE(a_reload_without_memory_keeps_the_old_configuration_and_the_next_works,
                     *precondition(no_sanitizer) * precondition(method_is_epoll))
{
    Short lack(1);
    Server server(lack.conf, 1024, lack.faults.env());
    server.allow(no_memory);
    sweep(lack.faults, server.pid(), [&] {
        const bool done = reload(server, 1);
        BOOST_TEST_REQUIRE(ask(lack.port) == "hello");
        return done;
    }).report("reload");
    BOOST_TEST(reload(server, 1));
    BOOST_TEST(ask(lack.port) == "hello");
    wait_until("the old workers are gone", [&] { return children_of(server.pid()).size() == 1; });
}

BOOST_AUTO_TEST_CASE(without_a_master_a_reload_without_memory_keeps_the_old,
                     *precondition(no_sanitizer) * precondition(method_is_epoll))
{
    Short lack(0);
    Server server(lack.conf, 1024, lack.faults.env());
    server.allow(no_memory);
    int reloads = 0;
    sweep(lack.faults, 0, [&] {
        const std::string text = std::to_string(++reloads);
        ServerConf conf = lack.conf;
        conf.stream = server_block(lack.port, fmt::format("return {};", text));
        server.write_conf(conf);
        server.signal(SIGHUP);
        server.settle();
        lack.faults.disarm();
        BOOST_TEST_REQUIRE(server.child().running());
        return ask(lack.port) == text;
    }).report("single");
    server.reload(lack.conf);
    BOOST_TEST(ask(lack.port) == "hello");
}

BOOST_AUTO_TEST_CASE(a_worker_without_memory_at_its_start_is_started_again,
                     *precondition(no_sanitizer) * precondition(method_is_epoll))
{
    Short lack;
    Server server(lack.conf, 1024, lack.faults.env());
    for (const char* const text : {no_memory, "exited on signal 9", "has ended early once more"}) {
        server.allow(text);
    }
    sweep(lack.faults, 0, [&] {
        const std::string failed = "exited with code 2\n";
        const std::size_t before = count(server.log(), failed);
        const pid_t killed = server.workers().front();
        ::kill(killed, SIGKILL);
        wait_for_end(killed);
        server.wait_for_workers(2);
        const int hits = lack.faults.hits();
        lack.faults.disarm();
        BOOST_TEST_REQUIRE(ask(lack.port) == "hello");
        return hits == 0 || count(server.log(), failed) == before;
    }).report("respawn");
}

BOOST_AUTO_TEST_CASE(a_failed_change_of_the_binary_keeps_the_old_one, *precondition(no_sanitizer))
{
    Short lack;
    const Daemon daemon(lack.conf, lack.faults.env());
    const pid_t pid = daemon.pid();
    sweep(lack.faults, pid, [&] {
        const auto lines = [&](std::string_view text) { return count(daemon.log(), text); };
        const std::size_t failed = lines(no_memory);
        const std::size_t started = lines("start new binary process ");
        ::kill(pid, SIGUSR2);
        wait_until("the change has failed or not", [&] {
            return lines(no_memory) > failed || lines("start new binary process ") > started;
        });
        lack.faults.disarm();
        BOOST_TEST_REQUIRE(ask(lack.port) == "hello");
        return lines(no_memory) == failed;
    }).report("upgrade");
    wait_until("the new one has the pid file",
               [&] { return daemon.pid() != -1 && daemon.pid() != pid; });
}

BOOST_AUTO_TEST_CASE(a_configuration_test_without_memory_logs_the_requested_size,
                     *precondition(no_sanitizer) * precondition(method_is_epoll))
{
    Short lack;
    write_file(lack.dir / "nginx.conf", lack.conf.text());
    sweep(lack.faults, 0, [&] {
        const RunResult result =
            run({setup().binary, "-t", "-p", lack.dir.path(), "-c", "nginx.conf"},
                {.cwd = lack.dir.path(), .env = lack.faults.env()});
        const bool done = result.status.exited_with(0);
        BOOST_TEST_REQUIRE((done || result.status.exited_with(1)), result.err);
        BOOST_TEST_REQUIRE((done || count(result.err, no_memory) > 0), result.err);
        BOOST_TEST_REQUIRE((done || count(result.err, "(") >= 2), result.err);
        return done;
    }).report("-t");
}

BOOST_AUTO_TEST_CASE(a_start_without_memory_exits_with_one_and_leaves_nothing,
                     *precondition(no_sanitizer) * precondition(method_is_epoll))
{
    Short lack(1);
    sweep(
        lack.faults, 0,
        [&] {
            const Daemon daemon(lack.conf, lack.faults.env());
            const ExitStatus& status = daemon.started().status;
            lack.faults.disarm();
            const bool done = status.exited_with(0);
            BOOST_TEST_REQUIRE((done || status.exited_with(1)), status);
            if (done) {
                BOOST_TEST_REQUIRE(ask(lack.port) == "hello");
            } else {
                wait_until("nobody listens",
                           [&] { return connect_error(lack.port) == ECONNREFUSED; });
                BOOST_TEST_REQUIRE(daemon.pid() == -1);
            }
            return done;
        },
        5)
        .report("start");
}

BOOST_AUTO_TEST_CASE(a_file_too_large_for_the_memory_is_refused_with_its_line,
                     *precondition(no_sanitizer))
{
    Short lack;
    Server server(lack.conf);
    std::string servers;
    for (int i = 0; i < 40'000; ++i) {
        servers += fmt::format("upstream u{} {{ server 127.0.0.1:9; }}\n", i);
    }
    ServerConf large = lack.conf;
    large.stream += servers;
    {
        const AddressSpaceLimit limit(server.pid(), 4 * mib);
        server.reload_refused(large.text(),
                              fmt::format("{} in {}:", no_memory, server.conf_path().string()));
    }
    BOOST_TEST(ask(lack.port) == "hello");
    server.reload(lack.conf);
    BOOST_TEST(ask(lack.port) == "hello");
}

BOOST_AUTO_TEST_CASE(a_reload_refuses_more_workers_than_memory_allows, *precondition(no_sanitizer))
{
    Short lack;
    Server server(lack.conf);
    ServerConf many = lack.conf;
    many.workers = 2'000'000'000;
    many.stream = server_block(lack.port, "return many;", "reuseport");
    {
        const AddressSpaceLimit limit(server.pid(), 1024 * mib);
        server.reload_refused(many.text(), no_memory);
    }
    BOOST_TEST(ask(lack.port) == "hello");
    server.reload(lack.conf);
    BOOST_TEST(ask(lack.port) == "hello");
}

BOOST_AUTO_TEST_CASE(a_worker_that_cannot_start_again_and_again_is_started_after_growing_pauses,
                     *precondition(no_sanitizer))
{
    Short lack;
    Server server(lack.conf, 1024, lack.faults.env());
    constexpr const char* once_more =
        "has ended early once more, it is started again after pauses of 100 to 10000 ms\n";
    for (const char* const text : {no_memory, "exited on signal 9", "has ended early once more"}) {
        server.allow(text);
    }
    const auto start = Clock::now();
    lack.faults.arm({.call = "malloc", .err = ENOMEM, .times = always});
    ::kill(server.workers().front(), SIGKILL);
    server.wait_for_log("worker process");
    server.wait_for_log("exited with code 2\n", 5);
    BOOST_TEST((Clock::now() - start >= std::chrono::milliseconds(100 + 200 + 400)));
    BOOST_TEST(count(server.log(), once_more) == 1U);
    BOOST_TEST(count(server.log(), "cannot be respawned") == 0U);
    lack.faults.disarm();
    server.wait_for_workers(2);
    BOOST_TEST(ask(lack.port) == "hello");
}

BOOST_AUTO_TEST_CASE(a_server_whose_worker_waits_to_be_started_again_reloads_and_stops,
                     *precondition(no_sanitizer))
{
    for (const int signal : {SIGTERM, SIGQUIT}) {
        Short lack(1);
        Server server(lack.conf, 1024, lack.faults.env());
        for (const char* const text :
             {no_memory, "exited on signal 9", "has ended early once more"}) {
            server.allow(text);
        }
        for (const bool last : {false, true}) {
            const std::size_t before = count(server.log(), "exited with code 2\n");
            lack.faults.arm({.call = "malloc", .err = ENOMEM, .times = always});
            ::kill(server.workers().front(), SIGKILL);
            server.wait_for_log("exited with code 2\n", before + 4);
            lack.faults.disarm();
            if (last) {
                BOOST_TEST(server.stop(signal).exited_with(0));
            } else {
                BOOST_TEST(reload(server, 1));
                BOOST_TEST(children_of(server.pid()).size() == 1U);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_module_that_throws_refuses_the_reload_or_ends_its_worker_with_two)
{
    Short lack;
    const auto program = std::filesystem::read_symlink("/proc/self/exe");
    const std::string module =
        fmt::format("load_module {};\n", (program.parent_path() / "say1.so").string());
    lack.conf.main = module;
    Server server(lack.conf);
    server.allow("say throws");
    const auto throwing = [&](std::string_view when) {
        ServerConf conf = lack.conf;
        conf.main = module + fmt::format("say \"throw {}\";", when);
        return conf;
    };
    server.reload_refused(throwing("directive").text(),
                          fmt::format("say throws in {}:", server.conf_path().string()));
    server.reload_refused(throwing("module").text(), "[emerg]");
    BOOST_TEST(ask(lack.port) == "hello");

    server.allow("the old ones go on");
    server.allow("cannot be respawned");
    server.reload_refused(throwing("process").text(), "2 of 2 new worker processes could not be");
    BOOST_TEST(ask(lack.port) == "hello");
    BOOST_TEST(count(server.log(), "exited with code 1\n") == 0U);

    server.reload(throwing("exit"));
    BOOST_TEST(ask(lack.port) == "hello");
    server.reload(lack.conf);
    server.wait_for_log("say throws\n", 4);
    BOOST_TEST(ask(lack.port) == "hello");
}

BOOST_AUTO_TEST_CASE(an_uncaught_exception_is_logged_before_the_worker_aborts)
{
    Short lack;
    const auto program = std::filesystem::read_symlink("/proc/self/exe");
    lack.conf.main = fmt::format("load_module {};\n", (program.parent_path() / "say1.so").string());
    Server server(lack.conf);
    for (const char* const text : {"say throws, aborting", "exited on signal 6", "once more"}) {
        server.allow(text);
    }
    ServerConf throwing = lack.conf;
    throwing.main += "say \"throw event\";";
    server.write_conf(throwing);
    server.signal(SIGHUP);
    server.wait_for_log("say throws, aborting\n", 2);
    server.wait_for_log("exited on signal 6", 2);
    server.write_conf(lack.conf);
    BOOST_TEST(reload(server, 2));
    BOOST_TEST(ask(lack.port) == "hello");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
