#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <sys/socket.h>

#include "core/cycle.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_core_module.hpp"
#include "event/event_counters.hpp"
#include "event/event_timer.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/forked.hpp"
#include "test/support/limit.hpp"
#include "test/support/log.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

namespace {

namespace utf = boost::unit_test;

using Calls = std::vector<std::string>;

constexpr std::string_view one_listener = "test_listen unix:a; events { use fake; }";

/// Two workers that share a unix listener with the accept mutex; the second listener is this
/// worker's own.
constexpr std::string_view shared_listener =
    "master_process on; worker_processes 2; test_listen unix:a; test_listen 127.0.0.1 reuseport; "
    "events { use fake; accept_mutex on; }";

/// A cycle whose fake poller starts with an empty list of calls.
struct Accepting : ListenCycle {
    explicit Accepting(std::string_view conf = one_listener, const Fake& wanted = {})
        : ListenCycle(conf, wanted)
    {
        fake.calls.clear();
    }
    ~Accepting()
    {
        if (accept_mutex_ptr) {
            accept_mutex_ptr->store(0);
        }
    }

    void accept_event_comes(std::size_t i = 0) const { event_accept(accept_event(i)); }
};

struct Sharing : Accepting {
    Sharing() : Accepting(shared_listener) {}
};

/// The changes of the counters since the start of the test.
struct Counters {
    [[nodiscard]] std::int64_t accepted() const { return *stat_accepted - accepted_; }
    [[nodiscard]] std::int64_t handled() const { return *stat_handled - handled_; }
    [[nodiscard]] std::int64_t active() const { return *stat_active - active_; }

    std::int64_t accepted_ = *stat_accepted;
    std::int64_t handled_ = *stat_handled;
    std::int64_t active_ = *stat_active;
};

/// Whether the peer has closed its end of a blocking socket.
bool is_closed(const Fd& client)
{
    char byte = 0;
    const ssize_t n = ::recv(client.get(), &byte, 1, 0);
    return n == 0 || (n == -1 && errno == ECONNRESET);
}

/// A log level that no connection has by default.
constexpr unsigned raised = log_debug_connection | log_debug_all;

}  // namespace

BOOST_AUTO_TEST_SUITE(event_accept)

BOOST_FIXTURE_TEST_CASE(an_event_accepts_one_connection, Accepting)
{
    const std::array clients{connect(), connect(), connect()};
    accept_event_comes();
    BOOST_TEST(handed.connections.size() == 1);
    accept_event_comes();
    BOOST_TEST(handed.connections.size() == 2);
}

BOOST_AUTO_TEST_CASE(under_multi_accept_an_event_accepts_all_that_wait)
{
    const Accepting cycle("test_listen unix:a; events { use fake; multi_accept on; }");
    const std::array clients{cycle.connect(), cycle.connect(), cycle.connect()};
    cycle.accept_event_comes();
    BOOST_TEST(handed.connections.size() == 3);
    BOOST_CHECK(!cycle.accept_event().ready);
}

BOOST_FIXTURE_TEST_CASE(an_event_without_a_connection_logs_nothing, Accepting)
{
    accept_event_comes();
    BOOST_TEST(handed.connections.empty());
    BOOST_TEST(!contains(log(), "accept4() failed"));
    BOOST_TEST(fake.calls.empty());
}

BOOST_FIXTURE_TEST_CASE(an_accepted_connection_is_a_slot_with_its_descriptor, Accepting)
{
    Fd client;
    const Connection& c = accept(client);
    BOOST_TEST(&c == &(*this)->connections[1]);
    BOOST_TEST(c.type == SOCK_STREAM);
    BOOST_TEST(c.pool != nullptr);
    BOOST_TEST(c.recv == io.recv);
    BOOST_TEST(c.send == io.send);
    BOOST_TEST(c.recv_chain == io.recv_chain);
    BOOST_TEST(c.send_chain == io.send_chain);
    BOOST_TEST((::fcntl(c.fd, F_GETFL) & O_NONBLOCK) != 0);

    BOOST_TEST(::send(c.fd, "x", 1, 0) == 1);
    char byte = 0;
    BOOST_TEST(::recv(client.get(), &byte, 1, 0) == 1);
}

