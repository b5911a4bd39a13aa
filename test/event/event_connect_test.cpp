// Tests of connecting to a peer: the result with each poller, and the local address.

#include <cerrno>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/test/unit_test.hpp>

#include "core/cycle.hpp"
#include "event/event.hpp"
#include "event/event_connect.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/cycle.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

namespace {

/// A cycle with a poller, and a peer that listens, or a port at which no socket listens.
struct Peer {
    explicit Peer(std::string_view poller = built_pollers().front(), bool listens = true)
        : cycle(fmt::format("events {{ use {}; }}", poller))
    {
        sa.in.sin_family = AF_INET;
        sa.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t len = sizeof(sa.in);
        BOOST_REQUIRE_EQUAL(::bind(socket.get(), &sa.any, len), 0);
        BOOST_REQUIRE_EQUAL(::getsockname(socket.get(), &sa.any, &len), 0);
        if (listens) {
            BOOST_REQUIRE_EQUAL(::listen(socket.get(), 1), 0);
        }
        pc.get = event_get_peer;
        pc.sockaddr = &sa.any;
        pc.socklen = sizeof(sa.in);
        pc.name = "the peer";
        pc.log = cycle->log;
        free_slots = cycle->free_connection_n;
    }
    ~Peer()
    {
        if (pc.connection) {
            close_connection(*pc.connection);
        }
    }

    /// Binds to this address before connecting.
    void bind_to(std::uint32_t addr, in_port_t port = 0)
    {
        local.sockaddr.in.sin_family = AF_INET;
        local.sockaddr.in.sin_addr.s_addr = htonl(addr);
        local.sockaddr.in.sin_port = htons(port);
        local.socklen = sizeof(local.sockaddr.in);
        local.name = "an address";
        pc.local = &local;
    }

    /// Turns the loop until the write event is reported.
    void wait()
    {
        Connection& c = *pc.connection;
        c.read->handler = [](Event&) noexcept {};
        c.write->handler = [](Event& ev) noexcept { ev.complete = 1; };
        while (!c.write->complete) {
            cycle.turn();
        }
    }

    [[nodiscard]] int option(int level, int name) const
    {
        int value = 0;
        socklen_t len = sizeof(value);
        BOOST_REQUIRE_EQUAL(::getsockopt(pc.connection->fd, level, name, &value, &len), 0);
        return value;
    }

    /// Checks that the connection has failed with `wanted` and that all its resources were
    /// released.
    void is_given_up(Rc rc, Rc wanted, std::string_view message)
    {
        BOOST_TEST((rc == wanted));
        BOOST_TEST(pc.connection == nullptr);
        BOOST_TEST(cycle->free_connection_n == free_slots);
        BOOST_TEST(contains(cycle.log(), message), cycle.log());
    }

