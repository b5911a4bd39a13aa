#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <random>
#include <set>

#include "test/process/client.hpp"
#include "test/process/load.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// A master with workers, which return a text on one port and echo on the other.
struct MasterSite {
    explicit MasterSite(int workers = 2) { conf.workers = workers; }

    /// Sets another text in the configuration.
    ServerConf& with(std::string_view text)
    {
        conf.stream =
            server_block(port, fmt::format("return \"{}\";", text)) + server_block(echo, "echo;");
        return conf;
    }

    Port port;
    Port echo;
    ServerConf conf{};
};

/// Returns the workers that answer; the server returns $pid.
std::set<pid_t> answering_workers(const Port& port, std::size_t asked)
{
    std::set<pid_t> pids;
    for (std::size_t i = 0; i < asked; ++i) {
        pids.insert(std::stoi(ask(port)));
    }
    return pids;
}

/// Returns the number of shared memory mappings of a process.
std::size_t shared_memory_of(pid_t pid)
{
    return count(read_file(fmt::format("/proc/{}/maps", pid)), "/dev/zero (deleted)");
}

/// Returns the numbers after a name in /proc/PID/status.
std::string status_field(pid_t pid, std::string_view name)
{
    const std::string status = read_file(fmt::format("/proc/{}/status", pid));
    const std::size_t at = status.find(fmt::format("\n{}:", name)) + name.size() + 2;
    return status.substr(at, status.find('\n', at) - at);
}

