// Tests of what a process does before its loop: poller, alarm, connections, listeners.

#include <csignal>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "core/cycle.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_counters.hpp"
#include "event/event_turn.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process_cycle.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/forked.hpp"
#include "test/support/limit.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

using Calls = std::vector<std::string>;

Fake like_epoll()
{
    return {.flags = use_clear_event | use_greedy_event | use_epoll_event};
}

/// Returns the calls of the poller for the listeners of a configuration.
Calls calls_of(std::string_view conf, const Fake& wanted = {})
{
    const ListenCycle cycle(conf, wanted);
    return fake.calls;
}

/// Returns the interval of SIGALRM, in ms.
Msec alarm_interval()
{
    itimerval itv{};
    ::getitimer(ITIMER_REAL, &itv);
    return static_cast<Msec>(itv.it_interval.tv_sec * 1000 + itv.it_interval.tv_usec / 1000);
}

/// Stops the alarm at the end, as a configuration without timer_resolution does.
struct WithoutAlarm {
    ~WithoutAlarm() { const ListenCycle cycle("events { use fake; }"); }
};

/// Makes this process the worker with this number.
struct WorkerNumber {
    explicit WorkerNumber(std::size_t n) { ngx_worker = n; }
    WorkerNumber(const WorkerNumber&) = delete;
    WorkerNumber& operator=(const WorkerNumber&) = delete;
    ~WorkerNumber() { ngx_worker = 0; }
};