    TestCycle cycle;
    Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    SockaddrUnion sa{};
    Addr local{};
    PeerConnection pc{};
    std::size_t free_slots = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(event_connect)

BOOST_AUTO_TEST_CASE(a_connect_in_progress_is_reported_to_the_write_event)
{
    for (const std::string& poller : built_pollers()) {
        Peer peer(poller);
        BOOST_TEST_CONTEXT(poller)
        {
            BOOST_TEST((event_connect_peer(peer.pc) == Rc::again));
            const Connection& c = *peer.pc.connection;
            BOOST_TEST(unsigned{c.read->active} == 1);
            BOOST_TEST(unsigned{c.write->active} == 1);
            BOOST_TEST(unsigned{c.write->ready} == 0);
            peer.wait();
            BOOST_TEST(unsigned{c.write->ready} == 1);
            BOOST_TEST(peer.option(SOL_SOCKET, SO_ERROR) == 0);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_refused_connect_is_reported_to_the_write_event)
{
    for (const std::string& poller : built_pollers()) {
        Peer peer(poller, false);
        BOOST_TEST_CONTEXT(poller)
        {
            BOOST_TEST((event_connect_peer(peer.pc) == Rc::again));
            peer.wait();
            BOOST_TEST(peer.option(SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_peer_that_is_connected_at_once_is_ready)
{
    for (const std::string& poller : built_pollers()) {
        Peer peer(poller);
        const FakeCall call(Call::connect, {.result = 0});
        BOOST_TEST_CONTEXT(poller)
        {
            BOOST_TEST((event_connect_peer(peer.pc) == Rc::ok));
            const Connection& c = *peer.pc.connection;
            BOOST_TEST(unsigned{c.write->ready} == 1);
            BOOST_TEST(unsigned{c.read->active} == 1);
            BOOST_TEST((unsigned{c.write->active} == 1) == (event_actions.add_conn != nullptr));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_peer_that_refuses_at_once_is_declined)
{
    for (const std::string& poller : built_pollers()) {
        for (const int err :
             {ECONNREFUSED, ECONNRESET, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH}) {
            Peer peer(poller);
            const FakeCall call(Call::connect, {.err = err});
            peer.is_given_up(
                event_connect_peer(peer.pc), Rc::declined,
                fmt::format("[error] {0}#{0}: connect() to the peer failed ({1}: ", log_pid, err));
        }
    }
}

BOOST_AUTO_TEST_CASE(an_unexpected_errno_is_critical)
{
    for (const int err : {EACCES, EPERM, ENOENT, EINTR, EAFNOSUPPORT, EALREADY}) {
        Peer peer;
        const FakeCall call(Call::connect, {.err = err});
        peer.is_given_up(
            event_connect_peer(peer.pc), Rc::declined,
            fmt::format("[crit] {0}#{0}: connect() to the peer failed ({1}: ", log_pid, err));
    }
}

BOOST_AUTO_TEST_CASE(a_local_shortage_is_an_error)
{
    for (const int err : {EADDRNOTAVAIL, ENOBUFS, ENOMEM, EAGAIN}) {
        Peer peer;
        const FakeCall call(Call::connect, {.err = err});
        peer.is_given_up(event_connect_peer(peer.pc), Rc::abort,
                         fmt::format("{0}#{0}: connect() to the peer failed ({1}: ", log_pid, err));
    }
}

BOOST_AUTO_TEST_CASE(without_a_socket_there_is_an_error)
{
    for (const int err : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES}) {
        Peer peer;
        const FakeCall call(Call::socket, {.err = err});
        peer.is_given_up(event_connect_peer(peer.pc), Rc::error,
                         fmt::format("[alert] {0}#{0}: socket() failed ({1}: ", log_pid, err));
    }
}

BOOST_AUTO_TEST_CASE(without_a_slot_there_is_an_error)
{
    Peer peer;
    Connection* const all = std::exchange(peer.cycle->free_connections, nullptr);
    peer.is_given_up(event_connect_peer(peer.pc), Rc::error, "worker_connections are not enough");
    peer.cycle->free_connections = all;
}

BOOST_AUTO_TEST_CASE(a_poller_that_fails_is_an_error)
{
    for (const std::string& poller : built_pollers()) {
        Peer peer(poller);
        const EventActions actions = event_actions;
        if (event_actions.add_conn) {
            event_actions.add_conn = [](Connection&) noexcept { return Rc::error; };
        }
        event_actions.add = [](Event&, EventType, unsigned) noexcept { return Rc::error; };
        peer.is_given_up(event_connect_peer(peer.pc), Rc::error, "");
        event_actions = actions;
    }
}

BOOST_AUTO_TEST_CASE(an_option_that_cannot_be_set_is_ignored)
{
    Peer peer;
    peer.pc.rcvbuf = 10'000;
    peer.pc.sndbuf = 20'000;
    peer.pc.so_keepalive = 1;
    const FakeCall call(Call::setsockopt, {.err = ENOBUFS}, 3);
    BOOST_TEST((event_connect_peer(peer.pc) == Rc::again));
    const std::string log = peer.cycle.log();
    BOOST_TEST(contains(log, "setsockopt(SO_RCVBUF, 10000) failed, ignored (105: "));
    BOOST_TEST(contains(log, "setsockopt(SO_SNDBUF, 20000) failed, ignored (105: "));
    BOOST_TEST(contains(log, "setsockopt(SO_KEEPALIVE, 1) failed, ignored (105: "));
}

BOOST_AUTO_TEST_CASE(options_are_set)
{
    Peer peer;
    peer.pc.rcvbuf = 10'000;
    peer.pc.sndbuf = 20'000;
    peer.pc.so_keepalive = 1;
    BOOST_TEST((event_connect_peer(peer.pc) == Rc::again));
    BOOST_TEST(peer.option(SOL_SOCKET, SO_RCVBUF) == 20'000);
    BOOST_TEST(peer.option(SOL_SOCKET, SO_SNDBUF) == 40'000);
    BOOST_TEST(peer.option(SOL_SOCKET, SO_KEEPALIVE) == 1);
}

BOOST_AUTO_TEST_CASE(the_port_of_an_address_without_one_is_chosen_when_the_peer_is_known)
{
    Peer peer;
    peer.bind_to(INADDR_LOOPBACK + 1);
    BOOST_TEST((event_connect_peer(peer.pc) == Rc::again));
    BOOST_TEST(peer.option(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == 1);
    SockaddrUnion bound{};
    socklen_t len = sizeof(bound);
    BOOST_REQUIRE_EQUAL(::getsockname(peer.pc.connection->fd, &bound.any, &len), 0);
    BOOST_TEST(ntohl(bound.in.sin_addr.s_addr) == INADDR_LOOPBACK + 1);
}

BOOST_AUTO_TEST_CASE(a_kernel_without_bind_address_no_port_is_asked_once)
{
    Peer peer;
    peer.bind_to(INADDR_LOOPBACK);
    {
        const FakeCall call(Call::setsockopt, {.err = EPERM});
        BOOST_TEST((event_connect_peer(peer.pc) == Rc::again));
        BOOST_TEST(
            contains(peer.cycle.log(), "setsockopt(IP_BIND_ADDRESS_NO_PORT) failed, ignored (1: "));
        close_connection(*peer.pc.connection);
    }
    {
        const FakeCall call(Call::setsockopt, {.err = ENOPROTOOPT});
        BOOST_TEST((event_connect_peer(peer.pc) == Rc::again));
        BOOST_TEST(call.calls() == 1);
        close_connection(*peer.pc.connection);
        BOOST_TEST((event_connect_peer(peer.pc) == Rc::again));
        BOOST_TEST(call.calls() == 1);
    }
}

BOOST_AUTO_TEST_CASE(an_address_that_cannot_be_bound_to_is_an_error)
{
    for (const int err : {EADDRINUSE, EADDRNOTAVAIL, EACCES}) {
        Peer peer;
        peer.bind_to(INADDR_LOOPBACK);
        const FakeCall call(Call::bind, {.err = err});
        peer.is_given_up(
            event_connect_peer(peer.pc), Rc::error,
            fmt::format("[crit] {0}#{0}: bind(an address) failed ({1}: ", log_pid, err));
    }
}

BOOST_AUTO_TEST_CASE(datagram_sockets_share_a_port_that_is_asked_for)
{
    Peer peer;
    peer.bind_to(INADDR_LOOPBACK, ntohs(peer.sa.in.sin_port));
    peer.pc.type = SOCK_DGRAM;
    BOOST_TEST((event_connect_peer(peer.pc) == Rc::ok));
    Connection* const first = peer.pc.connection;
    BOOST_TEST(peer.option(SOL_SOCKET, SO_REUSEADDR) == 1);
    BOOST_TEST((event_connect_peer(peer.pc) == Rc::ok));
    close_connection(*first);
}

BOOST_AUTO_TEST_CASE(an_address_of_another_machine_is_bound_to_when_the_system_allows_it)
{
    Peer peer;
    peer.bind_to(0xc0000201);  // 192.0.2.1
    peer.pc.transparent = 1;
    {
        const FakeCall call(Call::setsockopt, {.err = EPERM});
        peer.is_given_up(event_connect_peer(peer.pc), Rc::error,
                         "setsockopt(IP_TRANSPARENT) failed (1: ");
    }
    const FakeCall call(Call::bind, {.result = 0});
    if (::geteuid() == 0) {
        BOOST_TEST((event_connect_peer(peer.pc) == Rc::again));
        BOOST_TEST(peer.option(IPPROTO_IP, IP_TRANSPARENT) == 1);
    }
}

BOOST_AUTO_TEST_CASE(a_unix_socket_is_connected_at_once_or_refuses)
{
    for (const std::string& poller : built_pollers()) {
        Peer peer(poller);
        SockaddrUnion sa{};
        sa.un.sun_family = AF_UNIX;
        const std::string path = peer.cycle.dir().path() / "socket";
        path.copy(sa.un.sun_path, path.size());
        peer.pc.sockaddr = &sa.any;
        peer.pc.socklen = sizeof(sa.un);
        peer.is_given_up(event_connect_peer(peer.pc), Rc::declined, "(2: No such file");

        const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        BOOST_REQUIRE_EQUAL(::bind(listener.get(), &sa.any, sizeof(sa.un)), 0);
        peer.is_given_up(event_connect_peer(peer.pc), Rc::declined, "(111: Connection refused");

        BOOST_REQUIRE_EQUAL(::listen(listener.get(), 0), 0);
        BOOST_TEST((event_connect_peer(peer.pc) == Rc::ok));
        Connection* const c = peer.pc.connection;
        BOOST_TEST((c->tcp_nodelay == TcpOption::disabled));
        peer.free_slots--;
        peer.is_given_up(event_connect_peer(peer.pc), Rc::declined, "(11: Resource temporarily");
        close_connection(*c);
    }
}

BOOST_AUTO_TEST_CASE(without_a_peer_the_result_of_the_choice_is_returned)
{
    Peer peer;
    for (const Rc rc : {Rc::busy, Rc::done, Rc::error}) {
        peer.pc.data = const_cast<Rc*>(&rc);
        peer.pc.get = [](PeerConnection&, void* data) noexcept { return *static_cast<Rc*>(data); };
        BOOST_TEST((event_connect_peer(peer.pc) == rc));
    }
    BOOST_TEST(peer.cycle->free_connection_n == peer.free_slots);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
