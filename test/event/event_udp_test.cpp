#include "event/event_udp.hpp"

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "core/buf.hpp"
#include "core/cycle.hpp"
#include "core/palloc.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_counters.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "os/unix/os.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/client.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

namespace utf = boost::unit_test;

using Texts = std::vector<std::string>;

/// A cycle with a datagram listener, whose fake poller starts with an empty list of calls.
struct Receiving : ListenCycle {
    explicit Receiving(std::string_view conf = "test_listen 127.0.0.1 udp ntop; "
                                               "events { use fake; }",
                       const Fake& wanted = {})
        : ListenCycle(conf, wanted)
    {
        fake.calls.clear();
    }

    /// Calls the read handler of the listener.
    void comes(std::size_t i = 0) const { event_recvmsg(accept_event(i)); }

    /// Returns a client whose first datagram has been received.
    Fd client(std::string_view text, std::size_t i = 0) const
    {
        Fd fd = connect(i, text);
        comes(i);
        return fd;
    }

    [[nodiscard]] std::size_t sessions(std::size_t i = 0) const
    {
        return listening(i).udp_connections->size();
    }
};

Connection& last_session()
{
    return *handed.connections.back();
}

void close_session(Connection& c)
{
    Pool* const pool = c.pool;
    close_connection(c);
    destroy_pool(pool);
}

std::string text_of(const sockaddr* sa, socklen_t len)
{
    std::array<char, sockaddr_strlen> text;
    return {text.data(), sock_ntop(sa, len, text.data(), text.size(), true)};
}

std::string address_of(const Fd& fd)
{
    SockaddrUnion sa{};
    socklen_t len = sizeof(sa);
    ::getsockname(fd.get(), &sa.any, &len);
    return text_of(&sa.any, len);
}

/// Returns the datagram that a client has received.
std::string received(const Fd& fd)
{
    char buf[256];
    const ssize_t n = ::recv(fd.get(), buf, sizeof(buf), MSG_DONTWAIT);
    return n == -1 ? "nothing" : std::string(buf, static_cast<std::size_t>(n));
}