BOOST_FIXTURE_TEST_CASE(an_accepted_connection_is_ready_to_write_and_not_to_read, Accepting)
{
    Fd client;
    const Connection& c = accept(client);
    BOOST_CHECK(c.write->ready);
    BOOST_CHECK(!c.read->ready);
    BOOST_TEST(c.read->available == 0);
    BOOST_CHECK(!c.read->active);
    BOOST_CHECK(!c.write->active);
    BOOST_TEST(fake.calls.empty());
}

BOOST_AUTO_TEST_CASE(a_connection_of_a_deferred_listener_comes_with_data)
{
    const Accepting cycle("test_listen 127.0.0.1 deferred; events { use fake; }");
    const Fd client = cycle.connect(0, "hello");
    cycle.accept_event_comes();
    BOOST_TEST_REQUIRE(handed.connections.size() == 1);
    Connection& c = *handed.connections[0];
    BOOST_CHECK(c.read->ready);
    BOOST_TEST(c.read->available == 1);
    char buf[8];
    BOOST_TEST(c.recv(c, buf, sizeof(buf)) == 5);
}

BOOST_FIXTURE_TEST_CASE(a_connection_has_its_own_log_without_the_listeners_text, Accepting)
{
    Fd client;
    const Connection& c = accept(client);
    BOOST_TEST(c.log != &listening().log);
    BOOST_TEST(c.log->file == listening().log.file);
    BOOST_TEST(c.log->log_level == listening().log.log_level);
    BOOST_TEST(c.log->handler == nullptr);
    BOOST_TEST(c.log->data == nullptr);
    BOOST_TEST(c.read->log == c.log);
    BOOST_TEST(c.write->log == c.log);
    BOOST_TEST(c.pool->log == c.log);
}

BOOST_FIXTURE_TEST_CASE(the_local_address_is_the_listeners, Accepting)
{
    Fd client;
    const Connection& c = accept(client);
    BOOST_TEST(c.listening == &listening());
    BOOST_TEST(c.local_sockaddr == &listening().sockaddr.any);
    BOOST_TEST(c.local_socklen == listening().socklen);
}

BOOST_AUTO_TEST_CASE(the_peers_address_is_kept_and_as_text_where_the_listener_wants_it)
{
    const Accepting cycle("test_listen 127.0.0.1 ntop; test_listen 127.0.0.1; "
                          "test_listen unix:a ntop; events { use fake; }");
    std::array<Fd, 3> clients;
    const Connection& with_text = cycle.accept(clients[0], 0);
    BOOST_TEST(with_text.addr_text == "127.0.0.1");
    BOOST_TEST(with_text.sockaddr->sa_family == AF_INET);
    BOOST_TEST(with_text.socklen == sizeof(sockaddr_in));

    BOOST_TEST(cycle.accept(clients[1], 1).addr_text == "");
    BOOST_TEST(cycle.accept(clients[2], 2).addr_text == "unix:");
}

BOOST_AUTO_TEST_CASE(the_options_of_tcp_are_off_for_unix_peers_only)
{
    const Accepting cycle("test_listen unix:a; test_listen 127.0.0.1; events { use fake; }");
    std::array<Fd, 2> clients;
    const Connection& local = cycle.accept(clients[0], 0);
    BOOST_TEST((local.tcp_nodelay == TcpOption::disabled));
    BOOST_TEST((local.tcp_nopush == TcpOption::disabled));
    const Connection& tcp = cycle.accept(clients[1], 1);
    BOOST_TEST((tcp.tcp_nodelay == TcpOption::unset));
    BOOST_TEST((tcp.tcp_nopush == TcpOption::unset));
}

BOOST_FIXTURE_TEST_CASE(connections_have_a_number_and_a_start_time, Accepting)
{
    std::array<Fd, 2> clients;
    current_msec = 4711;
    const Connection& first = accept(clients[0]);
    current_msec = 4712;
    const Connection& second = accept(clients[1]);
    BOOST_TEST(first.number > 0);
    BOOST_TEST(second.number == first.number + 1);
    BOOST_TEST(first.start_time == 4711);
    BOOST_TEST(second.start_time == 4712);
}

