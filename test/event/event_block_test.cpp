// Tests of the events block: its values, errors and warnings.

#include <fcntl.h>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>
#include <sys/resource.h>
#include <sys/select.h>

#include "core/cycle.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "os/unix/process.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/forked.hpp"
#include "test/support/limit.hpp"
#include "test/support/log.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

namespace {

namespace utf = boost::unit_test;

/// A cycle that is only configured.
struct Configured : ListenCycle {
    explicit Configured(std::string_view conf) : ListenCycle(conf, {}, Start::conf) {}

    const EventConf& events() const { return *event_get_conf<EventConf>((*this)->conf_ctx); }
};

/// Returns the error of a configuration that must be rejected.
std::string refusal(std::string_view conf)
{
    const Configured cycle(conf);
    BOOST_TEST(!cycle.ok(), conf << " was accepted");
    return cycle.log();
}

struct Want {
    std::string_view conf;
    std::string_view message;
};

/// Checks that each configuration is rejected at level emerg with its message, followed by `place`.
void check_refused(std::initializer_list<Want> cases, std::string_view place = " in ")
{
    for (const Want& want : cases) {
        const std::string log = refusal(want.conf);
        BOOST_TEST(contains(log, "[emerg]"), want.conf << " gave " << log);
        BOOST_TEST(contains(log, std::string(want.message).append(place)),
                   want.conf << " gave " << log);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(event_block)

BOOST_AUTO_TEST_CASE(an_empty_block_has_nginxs_defaults)
{
    const Configured cycle("events {}");
    const EventConf& ecf = cycle.events();
    BOOST_TEST(*ecf.connections == 512);
    BOOST_TEST(cycle->connection_n == 512);
    BOOST_TEST(*ecf.multi_accept == false);
    BOOST_TEST(*ecf.accept_mutex == false);
    BOOST_TEST(*ecf.accept_mutex_delay == 500);
    BOOST_TEST(ecf.debug_connection.empty());
}

BOOST_AUTO_TEST_CASE(without_use_the_first_poller_of_the_table_is_taken)
{
    const Configured cycle("events {}");
    BOOST_TEST(cycle.events().name == built_pollers().at(0));
}

BOOST_AUTO_TEST_CASE(each_directive_sets_its_value)
{
    const Configured cycle("events { worker_connections 64; use fake; multi_accept on; "
                           "accept_mutex on; accept_mutex_delay 20ms; }");
    const EventConf& ecf = cycle.events();
    BOOST_TEST(*ecf.connections == 64);
    BOOST_TEST(cycle->connection_n == 64);
    BOOST_TEST(*ecf.multi_accept);
    BOOST_TEST(*ecf.accept_mutex);
    BOOST_TEST(*ecf.accept_mutex_delay == 20);
    BOOST_TEST(ecf.name == "fake");
    BOOST_TEST(*ecf.use == fake_module.ctx_index);
}

BOOST_AUTO_TEST_CASE(the_method_of_a_loaded_module_can_be_used)
{
    const ListenCycle cycle("events { use fake; }");
    BOOST_TEST(contains(cycle.log(), "[notice]"));
    BOOST_TEST(contains(cycle.log(), "using the \"fake\" event method\n"));
    BOOST_TEST(event_flags == use_level_event);
}

BOOST_AUTO_TEST_CASE(every_event_module_is_configured_whichever_is_used)
{
    const Configured cycle("events {}");
    BOOST_TEST(fake.confs == (std::vector<std::string>{"create", "init"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_directive_is_allowed_once)
{
    check_refused({
        {"events { worker_connections 8; worker_connections 8; }",
         "\"worker_connections\" directive is duplicate"},
        {"events { use fake; use fake; }", "\"use\" directive is duplicate"},
        {"events { multi_accept on; multi_accept on; }", "\"multi_accept\" directive is duplicate"},
        {"events { accept_mutex on; accept_mutex off; }",
         "\"accept_mutex\" directive is duplicate"},
        {"events { accept_mutex_delay 1s; accept_mutex_delay 1s; }",
         "\"accept_mutex_delay\" directive is duplicate"},
        {"events {} events {}", "\"events\" directive is duplicate"},
    });
}

BOOST_AUTO_TEST_CASE(a_bad_value_is_refused)
{
    check_refused({
        {"events { worker_connections many; }", "invalid number \"many\""},
        {"events { worker_connections -1; }", "invalid number \"-1\""},
        {"events { worker_connections 99999999999999999999; }",
         "invalid number \"99999999999999999999\""},
        {"events { accept_mutex_delay soon; }", "\"accept_mutex_delay\" directive invalid value"},
    });
    BOOST_TEST(contains(refusal("events { multi_accept maybe; }"),
                        "invalid value \"maybe\" in \"multi_accept\" directive"));
}

BOOST_AUTO_TEST_CASE(an_unknown_method_is_refused_by_name)
{
    for (const std::string method :
         {"kqueue", "eventport", "/dev/poll", "devpoll", "aio", "epol", "event_core_", "Fake"}) {
        const std::string conf = "events { use " + method + "; }";
        check_refused({{conf, "invalid event type \"" + method + "\""}}, " (there are ");
    }
    const std::string log = refusal("events { use kqueue; }");
    BOOST_TEST(contains(log, ", fake) in "), log);
}

BOOST_AUTO_TEST_CASE(the_old_name_of_worker_connections_is_unknown)
{
    check_refused({{"events { connections 8; }", "unknown directive \"connections\""}});
}

BOOST_AUTO_TEST_CASE(directives_of_the_block_are_allowed_only_there)
{
    check_refused({
        {"worker_connections 8; events {}", "\"worker_connections\" directive is not allowed here"},
        {"events { worker_processes 1; }", "\"worker_processes\" directive is not allowed here"},
        {"events { events {} }", "\"events\" directive is not allowed here"},
    });
}

BOOST_AUTO_TEST_CASE(a_configuration_without_the_block_is_refused)
{
    check_refused({{"worker_processes 1;", "no \"events\" section in configuration"}}, "\n");
}

BOOST_AUTO_TEST_CASE(each_listener_needs_a_connection_and_the_process_one_more)
{
    const Configured enough("test_listen unix:a; test_listen unix:b; "
                            "events { worker_connections 3; }");
    BOOST_TEST(enough.ok());
    const Configured none("events { worker_connections 1; }");
    BOOST_TEST(none.ok());
}

BOOST_AUTO_TEST_CASE(fewer_connections_than_listeners_are_refused)
{
    check_refused(
        {
            {"test_listen unix:a; test_listen unix:b; events { worker_connections 2; }",
             "2 worker_connections are not enough for 2 listening sockets"},
            {"events { worker_connections 0; }",
             "0 worker_connections are not enough for 0 listening sockets"},
        },
        "\n");
}

BOOST_AUTO_TEST_CASE(select_takes_no_more_connections_than_its_set_has_bits,
                     *utf::precondition(poller_is_built("select")))
{
    static_assert(FD_SETSIZE == 1024);
    const Configured all("events { use select; worker_connections 1024; }");
    BOOST_TEST(all.ok());
    check_refused(
        {
            {"events { use select; worker_connections 1025; }",
             "the maximum number of files supported by select() is 1024"},
            {"events { worker_connections 1025; use select; }",
             "the maximum number of files supported by select() is 1024"},
        },
        "\n");
    const Configured other("events { use fake; worker_connections 1025; }");
    BOOST_TEST(other.ok());
}

BOOST_AUTO_TEST_CASE(a_method_of_one_worker_is_refused_with_more)
{
    const auto log_of = [](std::string_view main) {
        const ListenCycle cycle(std::string(main) + " test_listen unix:a; events { use fake; }",
                                {.single_worker = true}, Start::conf);
        return cycle.ok() ? "" : cycle.log();
    };
    const std::string refused = log_of("worker_processes 3;");
    BOOST_TEST(contains(refused, "[emerg]"));
    BOOST_TEST(contains(refused, "event method \"fake\" works with one worker only, and "
                                 "\"worker_processes\" is 3 in "),
               refused);
    BOOST_TEST(refused.ends_with(":1\n"), refused);
    BOOST_TEST(log_of("worker_processes 1;") == "");
    BOOST_TEST(log_of("") == "");
    BOOST_TEST(log_of("master_process off; worker_processes 3;") == "");
}

BOOST_AUTO_TEST_CASE(a_reload_to_more_workers_than_the_method_allows_is_refused)
{
    ListenCycle cycle("worker_processes 1; events { use fake; }", {.single_worker = true},
                      Start::conf);
    BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    const Cycle* const old = &*cycle;
    BOOST_TEST(!cycle.reload("worker_processes 2; events { use fake; }"));
    BOOST_TEST(&*cycle == old);
    BOOST_TEST(contains(cycle.log(), "\"fake\" works with one worker only"), cycle.log());
}

BOOST_AUTO_TEST_CASE(a_method_that_needs_the_accept_mutex_is_refused_without_it)
{
    const auto log_of = [](std::string_view main, std::string_view events) {
        const ListenCycle cycle(
            fmt::format("{} test_listen unix:a; events {{ use fake; {} }}", main, events),
            {.needs_accept_mutex = true}, Start::conf);
        return cycle.ok() ? "" : cycle.log();
    };
    const std::string refused = log_of("worker_processes 2;", "accept_mutex off;");
    BOOST_TEST(contains(refused, "[emerg]"));
    BOOST_TEST(contains(refused, "event method \"fake\" needs \"accept_mutex\" with 2 workers, "
                                 "and it is off in "),
               refused);
    BOOST_TEST(refused.ends_with(":1\n"), refused);
    BOOST_TEST(log_of("worker_processes 2;", "accept_mutex on;") == "");
    BOOST_TEST(log_of("worker_processes 2;", "") == "");
    BOOST_TEST(log_of("worker_processes 1;", "accept_mutex off;") == "");
    BOOST_TEST(log_of("master_process off; worker_processes 2;", "accept_mutex off;") == "");
}

BOOST_AUTO_TEST_CASE(epoll_has_its_own_directives, *utf::precondition(poller_is_built("epoll")))
{
    const Configured cycle("events { use fake; epoll_events 8; worker_aio_requests 4; }");
    BOOST_TEST(cycle.ok());
    check_refused({
        {"events { epoll_events 8; epoll_events 8; }", "\"epoll_events\" directive is duplicate"},
        {"events { epoll_events few; }", "\"epoll_events\" directive invalid number"},
        {"events { epoll_events 0; }", "value must be between 1 and 2147483647"},
        {"events { worker_aio_requests -4; }", "\"worker_aio_requests\" directive invalid number"},
    });
}

BOOST_AUTO_TEST_CASE(more_connections_than_files_are_a_warning)
{
    const FileLimit limit(100);
    const Configured cycle("events { worker_connections 101; use fake; }");
    BOOST_TEST(cycle.ok());
    limit.lift();
    BOOST_TEST(contains(cycle.log(), "[warn]"));
    BOOST_TEST(
        contains(cycle.log(), "101 worker_connections exceed open file resource limit: 100\n"));
}

BOOST_AUTO_TEST_CASE(the_future_limit_of_workers_counts)
{
    const FileLimit limit(100);
    const Configured less("worker_rlimit_nofile 100; events { worker_connections 101; }");
    const std::string text = "101 worker_connections exceed open file resource limit: 100\n";
    BOOST_TEST(contains(less.log(), text));
}

BOOST_AUTO_TEST_CASE(more_memory_than_all_workers_can_have_is_a_warning)
{
    const Configured cycle(
        "worker_processes 3; events { use fake; worker_connections 2000000000; }");
    BOOST_TEST(cycle.ok());
    BOOST_TEST(contains(cycle.log(), "[warn]"));
    BOOST_TEST(contains(cycle.log(), "3 worker processes with 2000000000 worker_connections each "
                                     "may need 6000000000 files of "));
    const Configured alone("master_process off; worker_processes 3; "
                           "events { use fake; worker_connections 2000000000; }");
    BOOST_TEST(contains(alone.log(), "1 worker processes with 2000000000 worker_connections "));
    const Configured usual("worker_processes 3; events { worker_connections 1024; }");
    BOOST_TEST(!contains(usual.log(), "may need"), usual.log());
}

BOOST_AUTO_TEST_CASE(no_more_connections_than_files_give_no_warning)
{
    const FileLimit limit(100);
    for (const std::string_view conf :
         {"events { worker_connections 100; }",
          "worker_rlimit_nofile 101; events { worker_connections 101; }"}) {
        const Configured cycle(conf);
        BOOST_TEST(!contains(cycle.log(), "exceed"), conf);
    }
}

BOOST_AUTO_TEST_CASE(a_configuration_test_does_not_log_the_method)
{
    test_config = true;
    quiet_mode = true;
    const Configured cycle("events { use fake; }");
    test_config = false;
    quiet_mode = false;
    BOOST_TEST(cycle.ok());
    BOOST_TEST(!contains(cycle.log(), "event method"));
}

BOOST_AUTO_TEST_CASE(without_a_master_a_reload_cannot_change_the_method,
                     *utf::precondition(poller_is_built("poll")))
{
    Configured cycle("events { use fake; }");
    const Cycle* const old = &*cycle;
    BOOST_TEST(!cycle.reload("events { use poll; }"));
    BOOST_TEST(&*cycle == old);
    BOOST_TEST(contains(cycle.log(), "[emerg]"));
    BOOST_TEST(contains(cycle.log(), "\"poll\" is asked for, \"fake\" is in use"));
}

BOOST_AUTO_TEST_CASE(without_a_master_a_reload_cannot_change_the_method_by_naming_none)
{
    Configured cycle("events { use fake; }");
    BOOST_TEST(!cycle.reload("events {}"));
    BOOST_TEST(contains(cycle.log(), "\"fake\" is in use"));
}

BOOST_AUTO_TEST_CASE(without_a_master_a_reload_may_name_the_method_that_is_in_use)
{
    Configured cycle("events { use fake; }");
    BOOST_TEST(cycle.reload("events { use fake; }"));
}

BOOST_AUTO_TEST_CASE(a_master_may_change_the_method_by_a_reload,
                     *utf::precondition(poller_is_built("poll")))
{
    Configured cycle("events { use fake; }");
    process = Process::master;
    const bool changed = cycle.reload("events { use poll; }");
    process = Process::single;
    BOOST_TEST(changed);
    BOOST_TEST(cycle.events().name == "poll");
}

BOOST_AUTO_TEST_CASE(debug_connection_accepts_addresses_and_networks,
                     *utf::precondition([](auto) { return have_debug; }))
{
    const Configured cycle("events { debug_connection 10.0.0.1; debug_connection 10.1.0.0/16; "
                           "debug_connection ::1; debug_connection unix:; }");
    const auto& cidrs = cycle.events().debug_connection;
    BOOST_TEST_REQUIRE(cidrs.size() == 4);
    BOOST_TEST(cidrs[0].addr.s_addr == htonl(0x0a000001));
    BOOST_TEST(cidrs[0].mask.s_addr == 0xffffffff);
    BOOST_TEST(cidrs[1].mask.s_addr == htonl(0xffff0000));
    BOOST_TEST(cidrs[2].family == AF_INET6);
    BOOST_TEST(cidrs[3].family == AF_UNIX);
}

BOOST_AUTO_TEST_CASE(debug_connection_accepts_the_addresses_of_a_host,
                     *utf::precondition([](auto) { return have_debug; }))
{
    const Configured cycle("events { debug_connection localhost; }");
    BOOST_TEST_REQUIRE(cycle.ok());
    const auto& cidrs = cycle.events().debug_connection;
    BOOST_TEST_REQUIRE(!cidrs.empty());
    for (const Cidr& cidr : cidrs) {
        const bool loopback = cidr.family == AF_INET ? cidr.addr.s_addr == htonl(INADDR_LOOPBACK) &&
                                                           cidr.mask.s_addr == 0xffffffff
                                                     : IN6_IS_ADDR_LOOPBACK(&cidr.addr6);
        BOOST_TEST(loopback);
    }
}

BOOST_AUTO_TEST_CASE(debug_connection_warns_of_address_bits_beyond_the_mask,
                     *utf::precondition([](auto) { return have_debug; }))
{
    const Configured cycle("events { debug_connection 10.0.0.1/8; }");
    BOOST_TEST(contains(cycle.log(), "[warn]"));
    BOOST_TEST(contains(cycle.log(), "low address bits of 10.0.0.1/8 are meaningless in "));
    BOOST_TEST_REQUIRE(cycle.events().debug_connection.size() == 1);
    BOOST_TEST(cycle.events().debug_connection[0].addr.s_addr == htonl(0x0a000000));
}

// A label of a host name has at most 63 characters, so that no name server is asked for this one.
BOOST_AUTO_TEST_CASE(debug_connection_refuses_a_host_that_is_not_found,
                     *utf::precondition([](auto) { return have_debug; }))
{
    const std::string host(64, 'x');
    const std::string conf = "events { debug_connection " + host + "; }";
    check_refused({{conf, "host not found in debug_connection \"" + host + "\""}});
}

BOOST_AUTO_TEST_CASE(debug_connection_without_debug_support_is_ignored_with_a_warning,
                     *utf::precondition([](auto) { return !have_debug; }))
{
    const Configured cycle("events { debug_connection 10.0.0.1; }");
    BOOST_TEST(cycle.ok());
    BOOST_TEST(contains(cycle.log(), "[warn]"));
    BOOST_TEST(contains(cycle.log(), "\"debug_connection\" is ignored"));
    BOOST_TEST(cycle.events().debug_connection.empty());
}

BOOST_AUTO_TEST_CASE(with_a_master_each_worker_has_a_reuseport_listener)
{
    const Configured cycle("worker_processes 3; test_listen unix:a; "
                           "test_listen 127.0.0.1 reuseport; events {}");
    BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    std::string text;
    for (const Listening& ls : cycle->listening) {
        text += fmt::format("{} {:d}, ", ls.worker, ls.reuseport);
        BOOST_TEST(ls.fd != invalid_socket);
        BOOST_TEST(ls.log.data == &ls);
    }
    BOOST_TEST(text == "0 0, 0 1, 1 1, 2 1, ");
}

BOOST_AUTO_TEST_CASE(without_a_master_or_under_a_test_there_is_one_reuseport_listener)
{
    const auto listeners = [](std::string_view main) {
        const Configured cycle(std::string(main) + " test_listen 127.0.0.1 reuseport; events {}");
        return cycle.ok() ? cycle->listening.size() : 0;
    };
    BOOST_TEST(listeners("worker_processes 3; master_process off;") == 1U);
    BOOST_TEST(listeners("worker_processes 1;") == 1U);
    const Forked child = in_child([&](int fd) {
        test_config = quiet_mode = true;
        say(fd, std::to_string(listeners("worker_processes 3;")));
    });
    BOOST_TEST(child.text == "1");
}

BOOST_AUTO_TEST_CASE(a_reload_opens_and_closes_the_listeners_of_workers)
{
    const auto conf = [](int workers) {
        return fmt::format("worker_processes {}; test_listen 127.0.0.1 reuseport; events {{}}",
                           workers);
    };
    Configured cycle(conf(2));
    BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    const int first = cycle.listening(0).fd;
    const int second = cycle.listening(1).fd;

    BOOST_TEST_REQUIRE(cycle.reload(conf(3)));
    BOOST_TEST_REQUIRE(cycle->listening.size() == 3U);
    BOOST_TEST(cycle.listening(0).fd == first);
    BOOST_TEST(cycle.listening(1).fd == second);
    const int third = cycle.listening(2).fd;
    BOOST_TEST(::fcntl(third, F_GETFD) != -1);

    BOOST_TEST_REQUIRE(cycle.reload(conf(1)));
    BOOST_TEST_REQUIRE(cycle->listening.size() == 1U);
    BOOST_TEST(cycle.listening(0).fd == first);
    BOOST_TEST(::fcntl(second, F_GETFD) == -1);
    BOOST_TEST(::fcntl(third, F_GETFD) == -1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