/// Returns a client of one address of a wildcard listener, which has sent a text to it.
Fd client_to(const Listening& ls, std::string_view address, std::string_view text)
{
    Addr addr;
    BOOST_TEST_REQUIRE((parse_addr(addr, address) == Rc::ok));
    SockaddrUnion bound{};
    socklen_t len = sizeof(bound);
    ::getsockname(ls.fd, &bound.any, &len);
    inet_set_port(&addr.sockaddr.any, inet_get_port(&bound.any));

    Fd fd(::socket(addr.sockaddr.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    BOOST_TEST_REQUIRE(::connect(fd.get(), &addr.sockaddr.any, addr.socklen) == 0);
    send_text(fd, text);
    return fd;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(event_udp)

BOOST_FIXTURE_TEST_CASE(a_datagram_listener_is_watched_like_any_other, Receiving)
{
    BOOST_TEST(accept_event().handler == event_recvmsg);
    BOOST_CHECK(accept_event().accept);
    BOOST_TEST(listening().connection->type == static_cast<int>(SOCK_DGRAM));
}

BOOST_FIXTURE_TEST_CASE(a_new_client_gets_a_slot_that_shares_the_descriptor, Receiving)
{
    const Fd fd = client("hello");
    BOOST_TEST(handed.datagrams == Texts{"hello"}, boost::test_tools::per_element());
    const Connection& c = last_session();
    BOOST_TEST(c.fd == listening().fd);
    BOOST_CHECK(c.shared);
    BOOST_TEST(c.type == static_cast<int>(SOCK_DGRAM));
    BOOST_TEST(c.listening == &listening());
    BOOST_TEST(c.send == os_io.udp_send);
    BOOST_TEST(c.send_chain == os_io.udp_send_chain);
    BOOST_TEST(text_of(c.sockaddr, c.socklen) == address_of(fd));
    BOOST_TEST(c.local_sockaddr == &listening().sockaddr.any);
    BOOST_TEST(c.local_socklen == listening().socklen);
    BOOST_TEST(c.addr_text == "127.0.0.1");
    BOOST_TEST(std::string(c.buffer->pos, c.buffer->last) == "hello");
    BOOST_CHECK(c.read->active);
    BOOST_CHECK(!c.read->ready);
    BOOST_CHECK(c.write->ready);
    BOOST_TEST(fake.calls.empty());
}

BOOST_FIXTURE_TEST_CASE(a_new_client_is_counted, Receiving)
{
    const auto accepted = stat_accepted->load();
    const auto handled = stat_handled->load();
    const auto active = stat_active->load();
    const auto number = connection_counter->load();
    current_msec = 4711;
    const Fd fd = client("hello");
    BOOST_TEST(stat_accepted->load() == accepted + 1);
    BOOST_TEST(stat_handled->load() == handled + 1);
    BOOST_TEST(stat_active->load() == active + 1);
    BOOST_TEST(last_session().number == static_cast<std::uint64_t>(number));
    BOOST_TEST(last_session().start_time == 4711);
}

BOOST_FIXTURE_TEST_CASE(a_known_clients_datagrams_go_to_its_session, Receiving)
{
    const Fd first = client("a");
    Connection& c = last_session();
    const Fd second = client("b");
    send_text(first, "aa");
    comes();
    BOOST_TEST(handed.connections.size() == 2);
    BOOST_TEST(handed.datagrams == (Texts{"a", "b", "aa"}), boost::test_tools::per_element());
    BOOST_CHECK(c.read->active);
    BOOST_CHECK(!c.read->ready);
    BOOST_TEST(c.udp->buffer == nullptr);
    BOOST_TEST(fake.calls.empty());
}

BOOST_FIXTURE_TEST_CASE(a_datagram_is_read_once_and_cut_to_the_room, Receiving)
{
    const Fd fd = client("a");
    last_session().read->handler = [](Event& rev) noexcept {
        Connection& c = *static_cast<Connection*>(rev.data);
        char buf[3];
        BOOST_CHECK(rev.ready);
        BOOST_TEST(c.recv(c, buf, sizeof(buf)) == 3);
        BOOST_CHECK(!rev.ready);
        BOOST_TEST(c.recv(c, buf, sizeof(buf)) == io_again);
        BOOST_CHECK(!rev.eof);
    };
    send_text(fd, "hello");
    comes();
}

BOOST_FIXTURE_TEST_CASE(a_datagram_that_is_not_read_is_dropped, Receiving)
{
    const Fd fd = client("a");
    Connection& c = last_session();
    c.read->handler = [](Event&) noexcept {};
    send_text(fd, "hello");
    comes();
    char byte = 0;
    BOOST_TEST(c.recv(c, &byte, 1) == io_again);
    BOOST_CHECK(!c.read->ready);
    BOOST_CHECK(c.read->active);
}

BOOST_FIXTURE_TEST_CASE(an_empty_datagram_begins_a_session_and_goes_on_with_it, Receiving)
{
    const Fd fd = client("");
    BOOST_TEST(handed.connections.size() == 1);
    send_text(fd, "");
    comes();
    BOOST_TEST(handed.datagrams == (Texts{"", ""}), boost::test_tools::per_element());
    BOOST_CHECK(!last_session().read->eof);
}

BOOST_FIXTURE_TEST_CASE(the_largest_datagram_arrives_whole, Receiving)
{
    const std::string text(65'507, 'x');
    const Fd fd = client(text);
    BOOST_TEST(handed.datagrams.at(0).size() == text.size());
}

BOOST_FIXTURE_TEST_CASE(an_event_takes_one_datagram, Receiving)
{
    const std::array clients{connect(0, "a"), connect(0, "b")};
    comes();
    BOOST_TEST(handed.datagrams.size() == 1);
    comes();
    BOOST_TEST(handed.datagrams.size() == 2);
}

BOOST_AUTO_TEST_CASE(under_multi_accept_an_event_takes_all_that_wait)
{
    const Receiving cycle("test_listen 127.0.0.1 udp; events { use fake; multi_accept on; }");
    const std::array clients{cycle.connect(0, "a"), cycle.connect(0, "b")};
    send_text(clients[0], "aa");
    cycle.comes();
    BOOST_TEST(handed.connections.size() == 2);
    BOOST_TEST(handed.datagrams == (Texts{"a", "b", "aa"}), boost::test_tools::per_element());
    BOOST_CHECK(!cycle.accept_event().ready);
}

BOOST_AUTO_TEST_CASE(under_multi_accept_a_turn_receives_a_limited_number)
{
    const Receiving cycle("test_listen 127.0.0.1 udp; events { use fake; multi_accept on; }");
    const Fd fd = cycle.connect(0, "a");
    for (int i = 0; i < udp_max_per_turn; i++) {
        send_text(fd, "b");
    }
    cycle.comes();
    BOOST_TEST(handed.datagrams.size() == udp_max_per_turn);
    BOOST_TEST(!posted_next_events.empty());

    event_move_posted_next(*cycle);
    event_process_posted(*cycle, posted_events);
    BOOST_TEST(handed.datagrams.size() == udp_max_per_turn + 1);
    BOOST_TEST(posted_next_events.empty());
}

BOOST_FIXTURE_TEST_CASE(an_event_that_finds_nothing_is_silent, Receiving)
{
    comes();
    BOOST_TEST(handed.connections.empty());
    BOOST_TEST(!contains(log(), "[alert]"));
}

BOOST_FIXTURE_TEST_CASE(a_failure_is_an_alert, Receiving)
{
    const FakeCall recvmsg(Call::recvmsg, {.err = EBADF});
    comes();
    BOOST_TEST(contains(log(), "[alert]"));
    BOOST_TEST(contains(log(), "recvmsg() failed (9: Bad file descriptor) while accepting new "
                               "connection on 127.0.0.1:"));
}

BOOST_FIXTURE_TEST_CASE(failures_without_end_do_not_fill_the_log, Receiving)
{
    for (const int err : {EINTR, EBADF}) {
        const FakeCall recvmsg(Call::recvmsg, {.err = err}, FakeCall::always);
        for (int i = 0; i < 1000; i++) {
            comes();
        }
    }
    BOOST_TEST(count(log(), "recvmsg() failed") == 2);
    const Fd client = connect(0, "hello");
    comes();
    BOOST_TEST(handed.datagrams == Texts{"hello"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(control_data_that_is_cut_is_an_alert_and_the_next_datagram_is_taken)
{
    const Receiving cycle("test_listen 0.0.0.0 udp; events { use fake; multi_accept on; }");
    // More control data than the buffer has room for.
    const int on = 1;
    ::setsockopt(cycle.listening().fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on));
    const Fd first = cycle.connect(0, "a");
    const Fd second = cycle.connect(0, "b");
    cycle.comes();
    BOOST_TEST(contains(cycle.log(), "[alert]"));
    BOOST_TEST(contains(cycle.log(), "recvmsg() truncated data while accepting new connection"));
    BOOST_TEST(handed.connections.empty());

    const int off = 0;
    ::setsockopt(cycle.listening().fd, SOL_SOCKET, SO_TIMESTAMP, &off, sizeof(off));
    send_text(first, "again");
    cycle.comes();
    BOOST_TEST(handed.datagrams == Texts{"again"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_datagram_for_which_there_is_no_slot_is_lost)
{
    const Receiving cycle("test_listen 127.0.0.1 udp; "
                          "events { use fake; worker_connections 3; }");
    const Fd first = cycle.client("a");
    const Fd second = cycle.client("b");
    BOOST_TEST(handed.connections.size() == 2);
    const Fd third = cycle.client("c");
    BOOST_TEST(handed.connections.size() == 2);
    BOOST_TEST(contains(cycle.log(), "3 worker_connections are not enough while"));
    BOOST_TEST(accept_disabled == 0);

    send_text(first, "aa");
    cycle.comes();
    BOOST_TEST(handed.datagrams == (Texts{"a", "b", "aa"}), boost::test_tools::per_element());

    close_session(*handed.connections.front());
    send_text(third, "cc");
    cycle.comes();
    BOOST_TEST(handed.datagrams.back() == "cc");
}

BOOST_AUTO_TEST_CASE(a_session_that_may_be_closed_makes_room_for_a_new_one)
{
    const Receiving cycle("test_listen 127.0.0.1 udp; "
                          "events { use fake; worker_connections 3; }");
    const Fd first = cycle.client("a");
    reusable_connection(last_session(), true);
    const Fd second = cycle.client("b");
    const Fd third = cycle.client("c");
    BOOST_TEST(handed.datagrams == (Texts{"a", "b", "c"}), boost::test_tools::per_element());
    BOOST_TEST(cycle.sessions() == 2);
    BOOST_TEST(accept_disabled == 0);
}

BOOST_FIXTURE_TEST_CASE(a_session_that_ends_leaves_the_listener_open, Receiving)
{
    const Fd fd = client("a");
    BOOST_TEST(sessions() == 1);
    close_session(last_session());
    BOOST_TEST(sessions() == 0);
    BOOST_TEST(fake.calls.empty());

    send_text(fd, "b");
    comes();
    BOOST_TEST(handed.connections.size() == 2);
    BOOST_TEST(handed.datagrams == (Texts{"a", "b"}), boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_session_may_end_in_its_handler, Receiving)
{
    const Fd fd = client("a");
    last_session().read->handler = [](Event& rev) noexcept {
        close_session(*static_cast<Connection*>(rev.data));
    };
    send_text(fd, "b");
    comes();
    BOOST_TEST(sessions() == 0);
    BOOST_TEST((*this)->free_connection_n == (*this)->connection_n - 1);
}

BOOST_FIXTURE_TEST_CASE(a_slot_that_its_handler_frees_is_not_touched, Receiving)
{
    const Fd fd = client("a");
    static Connection* next;
    last_session().read->handler = [](Event& rev) noexcept {
        close_session(*static_cast<Connection*>(rev.data));
        next = get_connection(::dup(STDIN_FILENO), ngx_cycle->log);
        next->read->ready = 1;
    };
    send_text(fd, "b");
    comes();
    BOOST_TEST(next == &last_session());
    BOOST_CHECK(next->read->ready);
    BOOST_CHECK(!next->read->active);
    next->read->log = next->log;
    close_connection(*next);
}

BOOST_FIXTURE_TEST_CASE(a_forgotten_client_begins_a_new_session_and_the_old_one_goes_on, Receiving)
{
    const Fd fd = client("a");
    Connection& c = last_session();
    delete_udp_connection(c);
    BOOST_TEST(c.udp == nullptr);
    BOOST_TEST(sessions() == 0);
    delete_udp_connection(c);  // a second call does nothing

    send_text(fd, "b");
    comes();
    BOOST_TEST(handed.connections.size() == 2);
    BOOST_TEST(c.send(c, "answer", 6) == 6);
    BOOST_TEST(received(fd) == "answer");
}

BOOST_FIXTURE_TEST_CASE(a_handler_may_forget_its_client, Receiving)
{
    const Fd fd = client("a");
    last_session().read->handler = [](Event& rev) noexcept {
        delete_udp_connection(*static_cast<Connection*>(rev.data));
    };
    send_text(fd, "b");
    comes();
    BOOST_CHECK(last_session().read->active);
    BOOST_CHECK(!last_session().read->ready);
}

BOOST_AUTO_TEST_CASE(clients_of_two_listeners_are_kept_apart)
{
    const Receiving cycle("test_listen 127.0.0.1 udp; test_listen 127.0.0.2 udp; "
                          "events { use fake; }");
    const Fd fd = cycle.client("a", 0);
    BOOST_TEST(cycle.sessions(0) == 1);
    BOOST_TEST(cycle.sessions(1) == 0);
    const Fd other = cycle.client("b", 1);
    BOOST_TEST(cycle.sessions(1) == 1);
}

BOOST_AUTO_TEST_CASE(a_wildcard_listener_tells_clients_by_both_addresses)
{
    const Receiving cycle("test_listen 0.0.0.0 udp; events { use fake; }");
    const Listening& ls = cycle.listening();
    const Fd fd = client_to(ls, "127.0.0.1", "a");
    cycle.comes();
    Connection& c = last_session();
    const std::string port = std::to_string(inet_get_port(c.local_sockaddr));
    BOOST_TEST(text_of(c.local_sockaddr, c.local_socklen) == "127.0.0.1:" + port);

    // The same socket of the client, another address of the listener.
    Addr other;
    BOOST_TEST_REQUIRE((parse_addr(other, "127.0.0.7") == Rc::ok));
    SockaddrUnion bound{};
    socklen_t len = sizeof(bound);
    ::getsockname(ls.fd, &bound.any, &len);
    inet_set_port(&other.sockaddr.any, inet_get_port(&bound.any));
    BOOST_TEST(::sendto(fd.get(), "b", 1, 0, &other.sockaddr.any, other.socklen) == 1);
    cycle.comes();
    BOOST_TEST(handed.connections.size() == 2);
    BOOST_TEST(text_of(last_session().local_sockaddr, last_session().local_socklen) ==
               "127.0.0.7:" + port);

    // A connected socket receives the answer only from the address that it has sent to.
    Buf b;
    std::string text = "answer";
    b.pos = text.data();
    b.last = b.pos + text.size();
    b.memory = b.flush = 1;
    Chain out{.buf = &b, .next = nullptr};
    BOOST_TEST(c.send_chain(c, &out, 0) == nullptr);
    BOOST_TEST(received(fd) == "answer");
}

BOOST_AUTO_TEST_CASE(a_wildcard_listener_of_ipv6_knows_the_local_address_too,
                     *utf::precondition(has_ipv6))
{
    const Receiving cycle("test_listen :: udp; events { use fake; }");
    const Fd fd = client_to(cycle.listening(), "::1", "a");
    cycle.comes();
    const Connection& c = last_session();
    BOOST_TEST(text_of(c.local_sockaddr, c.local_socklen).starts_with("[::1]:"));
    send_text(fd, "b");
    cycle.comes();
    BOOST_TEST(handed.connections.size() == 1);
}

BOOST_AUTO_TEST_CASE(unix_sockets_with_a_name_have_sessions_and_those_without_get_new_ones)
{
    const Receiving cycle("test_listen unix:a udp ntop; events { use fake; }");
    const Fd nameless = cycle.client("a");
    send_text(nameless, "b");
    cycle.comes();
    BOOST_TEST(handed.connections.size() == 2);
    BOOST_TEST(cycle.sessions() == 2);
    BOOST_TEST(last_session().addr_text == "unix:");

    sockaddr_un sa{};
    sa.sun_family = AF_UNIX;
    const std::string path = cycle.dir() / "client";
    path.copy(sa.sun_path, sizeof(sa.sun_path) - 1);
    const Fd named(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    BOOST_TEST_REQUIRE(::bind(named.get(), reinterpret_cast<const sockaddr*>(&sa), sizeof(sa)) ==
                       0);
    BOOST_TEST_REQUIRE(
        ::connect(named.get(), &cycle.listening().sockaddr.any, cycle.listening().socklen) == 0);
    for (const char* const text : {"c", "d"}) {
        send_text(named, text);
        cycle.comes();
    }
    BOOST_TEST(handed.connections.size() == 3);
    BOOST_TEST(handed.datagrams == (Texts{"a", "b", "c", "d"}), boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_session_that_finds_no_room_is_called_again_in_a_moment, Receiving)
{
    const Fd fd = client("a");
    Connection& c = last_session();
    static int calls;
    calls = 0;
    c.write->handler = [](Event& wev) noexcept { calls += wev.ready; };
    c.write->ready = 0;
    BOOST_TEST((handle_write_event(*c.write, 0) == Rc::ok));
    BOOST_TEST((handle_write_event(*c.write, 0) == Rc::ok));
    BOOST_TEST(fake.calls.empty());  // the descriptor is the listener's
    BOOST_TEST(event_no_timers_left());

    current_msec += 10;
    event_expire_timers();
    event_process_posted(**this, posted_events);
    BOOST_TEST(calls == 1);
    BOOST_TEST((handle_write_event(*c.write, 0) == Rc::ok));
    BOOST_TEST(event_timer_rbtree.empty());
}

BOOST_FIXTURE_TEST_CASE(a_session_may_end_while_it_waits_for_room, Receiving)
{
    const Fd fd = client("a");
    Connection& c = last_session();
    c.write->ready = 0;
    BOOST_TEST((handle_write_event(*c.write, 0) == Rc::ok));
    close_session(c);
    current_msec += 10;
    event_expire_timers();
    BOOST_TEST(posted_events.empty());
}

BOOST_AUTO_TEST_CASE(sessions_go_on_over_a_reload_in_one_process)
{
    const std::string conf = "master_process off; test_listen unix:a udp; events { use fake; }";
    Receiving cycle(conf);
    sockaddr_un sa{};
    sa.sun_family = AF_UNIX;
    const std::string path = cycle.dir() / "client";
    path.copy(sa.sun_path, sizeof(sa.sun_path) - 1);
    const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    BOOST_TEST_REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&sa), sizeof(sa)) == 0);
    BOOST_TEST_REQUIRE(
        ::connect(fd.get(), &cycle.listening().sockaddr.any, cycle.listening().socklen) == 0);
    send_text(fd, "a");
    cycle.comes();
    Connection& c = last_session();

    BOOST_TEST_REQUIRE(cycle.reload(conf));
    BOOST_TEST(cycle.sessions() == 1);
    send_text(fd, "b");
    cycle.comes();
    BOOST_TEST(handed.connections.size() == 1);
    BOOST_TEST(handed.datagrams == (Texts{"a", "b"}), boost::test_tools::per_element());

    close_session(c);
    BOOST_TEST(cycle.sessions() == 0);
    send_text(fd, "c");
    cycle.comes();
    BOOST_TEST(handed.connections.size() == 2);
    BOOST_TEST(last_session().listening == &cycle.listening());
}

BOOST_AUTO_TEST_CASE(sessions_end_with_a_listener_that_a_reload_closes)
{
    Receiving cycle("master_process off; test_listen unix:a udp; test_listen unix:b; "
                    "events { use fake; }");
    const Fd fd = cycle.client("a");
    const Connection& c = last_session();
    BOOST_TEST_REQUIRE(
        cycle.reload("master_process off; test_listen unix:b; events { use fake; }"));
    BOOST_TEST(c.fd == -1);
    BOOST_TEST(!contains(cycle.log(), "already closed"));
}

BOOST_FIXTURE_TEST_CASE(sessions_end_when_the_listeners_are_closed, Receiving)
{
    const std::array clients{client("a"), client("b"), client("c")};
    close_listening_sockets(**this);
    BOOST_TEST((*this)->free_connection_n == (*this)->connection_n);
    BOOST_TEST(sessions() == 0);
}

BOOST_FIXTURE_TEST_CASE(a_session_whose_client_was_removed_ends_then_too, Receiving)
{
    const Fd fd = client("a");
    delete_udp_connection(last_session());
    close_listening_sockets(**this);
    BOOST_TEST(last_session().fd == -1);
}

BOOST_FIXTURE_TEST_CASE(a_session_that_goes_on_has_the_descriptor_until_it_ends, Receiving)
{
    const std::array clients{client("a"), client("b")};
    Connection& first = *handed.connections.front();
    Connection& second = last_session();
    const int fd = listening().fd;
    for (Connection* c : {&first, &second}) {
        c->read->handler = [](Event&) noexcept {};
    }
    close_listening_sockets(**this);
    BOOST_TEST(listening().fd == -1);
    BOOST_TEST(udp_is_closing(first));

    close_session(first);
    BOOST_TEST(second.send(second, "answer", 6) == 6);
    BOOST_TEST(received(clients.back()) == "answer");
    delete_udp_connection(second);
    BOOST_TEST(::fcntl(fd, F_GETFD) != -1);
    close_session(second);
    BOOST_TEST(::fcntl(fd, F_GETFD) == -1);
}

BOOST_FIXTURE_TEST_CASE(a_session_never_stops_the_watching_of_its_listener, Receiving)
{
    const Fd fd = client("a");
    Event& rev = *last_session().read;
    BOOST_TEST((handle_read_event(rev, close_event) == Rc::ok));
    rev.ready = 1;
    BOOST_TEST((handle_read_event(rev, 0) == Rc::ok));
    BOOST_TEST(fake.calls.empty());
    BOOST_CHECK(rev.active);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