BOOST_FIXTURE_TEST_CASE(accepted_connections_are_counted, Accepting)
{
    const Counters counters;
    std::array<Fd, 2> clients;
    accept(clients[0]);
    accept(clients[1]);
    BOOST_TEST(counters.accepted() == 2);
    BOOST_TEST(counters.handled() == 2);
    BOOST_TEST(counters.active() == 2);
}

BOOST_AUTO_TEST_CASE(a_worker_accepts_no_more_once_seven_eighths_of_its_slots_are_taken)
{
    const Accepting cycle("test_listen unix:a; "
                          "events { use fake; worker_connections 16; }");
    std::array<Fd, 15> clients;
    for (std::size_t i = 0; i < clients.size(); i++) {
        cycle.accept(clients[i]);
        const auto free_before = static_cast<MsecInt>(15 - i);
        BOOST_TEST(accept_disabled == 2 - free_before);
    }
    BOOST_TEST(accept_disabled == 1);
}

BOOST_AUTO_TEST_CASE(without_a_free_slot_a_connection_is_closed_with_an_alert)
{
    const Accepting cycle("test_listen unix:a; events { use fake; worker_connections 2; "
                          "multi_accept on; }");
    Fd first;
    cycle.accept(first);
    const Counters counters;
    const std::array clients{cycle.connect(), cycle.connect()};
    cycle.accept_event_comes();

    BOOST_TEST(is_closed(clients[0]));
    BOOST_TEST(handed.connections.size() == 1);
    BOOST_TEST(contains(cycle.log(), "[alert]"));
    // In spite of multi_accept the second client is left for the next event.
    BOOST_TEST(count(cycle.log(), "2 worker_connections are not enough") == 1);
    BOOST_TEST(counters.accepted() == 1);
    BOOST_TEST(counters.handled() == 0);
    BOOST_TEST(counters.active() == 0);
}

BOOST_AUTO_TEST_CASE(add_conn_is_called_for_pollers_other_than_epoll)
{
    Fd client;
    {
        const Accepting cycle(one_listener, {.has_add_conn = true});
        const Connection& c = cycle.accept(client);
        BOOST_TEST(fake.calls == Calls{"add_conn"}, boost::test_tools::per_element());
        BOOST_CHECK(c.read->active);
    }
    const Accepting cycle(one_listener,
                          {.flags = use_clear_event | use_epoll_event, .has_add_conn = true});
    cycle.accept(client);
    BOOST_TEST(fake.calls.empty());
}

BOOST_AUTO_TEST_CASE(an_unexpected_report_after_add_conn_is_harmless)
{
    const Accepting cycle(one_listener, {.has_add_conn = true});
    Fd client;
    const Connection& c = cycle.accept(client);
    for (Event* ev : {c.read, c.write}) {
        BOOST_TEST_REQUIRE(ev->handler != EventHandler{});
        ev->handler(*ev);
    }
    BOOST_TEST(c.fd != invalid_socket);
}

BOOST_AUTO_TEST_CASE(a_connection_that_the_poller_refuses_is_closed)
{
    const Accepting cycle(one_listener, {.has_add_conn = true, .add_conn = Rc::error});
    const std::size_t free = cycle->free_connection_n;
    const Counters counters;
    const Fd client = cycle.connect();
    cycle.accept_event_comes();

    BOOST_TEST(is_closed(client));
    BOOST_TEST(handed.connections.empty());
    BOOST_TEST(cycle->free_connection_n == free);
    BOOST_TEST(counters.accepted() == 1);
    BOOST_TEST(counters.active() == 0);
}

BOOST_FIXTURE_TEST_CASE(an_aborted_connection_is_an_error_and_no_more, Accepting)
{
    const FakeCall accept4(Call::accept4, {.err = ECONNABORTED});
    const Fd client = connect();
    accept_event_comes();
    BOOST_TEST(accept4.calls() == 1);
    BOOST_TEST(handed.connections.empty());
    BOOST_TEST(contains(log(), "[error]"));
    BOOST_TEST(contains(log(), "accept4() failed (103: Software caused connection abort)"));

    accept_event_comes();
    BOOST_TEST(handed.connections.size() == 1);
}