/// Returns the open pipes of a process. It may close a descriptor during this.
std::set<std::string> pipes_of(pid_t pid)
{
    std::set<std::string> pipes;
    for (const auto& fd : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", pid))) {
        std::error_code gone;
        const std::string is = std::filesystem::read_symlink(fd.path(), gone);
        if (is.starts_with("pipe:")) {
            pipes.insert(is);
        }
    }
    return pipes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(master)

BOOST_AUTO_TEST_CASE(it_starts_its_workers_and_each_process_has_its_title)
{
    MasterSite site(3);
    Server server(site.with("hello"));
    BOOST_TEST(server.workers().size() == 3U);
    for (const pid_t worker : server.workers()) {
        BOOST_TEST(title_of(worker) == "ngxx: worker process");
    }
    BOOST_TEST(title_of(server.pid()) == fmt::format("ngxx: master process {} -p {} -c {}",
                                                     setup().binary, server.dir().string(),
                                                     server.conf_path().string()));
    BOOST_TEST(read_file(server.pid_path()) == fmt::format("{}\n", server.pid()));
    BOOST_TEST(ask(site.port) == "hello");
}

BOOST_AUTO_TEST_CASE(a_worker_has_no_descriptors_of_the_master)
{
    MasterSite site(3);
    Server server(site.with("hello"));
    server.settle();  // the master has finished the start
    for (const pid_t worker : server.workers()) {
        wait_until("a worker has the pipes of the master alone",
                   [&] { return pipes_of(worker) == pipes_of(server.pid()); });
    }

    // A reload and a reopening at once: only the master still has to reopen the log.
    server.pause();
    server.signal(SIGHUP);
    server.signal(SIGUSR1);
    server.resume();
    server.wait_for_log("gracefully shutting down\n", 3);
    server.wait_for_workers(3);
    for (const pid_t worker : server.workers()) {
        server.wait_for_log(fmt::format("{0}#{0}: reopening logs\n", worker));
    }
    BOOST_TEST(ask(site.port) == "hello");
    for (const pid_t worker : server.workers()) {
        BOOST_TEST(count(server.log(), fmt::format("{0}#{0}: reopening logs\n", worker)) == 1U);
    }
}

BOOST_AUTO_TEST_CASE(term_and_int_end_all_with_clients_connected)
{
    for (const int number : {SIGTERM, SIGINT}) {
        MasterSite site;
        Server server(site.with("hello"));
        std::vector<Client> clients;
        for (int i = 0; i < 10; ++i) {
            clients.emplace_back(site.echo);
            BOOST_TEST(clients.back().echo("x") == "x");
        }
        const std::vector<pid_t> workers = server.workers();
        BOOST_TEST(server.stop(number).exited_with(0));
        for (const pid_t worker : workers) {
            BOOST_TEST(title_of(worker) == "");
        }
        for (const Client& client : clients) {
            BOOST_TEST(client.until_closed() == "");
        }
    }
}

BOOST_AUTO_TEST_CASE(a_worker_that_does_not_react_is_killed)
{
    MasterSite site;
    Server server(site.with("hello"));
    const std::vector<pid_t> workers = server.workers();
    server.allow("exited on signal 9");
    ::kill(workers.front(), SIGSTOP);
    BOOST_TEST(server.stop(SIGTERM).exited_with(0));
    BOOST_TEST(count(server.log(),
                     fmt::format("worker process {} exited on signal 9\n", workers.front())) == 1U);
}

BOOST_AUTO_TEST_CASE(quit_lets_clients_finish_and_refuses_new_ones)
{
    MasterSite site;
    Server server(site.with("hello"));
    const Client client(site.echo);
    BOOST_TEST(client.echo("x") == "x");
    server.signal(SIGQUIT);
    server.wait_for_log("gracefully shutting down\n", 2);
    wait_until("nobody listens", [&] { return connect_error(site.port) == ECONNREFUSED; });
    const auto shuts_down = [](pid_t child) {
        return title_of(child) == "ngxx: worker process is shutting down";
    };
    wait_until("one worker is left", [&] {
        const std::vector<pid_t> children = children_of(server.pid());
        return children.size() == 1 && shuts_down(children.front());
    });
    BOOST_TEST(client.echo("still here") == "still here");
    BOOST_TEST(server.child().running());
    client.finish();
    BOOST_TEST(client.receive_all() == "");
    BOOST_TEST(server.child().wait(patience()).exited_with(0));
}

BOOST_AUTO_TEST_CASE(worker_shutdown_timeout_ends_a_graceful_stop)
{
    MasterSite site;
    site.with("hello").main = "worker_shutdown_timeout 200ms;";
    Server server(site.conf);
    const Client client(site.echo);
    BOOST_TEST(client.echo("x") == "x");
    const auto start = Clock::now();
    server.signal(SIGQUIT);
    BOOST_TEST(client.receive_all() == "");
    BOOST_TEST((Clock::now() - start >= std::chrono::milliseconds(150)));
    BOOST_TEST(server.child().wait(patience()).exited_with(0));
}

BOOST_AUTO_TEST_CASE(a_worker_that_was_told_to_quit_by_hand_is_replaced)
{
    MasterSite site(1);
    Server server(site.with("$pid"));
    const pid_t first = server.workers().front();
    BOOST_TEST(ask(site.port) == std::to_string(first));
    ::kill(first, SIGQUIT);
    server.wait_for_log(fmt::format("worker process {} exited with code 0\n", first));
    server.wait_for_log("start worker process ", 2);
    BOOST_TEST(ask(site.port) != std::to_string(first));
}

// With the mutex, some of the workers hold it when they die.
BOOST_AUTO_TEST_CASE(a_hundred_killed_workers_are_replaced_and_leave_nothing_behind)
{
    MasterSite site(3);
    site.with("$pid").events = "worker_connections 64; accept_mutex on; accept_mutex_delay 5ms;";
    Server server(site.conf);
    server.allow("exited on signal 9");
    server.settle();  // and has finished the start
    const std::size_t before = server.descriptors();
    const std::size_t memory = shared_memory_of(server.pid());
    BOOST_TEST(memory == 1U);
    std::mt19937 random(1);
    std::set<pid_t> killed;
    for (std::size_t i = 1; i <= 100; ++i) {
        server.wait_for_workers(3);
        const pid_t victim = server.workers()[random() % 3];
        ::kill(victim, SIGKILL);
        wait_for_end(victim);
        killed.insert(victim);
        if (i % 10 == 0) {
            BOOST_TEST(killed.count(std::stoi(ask(site.port))) == 0U);
        }
    }
    server.wait_for_log("exited on signal 9\n", 100);
    server.wait_for_log("start worker process ", 103);
    server.wait_for_workers(3);
    server.settle();
    BOOST_TEST(children_of(server.pid()).size() == 3U);
    BOOST_TEST(server.descriptors() == before);
    BOOST_TEST(shared_memory_of(server.pid()) == memory);
    for (const pid_t pid : answering_workers(site.port, 30)) {
        BOOST_TEST(killed.count(pid) == 0U);
    }
}

BOOST_AUTO_TEST_CASE(all_processes_reopen_logs_and_no_line_is_lost)
{
    constexpr std::size_t asked = 300;
    MasterSite site;
    Server server(site.with("hello"));
    const std::filesystem::path rotated = server.dir() / "error.log.1";
    {
        Load load(site.port, site.echo, 2, 1);
        load.wait_for_answers(asked / 2);
        std::filesystem::rename(server.log_path(), rotated);
        server.signal(SIGUSR1);
        load.wait_for_answers(asked / 2);
        load.stop();
        BOOST_TEST(load.errors() == "");
        wait_until("all is logged", [&] {
            const std::string both = read_file(rotated) + server.log();
            return count(both, " client 127.0.0.1:") == load.answers() + 1 &&
                   count(both, ": reopening logs\n") == 3;
        });
    }
    BOOST_TEST(count(server.log(), " client 127.0.0.1:") > 0U);
}

BOOST_AUTO_TEST_CASE(the_signals_of_the_command_line_reach_the_master)
{
    MasterSite site;
    Server server(site.with("hello"));
    BOOST_TEST(run(server.command({"-s", "reopen"})).status.exited_with(0));
    server.wait_for_log(fmt::format("{0}#{0}: reopening logs\n", server.pid()));
    server.write_conf(site.with("new"));
    BOOST_TEST(run(server.command({"-s", "reload"})).status.exited_with(0));
    server.wait_for_log("generation 1 is gone");
    BOOST_TEST(ask(site.port) == "new");
    BOOST_TEST(run(server.command({"-s", "quit"})).status.exited_with(0));
    BOOST_TEST(server.child().wait(patience()).exited_with(0));
    const RunResult result = run(server.command({"-s", "stop"}));
    BOOST_TEST(result.status.exited_with(1));
    BOOST_TEST(count(result.err, "ngxx.pid\" failed (2: No such file or directory)\n") == 1U);
}

BOOST_AUTO_TEST_CASE(workers_are_the_user_of_the_configuration, *precondition(we_are_root))
{
    MasterSite site;
    site.with("hello").main = "user nobody nogroup;";
    Server server(site.conf);
    for (const pid_t worker : server.workers()) {
        BOOST_TEST(status_field(worker, "Uid") == "\t65534\t65534\t65534\t65534");
        BOOST_TEST(status_field(worker, "Gid") == "\t65534\t65534\t65534\t65534");
        BOOST_TEST(status_field(worker, "Groups").find("65534") != std::string::npos);
    }
    BOOST_TEST(status_field(server.pid(), "Uid") == "\t0\t0\t0\t0");

    // The log becomes theirs, so that they can reopen it.
    ::chmod(server.dir().c_str(), 0755);
    server.settle();
    server.wait_for_log(": reopening logs\n", 3);
    struct stat info {};
    BOOST_TEST(::stat(server.log_path().c_str(), &info) == 0);
    BOOST_TEST(info.st_uid == 65534U);
}

BOOST_AUTO_TEST_CASE(limits_priority_processor_directory_and_environment_are_the_workers)
{
    MasterSite site;
    site.with("hello").main = "worker_rlimit_nofile 99; worker_rlimit_core 0; worker_priority 3;\n"
                              "worker_cpu_affinity auto; working_directory /;\n"
                              "env KEPT; env GIVEN=value;";
    Server server(site.conf, 1024, {{"KEPT", "kept"}, {"LOST", "lost"}});
    std::set<std::string> processors;
    for (const pid_t worker : server.workers()) {
        const std::string limits = read_file(fmt::format("/proc/{}/limits", worker));
        BOOST_TEST(limits.find("Max open files            99 ") != std::string::npos);
        BOOST_TEST(::getpriority(PRIO_PROCESS, static_cast<id_t>(worker)) == 3);
        processors.insert(status_field(worker, "Cpus_allowed_list"));
        BOOST_TEST(std::filesystem::read_symlink(fmt::format("/proc/{}/cwd", worker)) == "/");
    }
    BOOST_TEST(processors.size() == std::min(2L, ::sysconf(_SC_NPROCESSORS_ONLN)));
    BOOST_TEST(count(server.log(), "sched_setaffinity(): using cpu #") == 2U);
}

BOOST_AUTO_TEST_CASE(workers_that_cannot_start_end_the_start)
{
    MasterSite site;
    site.with("hello").main = "working_directory /nowhere;";
    const TempDir dir;
    write_file(dir / "nginx.conf", site.conf.text());
    const RunResult result = run({setup().binary, "-p", dir.path(), "-c", "nginx.conf"});
    BOOST_TEST(result.status.exited_with(1));
    const std::string log = read_file(dir / "error.log");
    BOOST_TEST(count(log, "[alert] ") >= 2U);
    BOOST_TEST(count(log, "chdir(\"/nowhere\") failed (2: No such file or directory)\n") == 2U);
    BOOST_TEST(count(log, "exited with fatal code 2 and cannot be respawned\n") == 2U);
    BOOST_TEST(count(log, "[emerg] ") == 1U);
    BOOST_TEST(!std::filesystem::exists(dir / "ngxx.pid"));
    BOOST_TEST(connect_error(site.port) == ECONNREFUSED);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(master_reload)

BOOST_AUTO_TEST_CASE(fifty_reloads_under_load_lose_no_client)
{
    MasterSite site;
    site.conf.log_level = "notice";
    Server server(site.with("0"));
    Load load(site.port, site.echo);
    for (int i = 1; i <= 50; ++i) {
        server.reload(site.with(std::to_string(i)));
        server.wait_for_workers(2);
        BOOST_TEST_REQUIRE(ask(site.port) == std::to_string(i));
        load.wait_for_answers(2);
    }
    load.stop();
    BOOST_TEST(load.errors() == "");
    BOOST_TEST(load.texts().size() == 51U);
    BOOST_TEST_MESSAGE(load.answers() << " connections and " << load.messages()
                                      << " messages over 50 reloads, none lost");
    server.wait_for_log("is gone: its last worker ended ", 50);
    server.wait_for_workers(2);
}

BOOST_AUTO_TEST_CASE(generations_are_counted_in_titles_and_in_the_log)
{
    MasterSite site;
    Server server(site.with("hello"));
    const Client old(site.echo);
    BOOST_TEST(old.echo("x") == "x");
    server.reload(site.with("new"));
    server.wait_for_workers(2);
    for (const pid_t worker : server.workers()) {
        BOOST_TEST(title_of(worker) == "ngxx: worker process #2");
    }
    BOOST_TEST(title_of(server.pid()).starts_with("ngxx: master process #2 /"));
    BOOST_TEST(count(server.log(), fmt::format("{0}#{0}: generation 2\n", server.pid())) == 1U);
    BOOST_TEST(count(server.log(), "generation 1 is gone") == 0U);
    old.finish();
    server.wait_for_log("generation 1 is gone: its last worker ended ");
    server.wait_for_log(" ms after the reload to generation 2\n");
}

BOOST_AUTO_TEST_CASE(a_broken_file_leaves_the_workers_as_they_are)
{
    MasterSite site;
    Server server(site.with("hello"));
    const std::vector<pid_t> workers = server.workers();
    server.reload_refused("events {}\nbogus;\n", "unknown directive \"bogus\"");
    BOOST_TEST(server.workers() == workers, boost::test_tools::per_element());
    BOOST_TEST(ask(site.port) == "hello");
}

BOOST_AUTO_TEST_CASE(new_workers_that_cannot_start_leave_the_old_ones)
{
    MasterSite site;
    Server server(site.with("hello"));
    const std::vector<pid_t> workers = server.workers();
    site.with("new").main = "working_directory /nowhere;";
    for (const char* const text :
         {"chdir(\"/nowhere\") failed", "cannot be respawned", "the old ones go on"}) {
        server.allow(text);
    }
    server.write_conf(site.conf);
    server.signal(SIGHUP);
    server.wait_for_log("2 of 2 new worker processes could not be started, the old ones go on\n");
    server.settle();
    BOOST_TEST(server.workers() == workers, boost::test_tools::per_element());
    BOOST_TEST(ask(site.port) == "hello");

    site.with("new").main.clear();
    server.reload(site.conf);
    server.wait_for_log("generation 1 is gone");
    BOOST_TEST(ask(site.port) == "new");
}

BOOST_AUTO_TEST_CASE(workers_are_as_many_as_the_new_file_says)
{
    MasterSite site(1);
    Server server(site.with("hello"));
    for (const int workers : {4, 2}) {
        site.conf.workers = workers;
        server.reload(site.conf);
        server.wait_for_workers(static_cast<std::size_t>(workers));
    }
}

BOOST_AUTO_TEST_CASE(the_event_method_may_change, *precondition(methods_can_be_changed))
{
    MasterSite site;
    Server server(site.with("hello"));
    for (const std::string& method : setup().methods) {
        site.with(method).method = method;
        server.reload(site.conf);
        BOOST_TEST(ask(site.port) == method);
    }
}

BOOST_AUTO_TEST_CASE(listeners_are_opened_kept_and_closed)
{
    MasterSite site;
    const Port added;
    Server server(site.with("hello"));
    site.conf.stream = server_block(site.port, "return kept;") + server_block(added, "return new;");
    server.reload(site.conf);
    server.wait_for_log("generation 1 is gone");
    BOOST_TEST(ask(site.port) == "kept");
    BOOST_TEST(ask(added) == "new");
    BOOST_TEST(connect_error(site.echo) == ECONNREFUSED);
}

BOOST_AUTO_TEST_CASE(each_worker_has_its_own_reuseport_socket_over_reloads)
{
    Port port;
    ServerConf conf{.stream = server_block(port, "return $pid;", "reuseport"), .workers = 3};
    Server server(conf);
    for (const int workers : {3, 1, 2}) {
        conf.workers = workers;
        server.reload(conf);
        server.wait_for_workers(static_cast<std::size_t>(workers));
        const std::vector<pid_t> now = server.workers();
        wait_until("all workers answer", [&] {
            return answering_workers(port, 20) == std::set<pid_t>(now.begin(), now.end());
        });
    }
}

BOOST_AUTO_TEST_CASE(a_unix_socket_is_deleted_by_the_master_alone)
{
    ServerConf conf{.stream = "server { listen unix:socket; return hello; }\n", .workers = 2};
    Server server(conf);
    const std::filesystem::path path = server.dir() / "socket";
    ::kill(server.workers().front(), SIGQUIT);
    server.wait_for_log("exited with code 0\n");
    BOOST_TEST(Client(path).receive_all() == "hello");
    server.reload(conf);
    server.wait_for_log("generation 1 is gone");
    BOOST_TEST(Client(path).receive_all() == "hello");
    BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
    BOOST_TEST(!std::filesystem::exists(path));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