/// Returns which listeners are watched: "-x-".
std::string watched(const ListenCycle& cycle)
{
    std::string text;
    for (const Listening& ls : cycle->listening) {
        text += ls.connection && ls.connection->read->active ? 'x' : '-';
    }
    return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(event_process_init)

BOOST_AUTO_TEST_CASE(all_connections_are_free_in_the_order_of_their_addresses)
{
    const ListenCycle cycle("events { use fake; worker_connections 8; }");
    BOOST_TEST(cycle->connection_n == 8);
    BOOST_TEST(cycle->free_connection_n == 8);

    const Connection* c = cycle->free_connections;
    for (std::size_t i = 0; i < 8; i++) {
        BOOST_TEST_REQUIRE(c == &cycle->connections[i]);
        BOOST_TEST(c->fd == invalid_socket);
        BOOST_TEST(c->read == &cycle->read_events[i]);
        BOOST_TEST(c->write == &cycle->write_events[i]);
        BOOST_CHECK(c->read->closed);
        BOOST_CHECK(c->write->closed);
        c = static_cast<Connection*>(c->data);
    }
    BOOST_TEST(c == nullptr);
}

BOOST_AUTO_TEST_CASE(the_first_use_of_a_slot_has_another_instance_than_a_free_slot)
{
    const ListenCycle cycle("events { use fake; worker_connections 8; }");
    const unsigned before = cycle->free_connections->read->instance;
    Connection& c = *get_connection(3, cycle->log);
    BOOST_TEST(+c.read->instance != before);
    BOOST_TEST(+c.write->instance == +c.read->instance);
    free_connection(c);
    c.fd = invalid_socket;
}

BOOST_AUTO_TEST_CASE(each_listener_gets_a_connection_that_accepts)
{
    const ListenCycle cycle("test_listen unix:a; test_listen unix:b; "
                            "events { use fake; worker_connections 8; }");
    BOOST_TEST(cycle->free_connection_n == 6);
    for (std::size_t i = 0; i < 2; i++) {
        const Listening& ls = cycle.listening(i);
        const Connection& c = cycle->connections[i];
        BOOST_TEST(ls.connection == &c);
        BOOST_TEST(c.fd == ls.fd);
        BOOST_TEST(c.type == SOCK_STREAM);
        BOOST_TEST(c.listening == &ls);
        BOOST_TEST(c.log == &ls.log);
        BOOST_TEST(c.read->log == &ls.log);
        BOOST_CHECK(c.read->accept);
        BOOST_CHECK(!c.read->deferred_accept);
        BOOST_TEST(c.read->handler == event_accept);
        BOOST_CHECK(c.read->active);
    }
}

BOOST_AUTO_TEST_CASE(the_event_of_a_deferred_listener_has_deferred_accept)
{
    const ListenCycle cycle("test_listen 127.0.0.1 deferred; events { use fake; }");
    BOOST_CHECK(cycle.accept_event().deferred_accept);
}

BOOST_AUTO_TEST_CASE(one_process_watches_its_listeners_at_once)
{
    const Calls add{"add read"};
    for (const std::string master :
         {"", "master_process off; ", "master_process off; worker_processes 4; "}) {
        BOOST_TEST(calls_of(master + "test_listen unix:a; events { use fake; accept_mutex on; }") ==
                       add,
                   boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(of_many_workers_each_watches_a_listener_exclusively_if_the_poller_can)
{
    const std::string_view conf = "master_process on; worker_processes 2; test_listen unix:a; "
                                  "events { use fake; }";
    BOOST_TEST(calls_of(conf, like_epoll()) == Calls{"add read exclusive"},
               boost::test_tools::per_element());
    BOOST_TEST(use_exclusive_accept);
    BOOST_TEST(calls_of(conf) == Calls{"add read"}, boost::test_tools::per_element());
    BOOST_TEST(!use_exclusive_accept);
}

BOOST_AUTO_TEST_CASE(a_single_worker_watches_its_listeners_alone)
{
    BOOST_TEST(calls_of("master_process on; worker_processes 1; test_listen unix:a; "
                        "events { use fake; }",
                        like_epoll()) == Calls{"add read"},
               boost::test_tools::per_element());
    BOOST_TEST(!use_exclusive_accept);
}

BOOST_AUTO_TEST_CASE(with_the_accept_mutex_only_a_listener_of_the_workers_own_is_watched)
{
    const ListenCycle cycle("master_process on; worker_processes 2; test_listen unix:a; "
                            "test_listen 127.0.0.1 reuseport; "
                            "events { use fake; accept_mutex on; }",
                            like_epoll());
    BOOST_TEST(fake.calls == Calls{"add read"}, boost::test_tools::per_element());
    BOOST_CHECK(!cycle.accept_event(0).active);
    BOOST_CHECK(cycle.accept_event(1).active);
}

BOOST_AUTO_TEST_CASE(a_listener_of_the_workers_own_is_not_watched_exclusively)
{
    BOOST_TEST(calls_of("master_process on; worker_processes 2; test_listen 127.0.0.1 reuseport; "
                        "events { use fake; }",
                        like_epoll()) == Calls{"add read"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(of_the_listeners_of_all_workers_each_watches_its_own)
{
    for (const std::size_t worker : {0U, 1U, 2U}) {
        const WorkerNumber number(worker);
        const ListenCycle cycle("master_process on; worker_processes 3; test_listen unix:a; "
                                "test_listen 127.0.0.1 reuseport; events { use fake; }");
        std::string wanted = "x---";  // unix:a, then one listener for each worker
        wanted.at(1 + worker) = 'x';
        BOOST_TEST(watched(cycle) == wanted);
        BOOST_TEST(cycle->free_connection_n == cycle->connection_n - 2);
    }
}

BOOST_AUTO_TEST_CASE(with_the_accept_mutex_no_worker_watches_the_listener_of_another)
{
    const WorkerNumber number(1);
    const ListenCycle cycle("master_process on; worker_processes 2; test_listen unix:a; "
                            "test_listen 127.0.0.1 reuseport; "
                            "events { use fake; accept_mutex on; }");
    BOOST_TEST(watched(cycle) == "--x");
    BOOST_TEST((trylock_accept_mutex(*cycle) == Rc::ok));
    BOOST_TEST(watched(cycle) == "x-x");
    shmtx_unlock(accept_mutex);
}

BOOST_AUTO_TEST_CASE(the_accept_mutex_is_used_if_it_is_configured)
{
    const auto used = [](std::string_view main, std::string_view events) {
        const ListenCycle cycle(std::string(main) + " events { use fake; " + std::string(events) +
                                " accept_mutex_delay 33ms; }");
        BOOST_TEST(accept_mutex_delay == 33);
        BOOST_TEST(!accept_mutex_held);
        return use_accept_mutex;
    };
    BOOST_TEST(used("master_process on; worker_processes 2;", "accept_mutex on;"));
    BOOST_TEST(!used("master_process on; worker_processes 2;", "accept_mutex off;"));
    BOOST_TEST(!used("master_process on; worker_processes 2;", ""));
    BOOST_TEST(!used("master_process on; worker_processes 1;", "accept_mutex on;"));
    BOOST_TEST(!used("master_process off; worker_processes 2;", "accept_mutex on;"));
}

BOOST_AUTO_TEST_CASE(the_accept_mutex_is_used_between_workers_whose_poller_needs_it)
{
    const auto used = [](std::string_view main) {
        const ListenCycle cycle(std::string(main) + " test_listen unix:a; events { use fake; }",
                                {.needs_accept_mutex = true});
        BOOST_TEST(watched(cycle) == (use_accept_mutex ? "-" : "x"));
        return use_accept_mutex;
    };
    BOOST_TEST(used("master_process on; worker_processes 2;"));
    BOOST_TEST(!used("master_process on; worker_processes 1;"));
    BOOST_TEST(!used("master_process off; worker_processes 2;"));
}

BOOST_AUTO_TEST_CASE(the_counters_move_to_shared_memory_once_and_only_under_a_master)
{
    const Forked child = in_child([](int fd) {
        const Atomic* const own = connection_counter;
        const auto moved = [&](std::string_view conf) {
            const Atomic* const before = connection_counter;
            const ListenCycle cycle(conf);
            return connection_counter != before;
        };
        accept_mutex_ptr = nullptr;
        say(fd, moved("master_process off; events {}") ? "early " : "");
        say(fd, moved("master_process on; events {}") ? "moved " : "");
        say(fd, moved("master_process on; events {}") ? "again " : "");
        say(fd, connection_counter != own && *connection_counter == 1 ? "from one" : "");
    });
    BOOST_TEST(child.text == "moved from one");
    BOOST_TEST(child.exited_with(0));
}

BOOST_AUTO_TEST_CASE(every_shared_counter_has_its_own_cache_line)
{
    const ListenCycle cycle("master_process on; events { use fake; }");
    const std::vector<const Atomic*> counters{accept_mutex_ptr, connection_counter, stat_accepted,
                                              stat_handled,     stat_requests,      stat_active,
                                              stat_reading,     stat_writing,       stat_waiting};
    for (std::size_t i = 1; i < counters.size(); i++) {
        BOOST_TEST(counters[i] - counters[i - 1] >= 128 / static_cast<long>(sizeof(Atomic)));
    }
    BOOST_TEST(accept_mutex.lock == accept_mutex_ptr);
}

BOOST_AUTO_TEST_CASE(a_failed_init_of_the_poller_is_an_error_of_the_process)
{
    const Forked child =
        in_child([](int) { const ListenCycle cycle("events { use fake; }", {.init = Rc::error}); });
    BOOST_TEST(contains(child.text, "init_process of a module failed"));
}

BOOST_AUTO_TEST_CASE(a_listener_that_cannot_be_watched_is_an_error_of_the_process)
{
    const Forked child = in_child([](int) {
        const ListenCycle cycle("test_listen unix:a; events { use fake; }", {.add = Rc::error});
    });
    BOOST_TEST(contains(child.text, "init_process of a module failed"));
}

BOOST_AUTO_TEST_CASE(the_poller_sets_the_calls_that_move_data)
{
    io = {};
    const ListenCycle cycle("events { use fake; }");
    BOOST_TEST(io.recv == os_io.recv);
    BOOST_TEST(io.send_chain == os_io.send_chain);
}

BOOST_AUTO_TEST_CASE(under_timer_resolution_an_alarm_occurs_at_its_interval)
{
    const WithoutAlarm after;
    const ListenCycle cycle("timer_resolution 1500ms; events { use fake; }");
    BOOST_TEST(fake.timer == 1500);
    BOOST_TEST(alarm_interval() == 1500);

    event_timer_alarm = 0;
    ::raise(SIGALRM);
    BOOST_TEST(event_timer_alarm == 1);
    event_timer_alarm = 0;
}

BOOST_AUTO_TEST_CASE(a_reload_without_timer_resolution_stops_the_alarm)
{
    const WithoutAlarm after;
    ListenCycle cycle("timer_resolution 1h; events { use fake; }");
    BOOST_TEST(alarm_interval() == 3'600'000);
    BOOST_TEST_REQUIRE(cycle.reload("events { use fake; }"));
    BOOST_TEST(alarm_interval() == 0);
    BOOST_TEST(fake.timer == 0);
}

BOOST_AUTO_TEST_CASE(a_reload_may_change_timer_resolution)
{
    const WithoutAlarm after;
    ListenCycle cycle("timer_resolution 1h; events { use fake; }");
    BOOST_TEST_REQUIRE(cycle.reload("timer_resolution 2h; events { use fake; }"));
    BOOST_TEST(alarm_interval() == 7'200'000);
}

BOOST_AUTO_TEST_CASE(a_poller_that_wakes_up_by_itself_needs_no_alarm)
{
    const ListenCycle cycle("timer_resolution 1h; events { use fake; }",
                            {.flags = use_level_event | use_timer_event});
    BOOST_TEST(fake.timer == 3'600'000);
    BOOST_TEST(alarm_interval() == 0);
}

BOOST_AUTO_TEST_CASE(a_poller_that_needs_connections_by_descriptor_gets_a_table_of_them)
{
    const ListenCycle cycle("test_listen unix:a; events { use fake; }",
                            {.flags = use_level_event | use_fd_event});
    for (int fd = 0; fd < static_cast<int>(cycle->files_n); fd++) {
        const Connection* const c =
            fd == cycle.listening().fd ? cycle.listening().connection : nullptr;
        BOOST_TEST(cycle->files[fd] == c);
    }
}

BOOST_AUTO_TEST_CASE(that_table_does_not_grow_with_the_limit_of_descriptors_but_with_those_in_use)
{
    rlimit most{};
    BOOST_TEST_REQUIRE(::getrlimit(RLIMIT_NOFILE, &most) == 0);
    const FileLimit limit(most.rlim_max);
    const ListenCycle cycle("test_listen unix:a; events { use fake; worker_connections 8; }",
                            {.flags = use_level_event | use_fd_event});
    BOOST_TEST(cycle->files_n == 8 + 1024);

    const int fd = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 2000);
    BOOST_TEST_REQUIRE(fd >= 2000);
    Connection* const c = get_connection(fd, cycle->log);
    BOOST_TEST_REQUIRE(c);
    BOOST_TEST(cycle->files[fd] == c);
    BOOST_TEST(cycle->files[cycle.listening().fd] == cycle.listening().connection);
    close_connection(*c);
    BOOST_TEST(cycle->files[fd] == nullptr);
}

BOOST_AUTO_TEST_CASE(other_pollers_have_no_such_table)
{
    const ListenCycle cycle("events { use fake; }");
    BOOST_TEST(cycle->files == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
