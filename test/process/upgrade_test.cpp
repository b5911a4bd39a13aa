#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "test/process/client.hpp"
#include "test/process/daemon.hpp"
#include "test/process/load.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

constexpr const char* nginx = "/usr/sbin/nginx";

/// A master with two workers: one port returns the pid, the other echoes.
struct UpgradedSite {
    Port port;
    Port echo;
    ServerConf conf{.stream = server_block(port, "return $pid;") + server_block(echo, "echo;") +
                              "server { listen unix:socket; return hello; }\n",
                    .log_level = "notice",
                    .workers = 2};

    /// Returns whether workers of this master send all of several answers.
    [[nodiscard]] bool served_by(pid_t master) const
    {
        const std::vector<pid_t> workers = workers_of(master);
        const std::set<pid_t> mine(workers.begin(), workers.end());
        for (int i = 0; i < 10; ++i) {
            if (mine.count(std::stoi(ask(port))) == 0) {
                return false;
            }
        }
        return true;
    }
};

/// Changes the binary and tells the old binary's workers to quit. Returns the new master when only
/// its workers serve.
pid_t hand_over(const Daemon& daemon, const UpgradedSite& site)
{
    const pid_t old = daemon.pid();
    const pid_t fresh = daemon.change_binary();
    wait_until("the new workers are there", [&] { return workers_of(fresh).size() == 2; });
    ::kill(old, SIGWINCH);
    wait_until("the new workers serve alone", [&] { return site.served_by(fresh); });
    return fresh;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(daemon)

BOOST_AUTO_TEST_CASE(when_the_first_process_has_ended_the_server_serves)
{
    const UpgradedSite site;
    const Daemon daemon(site.conf);
    BOOST_TEST(daemon.started().status.exited_with(0));
    BOOST_TEST(daemon.started().err == "");
    BOOST_TEST(daemon.pid() != -1);
    BOOST_TEST(site.served_by(daemon.pid()));
    BOOST_TEST(::getsid(daemon.pid()) == daemon.pid());
    for (const char* const fd : {"0", "1"}) {
        BOOST_TEST(std::filesystem::read_symlink(fmt::format("/proc/{}/fd/{}", daemon.pid(), fd)) ==
                   "/dev/null");
    }
}

BOOST_AUTO_TEST_CASE(the_command_line_stops_it)
{
    for (const char* const signal : {"stop", "quit"}) {
        const UpgradedSite site;
        const Daemon daemon(site.conf);
        const pid_t pid = daemon.pid();
        BOOST_TEST(run(daemon.command({"-s", signal})).status.exited_with(0));
        BOOST_TEST(Daemon::collect(pid).exited_with(0));
        BOOST_TEST(daemon.pid() == -1);
        BOOST_TEST(connect_error(site.port) == ECONNREFUSED);
    }
}

BOOST_AUTO_TEST_CASE(without_a_master_it_serves_as_well)
{
    UpgradedSite site;
    site.conf.workers = 0;
    const Daemon daemon(site.conf);
    BOOST_TEST(daemon.started().status.exited_with(0));
    BOOST_TEST(ask(site.port) == std::to_string(daemon.pid()));
}

BOOST_AUTO_TEST_CASE(one_that_cannot_start_reports_to_the_first_process)
{
    UpgradedSite site;
    site.conf.main = "working_directory /nowhere;";
    const Daemon daemon(site.conf);
    BOOST_TEST(daemon.started().status.exited_with(1));
    daemon.wait_for_log("[emerg] ");
    wait_until("the pid file is gone", [&] { return daemon.pid() == -1; });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(upgrade)

BOOST_AUTO_TEST_CASE(a_new_binary_takes_over_under_load_and_loses_no_client)
{
    const UpgradedSite site;
    const Daemon daemon(site.conf);
    const pid_t old = daemon.pid();
    Load load(site.port, site.echo);
    load.wait_for_answers(20);

    const pid_t fresh = daemon.change_binary();
    BOOST_TEST(daemon.old_pid() == old);
    wait_until("the new workers are there", [&] { return workers_of(fresh).size() == 2; });
    load.wait_for_answers(20);

    ::kill(old, SIGWINCH);
    daemon.wait_for_log("gracefully shutting down\n", 2);
    wait_until("the new workers serve alone", [&] { return site.served_by(fresh); });
    load.wait_for_answers(20);

    ::kill(old, SIGQUIT);
    load.wait_for_answers(20);
    load.stop();
    BOOST_TEST(load.errors() == "");
    BOOST_TEST_MESSAGE(load.answers() << " connections and " << load.messages()
                                      << " messages over an upgrade, none lost");
    BOOST_TEST(Daemon::collect(old).exited_with(0));
    BOOST_TEST(daemon.pid() == fresh);
    BOOST_TEST(daemon.old_pid() == -1);
    BOOST_TEST(site.served_by(fresh));
    BOOST_TEST(Client(daemon.dir() / "socket").receive_all() == "hello");
}

BOOST_AUTO_TEST_CASE(the_old_binary_can_be_restored_under_load)
{
    const UpgradedSite site;
    const Daemon daemon(site.conf);
    const pid_t old = daemon.pid();
    Load load(site.port, site.echo);
    load.wait_for_answers(20);

    const pid_t fresh = hand_over(daemon, site);

    ::kill(old, SIGHUP);
    wait_until("the old binary has workers", [&] { return workers_of(old).size() == 2; });
    ::kill(fresh, SIGQUIT);
    wait_until("the old binary serves alone", [&] { return site.served_by(old); });
    load.wait_for_answers(20);
    load.stop();
    BOOST_TEST(load.errors() == "");
    wait_until("the pid file is the old one's again", [&] { return daemon.pid() == old; });
    BOOST_TEST(daemon.old_pid() == -1);
    BOOST_TEST(site.served_by(old));
    BOOST_TEST(Client(daemon.dir() / "socket").receive_all() == "hello");
}

// The workers of the old binary were told to quit, so it starts new ones.
BOOST_AUTO_TEST_CASE(a_new_binary_that_dies_gives_the_service_back)
{
    const UpgradedSite site;
    const Daemon daemon(site.conf);
    const pid_t old = daemon.pid();
    const pid_t fresh = hand_over(daemon, site);
    const std::vector<pid_t> orphans = workers_of(fresh);
    ::kill(fresh, SIGKILL);
    for (const pid_t orphan : orphans) {
        ::kill(orphan, SIGKILL);
        Daemon::collect(orphan);
    }
    // One of its first workers may not have received the message to quit yet, and counts.
    wait_until("the old binary serves again",
               [&] { return daemon.pid() == old && site.served_by(old); });
    wait_until("it has two workers", [&] { return workers_of(old).size() == 2; });
}

BOOST_AUTO_TEST_CASE(a_new_binary_that_refuses_the_configuration_changes_nothing)
{
    const UpgradedSite site;
    const Daemon daemon(site.conf);
    const pid_t old = daemon.pid();
    daemon.write_conf("bogus;\n");
    ::kill(old, SIGUSR2);
    daemon.wait_for_log("new binary process ");
    daemon.wait_for_log("exited with code 1\n");
    wait_until("the pid file is the old one's again", [&] { return daemon.pid() == old; });
    BOOST_TEST(daemon.old_pid() == -1);
    BOOST_TEST(site.served_by(old));

    daemon.write_conf([&] {
        ServerConf conf = site.conf;
        conf.daemon = true;
        return conf.text();
    }());
    daemon.set_program("/nowhere/ngxx");
    ::kill(old, SIGUSR2);
    daemon.wait_for_log("execve() failed while executing new binary process ");
    wait_until("the pid file is the old one's again", [&] { return daemon.pid() == old; });
    BOOST_TEST(site.served_by(old));
}

BOOST_AUTO_TEST_CASE(a_third_binary_is_refused)
{
    const UpgradedSite site;
    const Daemon daemon(site.conf);
    const pid_t old = daemon.pid();
    const pid_t fresh = daemon.change_binary();
    wait_until("the new workers are there", [&] { return workers_of(fresh).size() == 2; });
    for (const pid_t pid : {old, fresh}) {
        ::kill(pid, SIGUSR2);
        daemon.wait_for_log(
            fmt::format("[crit] {0}#{0}: the changing binary signal is ignored: ", pid));
    }
    BOOST_TEST(daemon.pid() == fresh);
}

BOOST_AUTO_TEST_CASE(nginx_takes_over_and_gives_back_under_load, *precondition(nginx_is_there))
{
    Port port;
    ServerConf conf{.stream = server_block(port, "return hello;"),
                    .log_level = "notice",
                    .workers = 2,
                    .daemon = true};
    const Daemon daemon(conf);
    const pid_t first = daemon.pid();
    Load load(port, 0, 2, 0);
    load.wait_for_answers(20);

    const auto hand_over_to = [&](const char* program, const std::string& text) {
        const pid_t old = daemon.pid();
        daemon.write_conf(text);
        daemon.set_program(program);
        const pid_t fresh = daemon.change_binary();
        wait_until("the new workers are there", [&] { return children_of(fresh).size() >= 2; });
        ::kill(old, SIGQUIT);
        BOOST_TEST(Daemon::collect(old).exited_with(0));
        load.wait_for_answers(100);
        return title_of(fresh);
    };
    BOOST_TEST(title_of(first).starts_with("ngxx: master process "));
    ServerConf nginx_conf = conf;
    nginx_conf.method = "epoll";  // the only method that every nginx build has
    const std::string with_module =
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n" + nginx_conf.text();
    BOOST_TEST(hand_over_to(nginx, with_module).starts_with("nginx: master process "));
    BOOST_TEST(
        hand_over_to(setup().binary.c_str(), conf.text()).starts_with("ngxx: master process "));
    load.stop();
    BOOST_TEST(load.errors() == "");
    BOOST_TEST(load.texts() == std::set<std::string>{"hello"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
