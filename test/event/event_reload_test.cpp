// Tests of a reload in one process: the new cycle replaces the old one, whose connections continue.

#include <array>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>
#include <poll.h>
#include <sys/socket.h>

#include "core/cycle.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/log.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

namespace {

constexpr Msec clean_interval = 30'000;  // how often old cycles are checked

/// Calls `test(poller)` for each poller of the build.
template <typename Test>
void for_each_poller(Test test)
{
    for (const std::string& poller : built_pollers()) {
        BOOST_TEST_CONTEXT("use " << poller)
        {
            test(poller);
        }
    }
}

/// Returns a configuration with this poller and a listener for each letter.
std::string conf_of(std::string_view poller, std::string_view listeners)
{
    std::string text = "events { use " + std::string(poller) + "; worker_connections 64; }";
    for (const char name : listeners) {
        text += std::string(" test_listen unix:") + name + ";";
    }
    return text;
}

/// Turns the loop until the connections have received `text`. Each wait ends with an event.
void turn_until_received(ListenCycle& cycle, std::string_view text)
{
    for (int turns = 0; handed.text != text && turns < 10; turns++) {
        cycle.turn();
    }
    BOOST_TEST(handed.text == text);
}

void turn_until_handed(ListenCycle& cycle, std::size_t n)
{
    for (int turns = 0; handed.connections.size() < n && turns < 10; turns++) {
        cycle.turn();
    }
    BOOST_TEST_REQUIRE(handed.connections.size() == n);
}

/// Accepts a connection and adds it to the poller.
Connection& accept_watched(ListenCycle& cycle, Fd& client)
{
    const std::size_t n = handed.connections.size();
    client = cycle.connect();
    turn_until_handed(cycle, n + 1);
    Connection& c = *handed.connections.back();
    BOOST_TEST((handle_read_event(*c.read, 0) == Rc::ok));
    return c;
}

void close_accepted(Connection& c)
{
    Pool* const pool = c.pool;
    close_connection(c);
    destroy_pool(pool);
}

/// Advances the clock to the next check of old cycles.
void wait_for_cleaning()
{
    current_msec += clean_interval;
    event_expire_timers();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(event_reload)

BOOST_AUTO_TEST_CASE(connections_of_the_old_cycle_go_on)
{
    for_each_poller([](std::string_view poller) {
        ListenCycle cycle(conf_of(poller, "a"));
        Fd client;
        const Connection& c = accept_watched(cycle, client);
        BOOST_TEST_REQUIRE(cycle.reload(conf_of(poller, "a")));

        send_text(client, "after");
        turn_until_received(cycle, "after");
        BOOST_TEST(c.fd != invalid_socket);
    });
}

BOOST_AUTO_TEST_CASE(listeners_move_to_the_new_cycle)
{
    for_each_poller([](std::string_view poller) {
        ListenCycle cycle(conf_of(poller, "a"));
        const Cycle& old = *cycle;
        const int fd = cycle.listening().fd;
        BOOST_TEST_REQUIRE(cycle.reload(conf_of(poller, "a")));

        BOOST_TEST(cycle.listening().fd == fd);
        BOOST_TEST(cycle.listening().connection == &cycle->connections[0]);
        BOOST_TEST(old.listening.at(0).connection == nullptr);
        BOOST_TEST(old.connections[0].fd == invalid_socket);

        const Fd client = cycle.connect();
        turn_until_handed(cycle, 1);
        BOOST_TEST(handed.connections[0] == &cycle->connections[1]);
        BOOST_TEST(handed.connections[0]->listening == &cycle.listening());
    });
}

BOOST_AUTO_TEST_CASE(a_listener_that_is_new_is_served)
{
    for_each_poller([](std::string_view poller) {
        ListenCycle cycle(conf_of(poller, "a"));
        BOOST_TEST_REQUIRE(cycle.reload(conf_of(poller, "ab")));
        const Fd client = cycle.connect(1);
        turn_until_handed(cycle, 1);
        BOOST_TEST(handed.connections[0]->listening == &cycle.listening(1));
    });
}

BOOST_AUTO_TEST_CASE(a_removed_listener_is_closed)
{
    for_each_poller([](std::string_view poller) {
        ListenCycle cycle(conf_of(poller, "ab"));
        const Fd client = cycle.connect(1);
        BOOST_TEST_REQUIRE(cycle.reload(conf_of(poller, "a")));

        // The kernel resets the connections that wait in the queue of a socket that is closed.
        char byte = 0;
        BOOST_TEST(::recv(client.get(), &byte, 1, 0) == -1);
        BOOST_TEST(errno == ECONNRESET);

        const Fd other = cycle.connect(0);
        turn_until_handed(cycle, 1);
        BOOST_TEST(!contains(cycle.log(), "[alert]"));
    });
}

BOOST_AUTO_TEST_CASE(both_cycles_connections_are_served_in_one_turn)
{
    for_each_poller([](std::string_view poller) {
        ListenCycle cycle(conf_of(poller, "a"));
        std::array<Fd, 2> clients;
        accept_watched(cycle, clients[0]);
        BOOST_TEST_REQUIRE(cycle.reload(conf_of(poller, "a")));
        accept_watched(cycle, clients[1]);

        for (const Fd& client : clients) {
            send_text(client, "x");
        }
        cycle.turn();
        BOOST_TEST(handed.text == "xx");
    });
}

BOOST_AUTO_TEST_CASE(the_old_cycle_goes_when_its_last_connection_is_closed)
{
    for_each_poller([](std::string_view poller) {
        ListenCycle cycle(conf_of(poller, "a"));
        const Cycle* const old = &*cycle;
        Fd client;
        Connection& c = accept_watched(cycle, client);
        BOOST_TEST_REQUIRE(cycle.reload(conf_of(poller, "a")));
        BOOST_TEST(old_cycles.size() == 1);

        wait_for_cleaning();
        BOOST_TEST_REQUIRE(old_cycles.size() == 1);
        BOOST_TEST(old_cycles[0] == old);
        BOOST_TEST(cycle->old_cycle == old);

        close_accepted(c);
        wait_for_cleaning();
        BOOST_TEST(old_cycles.empty());
        BOOST_TEST(cycle->old_cycle == nullptr);
        BOOST_TEST(event_no_timers_left());
        BOOST_TEST(event_find_timer() == timer_infinite);
    });
}

BOOST_AUTO_TEST_CASE(each_of_many_old_cycles_is_destroyed_separately)
{
    ListenCycle cycle("test_listen unix:a; events { use fake; }");
    Fd client;
    Connection& first = cycle.accept(client);
    BOOST_TEST_REQUIRE(cycle.reload("test_listen unix:a; events { use fake; }"));
    const Cycle* const second = &*cycle;
    BOOST_TEST_REQUIRE(cycle.reload("test_listen unix:a; events { use fake; }"));
    BOOST_TEST(old_cycles.size() == 2);

    wait_for_cleaning();
    BOOST_TEST_REQUIRE(old_cycles.size() == 1);
    BOOST_TEST(old_cycles[0] != second);
    BOOST_TEST(cycle->old_cycle == nullptr);

    close_accepted(first);
    wait_for_cleaning();
    BOOST_TEST(old_cycles.empty());
}

BOOST_AUTO_TEST_CASE(the_timer_that_looks_at_old_cycles_does_not_keep_a_process_from_exiting)
{
    ListenCycle cycle("events { use fake; }");
    BOOST_TEST_REQUIRE(cycle.reload("events { use fake; }"));
    BOOST_TEST(event_find_timer() <= clean_interval);
    BOOST_TEST(event_no_timers_left());
}

BOOST_AUTO_TEST_CASE(a_poller_that_finds_connections_by_descriptor_finds_those_of_the_old_cycle)
{
    const Fake like_poll{.flags = use_level_event | use_fd_event};
    ListenCycle cycle("test_listen unix:a; events { use fake; }", like_poll);
    Fd client;
    Connection& c = cycle.accept(client);
    const int fd = c.fd;
    BOOST_TEST_REQUIRE(cycle.reload("test_listen unix:a; events { use fake; }"));

    BOOST_TEST(cycle->files[fd] == &c);
    BOOST_TEST(cycle->files[cycle.listening().fd] == cycle.listening().connection);
    close_accepted(c);
    BOOST_TEST(cycle->files[fd] == nullptr);
}

BOOST_AUTO_TEST_CASE(reusable_connections_stay_reusable_in_their_order)
{
    ListenCycle cycle("test_listen unix:a; events { use fake; worker_connections 8; }");
    std::array<Fd, 2> clients;
    Connection& first = cycle.accept(clients[0]);
    Connection& second = cycle.accept(clients[1]);
    reusable_connection(first, true);
    reusable_connection(second, true);
    const Cycle& old = *cycle;
    BOOST_TEST_REQUIRE(
        cycle.reload("test_listen unix:a; events { use fake; worker_connections 8; }"));

    BOOST_TEST(old.reusable_connections_n == 0);
    BOOST_TEST(cycle->reusable_connections_n == 2);
    BOOST_TEST(&cycle->reusable_connections_queue.back() == &first);
    reusable_connection(first, false);
    BOOST_TEST(cycle->reusable_connections_n == 1);
    BOOST_TEST(&cycle->reusable_connections_queue.back() == &second);
}

BOOST_AUTO_TEST_CASE(the_number_of_connections_may_change)
{
    ListenCycle cycle("test_listen unix:a; events { use fake; worker_connections 8; }");
    BOOST_TEST_REQUIRE(
        cycle.reload("test_listen unix:a; events { use fake; worker_connections 16; }"));
    BOOST_TEST(cycle->connection_n == 16);
    BOOST_TEST(cycle->free_connection_n == 15);
}

BOOST_AUTO_TEST_CASE(the_old_listener_is_deleted_before_the_new_one_is_added)
{
    ListenCycle cycle("test_listen unix:a; events { use fake; }");
    const Event* const old = &cycle.accept_event();
    fake.calls.clear();
    fake.events.clear();
    BOOST_TEST_REQUIRE(cycle.reload("test_listen unix:a; events { use fake; }"));
    BOOST_TEST(fake.calls == (std::vector<std::string>{"del read", "add read"}),
               boost::test_tools::per_element());
    BOOST_TEST(fake.events == (std::vector<const Event*>{old, &cycle.accept_event()}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_reload_that_is_refused_leaves_everything_as_it_is)
{
    ListenCycle cycle("test_listen unix:a; events { use fake; }");
    const Cycle* const old = &*cycle;
    fake.calls.clear();
    BOOST_TEST(!cycle.reload("test_listen unix:b; events { use fake; nonsense; }"));

    BOOST_TEST(&*cycle == old);
    BOOST_TEST(ngx_cycle == old);
    BOOST_TEST(old_cycles.empty());
    BOOST_TEST(fake.calls.empty());
    Fd client;
    cycle.accept(client);
    BOOST_TEST(handed.connections.size() == 1);
}

BOOST_AUTO_TEST_CASE(a_listener_that_paused_without_descriptors_is_watched_again)
{
    ListenCycle cycle("test_listen unix:a; events { use fake; }");
    cycle.accept_event().active = 0;
    add_timer(cycle.accept_event(), 500);
    BOOST_TEST_REQUIRE(cycle.reload("test_listen unix:a; events { use fake; }"));
    BOOST_CHECK(cycle.accept_event().active);
    BOOST_TEST(!cycle.accept_event().timer_set());
    BOOST_TEST(event_find_timer() > 500);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