BOOST_AUTO_TEST_CASE(under_multi_accept_the_next_is_tried_after_an_aborted_connection)
{
    const Accepting cycle("test_listen unix:a; events { use fake; multi_accept on; }");
    const FakeCall accept4(Call::accept4, {.err = ECONNABORTED}, 2);
    const std::array clients{cycle.connect(), cycle.connect()};
    cycle.accept_event_comes();
    BOOST_TEST(handed.connections.size() == 2);
    BOOST_TEST(accept4.calls() == 5);
}

BOOST_AUTO_TEST_CASE(connections_that_are_aborted_for_ever_end_the_turn_and_do_not_fill_the_log)
{
    for (const auto& [multi_accept, calls] : {std::pair{"on", 6400}, {"off", 100}}) {
        const Accepting cycle(std::string("test_listen unix:a; events { use fake; multi_accept ") +
                              multi_accept + "; }");
        {
            const FakeCall accept4(Call::accept4, {.err = ECONNABORTED}, FakeCall::always);
            for (int i = 0; i < 100; i++) {
                cycle.accept_event_comes();
            }
            BOOST_TEST(accept4.calls() == calls);
        }
        BOOST_TEST(count(cycle.log(), "accept4() failed") == 1);
        const Fd client = cycle.connect();
        handed.connections.clear();
        cycle.accept_event_comes();
        BOOST_TEST(handed.connections.size() == 1);
    }
}

BOOST_AUTO_TEST_CASE(a_listener_that_can_never_be_watched_does_not_fill_the_log,
                     *boost::unit_test::precondition(poller_is_built("epoll")))
{
    const Accepting cycle("test_listen unix:a; events { use epoll; }");
    Connection& c = *cycle.listening().connection;
    const int fd = std::exchange(c.fd, invalid_socket);
    c.read->active = 0;
    for (int i = 0; i < 1000; i++) {
        BOOST_TEST((enable_accept_events(*cycle) == Rc::error));
    }
    BOOST_TEST(count(cycle.log(), "epoll_ctl(1, -1) failed") == 1);
    c.read->accept = 0;
    for (int i = 0; i < 10; i++) {
        BOOST_TEST((enable_accept_events(*cycle) == Rc::error));
    }
    BOOST_TEST(count(cycle.log(), "epoll_ctl(1, -1) failed") == 11);
    c.read->accept = 1;
    c.fd = fd;
}

BOOST_AUTO_TEST_CASE(any_other_failure_is_an_alert_and_ends_the_event)
{
    const Accepting cycle("test_listen unix:a; events { use fake; multi_accept on; }");
    const FakeCall accept4(Call::accept4, {.err = EPROTO});
    const Fd client = cycle.connect();
    cycle.accept_event_comes();
    BOOST_TEST(accept4.calls() == 1);
    BOOST_TEST(contains(cycle.log(), "[alert]"));
    BOOST_TEST(contains(cycle.log(), "accept4() failed (71: Protocol error)"));
    BOOST_TEST(fake.calls.empty());
}

BOOST_AUTO_TEST_CASE(a_failure_names_the_listener)
{
    const Accepting cycle("test_listen 127.0.0.1; events { use fake; }");
    const FakeCall accept4(Call::accept4, {.err = EPROTO});
    cycle.accept_event_comes();
    BOOST_TEST(contains(cycle.log(), "accept4() failed (71: Protocol error) "
                                     "while accepting new connection on 127.0.0.1:0\n"));
}

BOOST_AUTO_TEST_CASE(the_listeners_words_are_cut_to_the_room_there_is)
{
    Listening ls;
    ls.addr_text = "127.0.0.1:80";
    ls.log.data = &ls;
    char buf[64];
    const auto words = [&](std::size_t room) {
        return std::string(buf, accept_log_error(ls.log, buf, room));
    };
    BOOST_TEST(words(sizeof(buf)) == " while accepting new connection on 127.0.0.1:80");
    BOOST_TEST(words(10) == " while acc");
    BOOST_TEST(words(0) == "");
}

// All kernels of Debian have accept4(). In a child, because the effect of ENOSYS lasts for the life
// of the process.
BOOST_AUTO_TEST_CASE(without_accept4_the_older_call_is_used_from_then_on)
{
    const Forked child = in_child([](int fd) {
        const Accepting cycle;
        const std::array clients{cycle.connect(), cycle.connect()};
        const FakeCall accept4(Call::accept4, {.err = ENOSYS}, FakeCall::always);
        const FakeCall accept(Call::accept, {}, 0);
        for (int i = 0; i < 3; i++) {
            cycle.accept_event_comes();
        }
        const bool nonblocking = (::fcntl(handed.connections.at(0)->fd, F_GETFL) & O_NONBLOCK) != 0;
        say(fd,
            fmt::format("accept4 {}, accept {}, connections {}, nonblocking {}\n", accept4.calls(),
                        accept.calls(), handed.connections.size(), nonblocking));
        const FakeCall failing(Call::accept, {.err = EPROTO});
        cycle.accept_event_comes();
        say(fd, cycle.log());
    });
    BOOST_TEST(contains(child.text, "accept4 1, accept 2, connections 2, nonblocking true\n"));
    BOOST_TEST(contains(child.text, "accept4() failed (38: Function not implemented)"));
    BOOST_TEST(contains(child.text, "accept() failed (71: Protocol error)"));
    BOOST_TEST(child.exited_with(0));
}

BOOST_AUTO_TEST_CASE(under_multi_accept_the_older_call_is_used_at_once)
{
    const Forked child = in_child([](int fd) {
        const Accepting cycle("test_listen unix:a; events { use fake; multi_accept on; }");
        const Fd client = cycle.connect();
        const FakeCall accept4(Call::accept4, {.err = ENOSYS});
        cycle.accept_event_comes();
        say(fd, fmt::format("connections {}", handed.connections.size()));
    });
    BOOST_TEST(child.text == "connections 1");
}

BOOST_AUTO_TEST_CASE(a_connection_that_stays_blocking_is_closed)
{
    inherited_nonblocking = false;
    const Accepting cycle;
    const Counters counters;
    const Fd client = cycle.connect();
    const FakeCall ioctl(Call::ioctl, {.err = EBADF});
    cycle.accept_event_comes();
    inherited_nonblocking = true;

    BOOST_TEST(is_closed(client));
    BOOST_TEST(handed.connections.empty());
    BOOST_TEST(contains(cycle.log(), "[alert]"));
    BOOST_TEST(contains(cycle.log(), "ioctl(FIONBIO) failed (9: Bad file descriptor)"));
    BOOST_TEST(counters.active() == 0);
    BOOST_TEST(counters.handled() == 0);
}

BOOST_AUTO_TEST_CASE(without_descriptors_all_listeners_pause_and_a_timer_wakes_them)
{
    const Accepting cycle("test_listen unix:a; test_listen 127.0.0.1 reuseport; "
                          "events { use fake; accept_mutex_delay 70ms; }");
    const Fd client = cycle.connect();
    const FileLimit limit(FileLimit::next_file());
    current_msec = 1000;
    cycle.accept_event_comes();
    limit.lift();

    BOOST_TEST(fake.calls == (Calls{"del read disable", "del read disable"}),
               boost::test_tools::per_element());
    BOOST_TEST(cycle.accept_event().timer_set());
    BOOST_TEST(event_find_timer() == 70);
    BOOST_TEST(accept_disabled <= 0);
    BOOST_TEST(count(cycle.log(), "[crit]") == 1);
    BOOST_TEST(contains(cycle.log(), "accept4() failed (24: Too many open files)"));
}

BOOST_AUTO_TEST_CASE(after_the_pause_all_listeners_are_watched_and_accept)
{
    const Accepting cycle("test_listen unix:a; test_listen unix:b; events { use fake; }");
    const Fd client = cycle.connect();
    {
        const FakeCall accept4(Call::accept4, {.err = ENFILE});
        cycle.accept_event_comes();
    }
    BOOST_TEST(contains(cycle.log(), "accept4() failed (23: Too many open files in system)"));
    fake.calls.clear();

    current_msec += 499;
    event_expire_timers();
    BOOST_TEST(handed.connections.empty());
    current_msec += 1;
    event_expire_timers();
    BOOST_TEST(handed.connections.size() == 1);
    BOOST_TEST(fake.calls == (Calls{"add read", "add read"}), boost::test_tools::per_element());
    BOOST_CHECK(!cycle.accept_event().timedout);
}

BOOST_AUTO_TEST_CASE(a_pause_that_ends_without_descriptors_begins_again)
{
    const Accepting cycle;
    const Fd client = cycle.connect();
    const FakeCall accept4(Call::accept4, {.err = EMFILE}, 2);
    cycle.accept_event_comes();
    current_msec += 500;
    event_expire_timers();
    BOOST_TEST(fake.calls == (Calls{"del read disable", "add read", "del read disable"}),
               boost::test_tools::per_element());
    BOOST_TEST(event_find_timer() == 500);
    BOOST_TEST(accept4.calls() == 2);
}

BOOST_AUTO_TEST_CASE(without_memory_accepting_pauses_as_without_descriptors)
{
    for (const Err err : {ENOMEM, ENOBUFS, ENFILE}) {
        const Accepting cycle;
        const Fd client = cycle.connect();
        const FakeCall accept4(Call::accept4, {.err = err});
        cycle.accept_event_comes();
        BOOST_TEST(event_find_timer() == 500);
        current_msec += 500;
        event_expire_timers();
        BOOST_TEST(handed.connections.size() == 1);
    }
}

// Otherwise the listener would never be watched again.
BOOST_AUTO_TEST_CASE(a_pause_that_cannot_end_begins_again)
{
    const Accepting cycle;
    const Fd client = cycle.connect();
    const FakeCall accept4(Call::accept4, {.err = EMFILE});
    cycle.accept_event_comes();
    fake.add = Rc::error;
    current_msec += 500;
    event_expire_timers();
    BOOST_TEST(event_find_timer() == 500);
    BOOST_TEST(accept4.calls() == 1);

    fake.add = Rc::ok;
    current_msec += 500;
    event_expire_timers();
    BOOST_TEST(handed.connections.size() == 1);
    BOOST_CHECK(!cycle.accept_event().timedout);
}

// Otherwise listeners that were removed from the poller before would never be watched again.
BOOST_AUTO_TEST_CASE(accepting_pauses_although_a_listener_cannot_be_deleted)
{
    const Accepting cycle;
    fake.del = Rc::error;
    const FakeCall accept4(Call::accept4, {.err = EMFILE});
    cycle.accept_event_comes();
    BOOST_TEST(event_find_timer() == 500);
}

// The wait of the second turn ends with the timer, not with the client, which is still waiting.
BOOST_AUTO_TEST_CASE(the_loop_does_not_spin_while_descriptors_are_short)
{
    ListenCycle cycle("test_listen unix:a; events { accept_mutex_delay 20ms; }");
    const Fd client = cycle.connect();
    const FakeCall accept4(Call::accept4, {.err = EMFILE});
    cycle.turn();
    BOOST_TEST(accept4.calls() == 1);
    BOOST_TEST(event_find_timer() <= 20);
    const Msec due = cycle.accept_event().timer_key;

    cycle.turn();
    BOOST_TEST(current_msec >= due);
    BOOST_TEST(accept4.calls() == 2);
    BOOST_TEST(handed.connections.size() == 1);
    BOOST_TEST(count(cycle.log(), "[crit]") == 1);
}

BOOST_FIXTURE_TEST_CASE(without_descriptors_the_accept_mutex_is_released, Sharing)
{
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::ok));
    BOOST_TEST_REQUIRE(accept_mutex_held);
    fake.calls.clear();
    const FakeCall accept4(Call::accept4, {.err = EMFILE});
    accept_event_comes();

    BOOST_TEST(!accept_mutex_held);
    BOOST_TEST(accept_mutex.lock->load() == 0);
    BOOST_TEST(accept_disabled == 1);
    BOOST_TEST(!accept_event().timer_set());
    BOOST_TEST(fake.calls == (Calls{"del read disable", "del read disable"}),
               boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(without_descriptors_an_accept_mutex_of_another_worker_stays_its_own,
                        Sharing)
{
    accept_mutex.lock->store(1);
    const FakeCall accept4(Call::accept4, {.err = EMFILE});
    accept_event_comes(1);
    BOOST_TEST(accept_mutex.lock->load() == 1);
    BOOST_TEST(accept_disabled == 1);
    BOOST_TEST(!accept_event(1).timer_set());
}

BOOST_FIXTURE_TEST_CASE(a_free_accept_mutex_is_acquired_and_the_listeners_are_watched, Sharing)
{
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::ok));
    BOOST_TEST(accept_mutex_held);
    BOOST_TEST(accept_mutex.lock->load() == pid);
    BOOST_TEST(fake.calls == Calls{"add read"}, boost::test_tools::per_element());
    BOOST_CHECK(accept_event(0).active);
}

BOOST_FIXTURE_TEST_CASE(the_accept_mutex_that_comes_back_at_once_changes_nothing, Sharing)
{
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::ok));
    shmtx_unlock(accept_mutex);
    fake.calls.clear();
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::ok));
    BOOST_TEST(accept_mutex_held);
    BOOST_TEST(fake.calls.empty());
}

BOOST_FIXTURE_TEST_CASE(a_poller_that_lost_its_listeners_gets_them_with_the_mutex, Sharing)
{
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::ok));
    shmtx_unlock(accept_mutex);
    accept_event(0).active = 0;
    accept_events = true;
    fake.calls.clear();
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::ok));
    BOOST_TEST(fake.calls == Calls{"add read"}, boost::test_tools::per_element());
    BOOST_TEST(!accept_events);
}

BOOST_FIXTURE_TEST_CASE(losing_the_accept_mutex_deletes_only_shared_listeners, Sharing)
{
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::ok));
    accept_mutex.lock->store(1);
    fake.calls.clear();
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::ok));
    BOOST_TEST(!accept_mutex_held);
    BOOST_TEST(fake.calls == Calls{"del read disable"}, boost::test_tools::per_element());
    BOOST_CHECK(!accept_event(0).active);
    BOOST_CHECK(accept_event(1).active);
}

BOOST_FIXTURE_TEST_CASE(an_accept_mutex_that_stays_with_another_worker_changes_nothing, Sharing)
{
    accept_mutex.lock->store(1);
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::ok));
    BOOST_TEST(!accept_mutex_held);
    BOOST_TEST(fake.calls.empty());
}

BOOST_FIXTURE_TEST_CASE(listeners_that_cannot_be_watched_release_the_accept_mutex, Sharing)
{
    fake.add = Rc::error;
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::error));
    BOOST_TEST(!accept_mutex_held);
    BOOST_TEST(accept_mutex.lock->load() == 0);
}

BOOST_FIXTURE_TEST_CASE(listeners_that_cannot_be_deleted_are_an_error, Sharing)
{
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::ok));
    accept_mutex.lock->store(1);
    fake.del = Rc::error;
    BOOST_TEST((trylock_accept_mutex(**this) == Rc::error));
    BOOST_TEST(accept_mutex_held);
}

BOOST_AUTO_TEST_CASE(only_listeners_that_are_not_watched_are_watched_again)
{
    const Accepting cycle("test_listen unix:a; test_listen unix:b; events { use fake; }");
    cycle.accept_event(1).active = 0;
    fake.events.clear();
    BOOST_TEST((enable_accept_events(*cycle) == Rc::ok));
    BOOST_TEST(fake.calls == Calls{"add read"}, boost::test_tools::per_element());
    BOOST_TEST(fake.events[0] == &cycle.accept_event(1));
}

BOOST_AUTO_TEST_CASE(a_listener_of_another_worker_has_no_connection_to_watch)
{
    const Accepting cycle("test_listen unix:a; events { use fake; }");
    Connection* const c = std::exchange(cycle.listening().connection, nullptr);
    c->read->active = 0;
    BOOST_TEST((enable_accept_events(*cycle) == Rc::ok));
    BOOST_TEST(fake.calls.empty());
    cycle.listening().connection = c;
}

BOOST_AUTO_TEST_CASE(an_exclusive_listener_is_added_again_every_16th_time)
{
    const Accepting cycle(one_listener);
    use_exclusive_accept = true;
    std::array<Fd, 34> clients;
    for (std::size_t i = 0; i < clients.size(); i++) {
        fake.calls.clear();
        cycle.accept(clients[i]);
        const Calls moved{"del read disable", "add read exclusive"};
        BOOST_TEST(fake.calls == (i % 16 == 0 ? moved : Calls{}), boost::test_tools::per_element());
    }
    use_exclusive_accept = false;
}

// Otherwise the listener would never be watched again.
BOOST_AUTO_TEST_CASE(an_exclusive_listener_that_cannot_be_added_is_tried_again)
{
    const Accepting cycle;
    use_exclusive_accept = true;
    const Fd client = cycle.connect();
    fake.add = Rc::error;
    cycle.accept_event_comes();
    BOOST_TEST(event_find_timer() == 500);
    use_exclusive_accept = false;
}

BOOST_AUTO_TEST_CASE(an_exclusive_listener_of_a_nearly_full_worker_moves_every_time)
{
    const Accepting cycle("test_listen unix:a; events { use fake; worker_connections 16; }");
    use_exclusive_accept = true;
    std::array<Fd, 15> clients;
    for (std::size_t i = 0; i < clients.size(); i++) {
        fake.calls.clear();
        cycle.accept(clients[i]);
        BOOST_TEST(fake.calls.empty() == (i != 0 && accept_disabled <= 0));
    }
    use_exclusive_accept = false;
    BOOST_TEST(accept_disabled == 1);
}

BOOST_AUTO_TEST_CASE(listeners_that_are_not_exclusive_stay_where_they_are)
{
    const Accepting cycle(
        "test_listen unix:a; test_listen 127.0.0.1 reuseport; events { use fake; }");
    std::array<Fd, 2> clients;
    cycle.accept(clients[0], 0);
    use_exclusive_accept = true;
    cycle.accept(clients[1], 1);
    use_exclusive_accept = false;
    BOOST_TEST(fake.calls.empty());
}

BOOST_AUTO_TEST_CASE(an_exclusive_listener_that_cannot_be_deleted_is_not_added)
{
    const Accepting cycle(one_listener);
    fake.del = Rc::error;
    use_exclusive_accept = true;
    Fd client;
    cycle.accept(client);
    use_exclusive_accept = false;
    BOOST_TEST(fake.calls == Calls{"del read disable"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(debug_connection_raises_the_level_of_peers_in_its_networks)
{
    EventConf ecf;
    for (const std::string_view text : {"10.1.0.0/16", "::1"}) {
        BOOST_TEST((ptocidr(text, ecf.debug_connection.emplace_back()) == Rc::ok));
    }
    const auto level = [&](std::string_view peer) {
        TestLog log(log_err);
        Addr addr;
        BOOST_TEST((parse_addr(addr, peer) == Rc::ok));
        Connection c;
        c.log = &log.log;
        c.sockaddr = &addr.sockaddr.any;
        debug_accepted_connection(ecf, c);
        return log.log.log_level;
    };
    BOOST_TEST(level("10.1.2.3") == raised);
    BOOST_TEST(level("::1") == raised);
    BOOST_TEST(level("10.2.2.3") == log_err);
    BOOST_TEST(level("::2") == log_err);
    // An IPv4 address mapped into IPv6 does not match the IPv4 network.
    BOOST_TEST(level("::ffff:10.1.2.3") == log_err);
}

BOOST_AUTO_TEST_CASE(debug_connection_may_match_all_unix_peers)
{
    EventConf ecf;
    ecf.debug_connection.push_back({.family = AF_UNIX});
    TestLog log(log_err);
    Connection c;
    c.log = &log.log;
    SockaddrUnion sa{.un = {.sun_family = AF_UNIX, .sun_path = {}}};
    c.sockaddr = &sa.any;
    debug_accepted_connection(ecf, c);
    BOOST_TEST(log.log.log_level == raised);
}

BOOST_AUTO_TEST_CASE(debug_connection_raises_the_level_of_one_connection_only,
                     *utf::precondition([](auto) { return have_debug; }))
{
    const Accepting cycle("error_log error.log error; test_listen unix:a; test_listen 127.0.0.1; "
                          "events { use fake; debug_connection unix:; }");
    std::array<Fd, 2> clients;
    const Connection& local = cycle.accept(clients[0], 0);
    const Connection& tcp = cycle.accept(clients[1], 1);
    BOOST_TEST(local.log->log_level == raised);
    BOOST_TEST(tcp.log->log_level == log_err);
    BOOST_TEST(cycle.listening(0).log.log_level == log_err);
    BOOST_TEST(count(cycle.log(), "accept: ") == 1);
    BOOST_TEST(
        contains(cycle.log(), fmt::format("*{} accept: unix: fd:{}\n", local.number, local.fd)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
