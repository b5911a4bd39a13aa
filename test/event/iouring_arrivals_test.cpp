// Tests of iouring with completion: connections and datagrams of listeners, which the kernel
// accepts and receives, and answers to datagrams.

#include <array>
#include <cerrno>
#include <deque>
#include <fcntl.h>
#include <filesystem>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "core/buf.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/inet.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_timer.hpp"
#include "test/event/iouring.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// A cycle with a TCP listener of this worker alone, for which the kernel accepts.
struct Accepting : ListenCycle {
    explicit Accepting(std::string_view directives = "", std::string_view listen = "127.0.0.1 ntop")
        : ListenCycle("master_process off; test_listen " + std::string(listen) +
                      "; events { use iouring; iouring_io completion; worker_connections 128; " +
                      std::string(directives) + " }")
    {}

    /// Connects a client. The kernel may accept it before the next turn.
    [[nodiscard]] Fd client(std::string_view text = "") const
    {
        SockaddrUnion sa{};
        socklen_t len = sizeof(sa);
        BOOST_TEST_REQUIRE(::getsockname(listening().fd, &sa.any, &len) == 0);
        Fd fd(::socket(sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        BOOST_TEST_REQUIRE(::connect(fd.get(), &sa.any, len) == 0);
        BOOST_TEST(::send(fd.get(), text.data(), text.size(), 0) ==
                   static_cast<ssize_t>(text.size()));
        return fd;
    }

    /// Turns until the listener has passed `n` connections to its handler.
    void accepts(std::size_t n) const
    {
        for (int turns = 0; turns < 1000 && handed.connections.size() < n; turns++) {
            (void)event_actions.process_events(**this, 1000, 0);
        }
        BOOST_TEST(handed.connections.size() == n);
    }

    /// Lets the kernel accept: a first client is accepted by a call.
    [[nodiscard]] Fd begin() const
    {
        Fd first = client();
        accepts(1);
        (void)event_actions.process_events(**this, 0, 0);
        return first;
    }
};

/// A cycle with a datagram listener of this worker alone, from which the kernel receives.
struct Receiving : Accepting {
    explicit Receiving(std::string_view listen, std::string_view directives = "")
        : Accepting(directives, listen)
    {}

    /// Returns a client that has sent a datagram. A unix client has this path.
    [[nodiscard]] Fd client(std::string_view text, const std::filesystem::path& path = {}) const
    {
        SockaddrUnion sa{};
        socklen_t len = sizeof(sa);
        BOOST_TEST_REQUIRE(::getsockname(listening().fd, &sa.any, &len) == 0);
        Fd fd(::socket(sa.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (!path.empty()) {
            SockaddrUnion own{};
            own.un = {};
            own.un.sun_family = AF_UNIX;
            path.string().copy(own.un.sun_path, sizeof(own.un.sun_path) - 1);
            BOOST_TEST_REQUIRE(::bind(fd.get(), &own.any, sizeof(own.un)) == 0);
        }
        BOOST_TEST_REQUIRE(::connect(fd.get(), &sa.any, len) == 0);
        BOOST_TEST(::send(fd.get(), text.data(), text.size(), 0) ==
                   static_cast<ssize_t>(text.size()));
        return fd;
    }

    /// Lets the kernel receive: a first datagram is received by a call.
    [[nodiscard]] Fd begin() const
    {
        Fd first = client("first");
        accepts(1);
        (void)event_actions.process_events(**this, 0, 0);
        return first;
    }
};

/// Returns the next datagram; waits for it.
std::string datagram_of(const Fd& fd)
{
    std::string text(70'000, ' ');
    const ssize_t n = ::recv(fd.get(), text.data(), text.size(), 0);
    BOOST_TEST_REQUIRE(n >= 0);
    text.resize(static_cast<std::size_t>(n));
    return text;
}

ssize_t answer(Connection& c, std::string_view text)
{
    return c.send(c, text.data(), text.size());
}

/// Sends a datagram of two buffers.
bool answer_by_chain(Connection& c, std::string text)
{
    std::array<Buf, 2> bufs{};
    Chain second{&bufs[1], nullptr};
    Chain first{&bufs[0], &second};
    bufs[0].pos = text.data();
    bufs[0].last = bufs[1].pos = text.data() + 2;
    bufs[1].last = text.data() + text.size();
    bufs[0].memory = bufs[1].memory = 1;
    bufs[1].last_buf = 1;
    return c.send_chain(c, &first, 0) == nullptr;
}

/// Returns the address of the client's end of a connection.
std::string address_of(const Fd& fd)
{
    SockaddrUnion sa{};
    socklen_t len = sizeof(sa);
    BOOST_TEST_REQUIRE(::getsockname(fd.get(), &sa.any, &len) == 0);
    std::array<char, sockaddr_strlen> text;
    return {text.data(), sock_ntop(&sa.any, len, text.data(), text.size(), true)};
}

std::string address_of(const Connection& c)
{
    std::array<char, sockaddr_strlen> text;
    return {text.data(), sock_ntop(c.sockaddr, c.socklen, text.data(), text.size(), true)};
}

bool has_nodelay(int fd)
{
    int value = 0;
    socklen_t len = sizeof(value);
    BOOST_TEST_REQUIRE(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len) == 0);
    return value != 0;
}

/// Returns the lowest descriptor that is not in use.
int free_descriptor()
{
    const int fd = ::dup(0);
    ::close(fd);
    return fd;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(iouring_arrivals, *boost::unit_test::precondition(completion_is_there))

BOOST_AUTO_TEST_CASE(the_kernel_accepts_for_a_listener_in_the_order_of_arrival)
{
    const Accepting cycle;
    const Fd first = cycle.begin();
    const FakeCall accept4(Call::accept4, {.err = EINVAL}, FakeCall::always);
    std::deque<Fd> clients;
    for (int i = 0; i < 20; i++) {
        clients.push_back(cycle.client());
    }
    cycle.accepts(21);
    for (std::size_t i = 0; i < clients.size(); i++) {
        const Connection& c = *handed.connections[i + 1];
        BOOST_TEST(address_of(c) == address_of(clients[i]));
        BOOST_TEST((::fcntl(c.fd, F_GETFL) & O_NONBLOCK) != 0);
    }
    BOOST_TEST(accept4.calls() == 0);
}

BOOST_AUTO_TEST_CASE(with_multi_accept_a_report_takes_all_that_the_kernel_has_accepted)
{
    const Accepting cycle("multi_accept on;");
    const Fd first = cycle.begin();
    std::deque<Fd> clients;
    for (int i = 0; i < 20; i++) {
        clients.push_back(cycle.client());
    }
    cycle.accepts(21);
    BOOST_TEST(!contains(cycle.log(), "[alert]"), cycle.log());
}

BOOST_AUTO_TEST_CASE(a_listener_of_several_workers_is_polled)
{
    for (const bool reuseport : {false, true}) {
        const ListenCycle cycle(std::string("master_process on; worker_processes 2; test_listen "
                                            "127.0.0.1") +
                                (reuseport ? " reuseport" : "") +
                                "; events { use iouring; iouring_io completion; "
                                "worker_connections 128; }");
        const FakeCall accept4(Call::accept4, {}, 0);
        std::deque<Fd> clients;
        for (std::size_t n = 1; n <= 3; n++) {
            clients.push_back(cycle.connect());
            for (int turns = 0; turns < 1000 && handed.connections.size() < n; turns++) {
                (void)event_actions.process_events(*cycle, 1000, 0);
            }
        }
        BOOST_TEST(handed.connections.size() == 3);
        BOOST_TEST(accept4.calls() == (reuseport ? 1 : 3));
    }
}

BOOST_AUTO_TEST_CASE(a_listener_that_is_closed_serves_what_the_kernel_has_accepted)
{
    const Accepting cycle;
    const Fd first = cycle.begin();
    const Fd reported = cycle.client();
    const Fd second = cycle.client();
    close_listening_sockets(*cycle);
    // A client that the kernel had not accepted is reset, as with any listener that is closed.
    const std::size_t served = handed.connections.size();
    BOOST_TEST(served >= 1);
    BOOST_TEST(served <= 3);
    (void)event_actions.process_events(*cycle, 0, 0);
    BOOST_TEST(handed.connections.size() == served);
    BOOST_TEST(!contains(cycle.log(), "[alert]"), cycle.log());
}

BOOST_AUTO_TEST_CASE(completions_in_the_queue_are_served_when_their_listener_is_closed)
{
    const Accepting cycle("iouring_entries 4;");
    const Fd first = cycle.begin();
    std::deque<Fd> clients;
    for (int i = 0; i < 8; i++) {
        clients.push_back(cycle.client());
    }
    // One batch has half of the completions.
    (void)event_actions.process_events(*cycle, 1000, 0);
    BOOST_TEST(handed.connections.size() == 5);
    close_listening_sockets(*cycle);
    BOOST_TEST(handed.connections.size() == 9);
    (void)event_actions.process_events(*cycle, 0, 0);
    BOOST_TEST(handed.connections.size() == 9);
    BOOST_TEST(!contains(cycle.log(), "[alert]"), cycle.log());
}

BOOST_AUTO_TEST_CASE(without_a_descriptor_the_listener_pauses_and_what_was_accepted_is_served)
{
    const Accepting cycle;
    std::deque<Fd> clients;
    for (int i = 0; i < 5; i++) {
        clients.push_back(cycle.client());
    }
    // A request has the limit of the time when it was made.
    const int next = free_descriptor();
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    {
        const rlimit low = {.rlim_cur = static_cast<rlim_t>(next) + 3, .rlim_max = limit.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &low);
        for (int turns = 0; turns < 4; turns++) {
            (void)event_actions.process_events(*cycle, 0, 0);
        }
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    BOOST_TEST(handed.connections.size() == 3);
    BOOST_TEST(count(cycle.log(), "accept4() failed (24: Too many open files)") == 1U, cycle.log());
    BOOST_TEST(!cycle.accept_event().active);
    BOOST_TEST(cycle.accept_event().timer_set());

    del_timer(cycle.accept_event());
    cycle.accept_event().timedout = 1;
    event_accept(cycle.accept_event());
    cycle.accepts(5);
}

BOOST_AUTO_TEST_CASE(the_end_of_a_ring_closes_what_it_has_accepted)
{
    const int before = free_descriptor();
    for (int i = 0; i < 3; i++) {
        std::deque<Fd> clients;
        const Accepting cycle;
        clients.push_back(cycle.begin());
        clients.push_back(cycle.client());
        exit_process_of_modules(cycle);
        char byte = 0;
        BOOST_TEST(::recv(clients[1].get(), &byte, 1, MSG_DONTWAIT) <= 0);
    }
    BOOST_TEST(free_descriptor() == before);
}

BOOST_AUTO_TEST_CASE(a_listener_of_a_lost_ring_accepts_again)
{
    const Accepting cycle;
    const Fd first = cycle.begin();
    {
        const FakeCall calls(Call::io_uring_enter, {.err = EBADR});
        BOOST_TEST((event_actions.process_events(*cycle, 0, 0) == Rc::error));
    }
    const Fd second = cycle.client();
    cycle.accepts(2);
    const Fd third = cycle.client();
    cycle.accepts(3);
}

BOOST_AUTO_TEST_CASE(datagrams_are_received_and_answered_by_requests)
{
    for (const std::string_view listen : {"127.0.0.1 udp", "0.0.0.0 udp", ":: udp"}) {
        const Receiving cycle(listen);
        const Fd first = cycle.begin();
        const FakeCall recvmsg(Call::recvmsg, {}, 0);
        const FakeCall sendmsg(Call::sendmsg, {}, 0);
        std::deque<Fd> clients;
        for (int i = 0; i < 20; i++) {
            clients.push_back(cycle.client("hello " + std::to_string(i)));
        }
        cycle.accepts(21);
        for (std::size_t i = 0; i < clients.size(); i++) {
            Connection& c = *handed.connections[i + 1];
            BOOST_TEST(handed.datagrams[i + 1] == "hello " + std::to_string(i));
            BOOST_TEST(address_of(c) == address_of(clients[i]));
            BOOST_TEST(answer(c, "one " + std::to_string(i)) > 0);
            BOOST_TEST(answer_by_chain(c, "two " + std::to_string(i)));
        }
        (void)event_actions.process_events(*cycle, 0, 0);
        for (std::size_t i = 0; i < clients.size(); i++) {
            BOOST_TEST(datagram_of(clients[i]) == "one " + std::to_string(i));
            BOOST_TEST(datagram_of(clients[i]) == "two " + std::to_string(i));
        }
        BOOST_TEST(recvmsg.calls() == 0);
        BOOST_TEST(sendmsg.calls() == 0);
        BOOST_TEST(!contains(cycle.log(), "[alert]"), cycle.log());
    }
}

BOOST_AUTO_TEST_CASE(a_datagram_of_any_size_is_received_and_answered_whole)
{
    const Receiving cycle("127.0.0.1 udp");
    const Fd first = cycle.begin();
    for (const std::size_t size : {0U, 1U, 4096U, 4097U, 65'507U}) {
        const Fd client = cycle.client(std::string(size, 'q'));
        cycle.accepts(handed.connections.size() + 1);
        BOOST_TEST(handed.datagrams.back() == std::string(size, 'q'));
        Connection& c = *handed.connections.back();
        BOOST_TEST(answer(c, "first") == 5);
        BOOST_TEST(answer(c, std::string(size, 'a')) == static_cast<ssize_t>(size));
        (void)event_actions.process_events(*cycle, 0, 0);
        BOOST_TEST(datagram_of(client) == "first");
        BOOST_TEST(datagram_of(client) == std::string(size, 'a'));
    }
}

BOOST_AUTO_TEST_CASE(a_datagram_listener_that_is_closed_serves_what_has_arrived)
{
    const Receiving cycle("127.0.0.1 udp", "iouring_entries 4;");
    const Fd first = cycle.begin();
    std::deque<Fd> clients;
    for (int i = 0; i < 8; i++) {
        clients.push_back(cycle.client("hello"));
    }
    // One batch has half of the completions.
    (void)event_actions.process_events(*cycle, 1000, 0);
    BOOST_TEST(handed.connections.size() == 5);
    BOOST_TEST(answer(*handed.connections[4], "last") == 4);
    (void)event_actions.del(cycle.accept_event(), read_event, 0);
    BOOST_TEST(handed.connections.size() == 9);
    BOOST_TEST(datagram_of(clients[3]) == "last");
}

BOOST_AUTO_TEST_CASE(datagrams_for_which_a_socket_has_no_room_are_sent_later)
{
    const Receiving cycle("unix:a udp");
    const TempDir dir;
    const Fd client = cycle.client("hello", dir / "client");
    cycle.accepts(1);
    (void)event_actions.process_events(*cycle, 0, 0);
    constexpr int more_than_a_queue_has = 200;
    for (int i = 0; i < more_than_a_queue_has; i++) {
        BOOST_TEST(answer(*handed.connections[0], std::to_string(i)) > 0);
    }
    std::set<std::string> got;
    for (int i = 0; i < more_than_a_queue_has; i++) {
        (void)event_actions.process_events(*cycle, 0, 0);
        got.insert(datagram_of(client));
    }
    BOOST_TEST(got.size() == static_cast<std::size_t>(more_than_a_queue_has));
    BOOST_TEST(!contains(cycle.log(), "failed"), cycle.log());
}

BOOST_AUTO_TEST_CASE(a_datagram_that_cannot_be_sent_is_logged_and_its_buffer_is_used_again)
{
    const Receiving cycle("127.0.0.1 udp", "iouring_buffers 4 4096;");
    const Fd client = cycle.begin();
    Connection& c = *handed.connections[0];
    const auto port = inet_get_port(c.sockaddr);
    for (int i = 0; i < 20; i++) {
        inet_set_port(c.sockaddr, 0);
        BOOST_TEST(answer(c, "to port 0") == 9);
        inet_set_port(c.sockaddr, port);
        BOOST_TEST(answer(c, "hello") == 5);
        (void)event_actions.process_events(*cycle, 0, 0);
        BOOST_TEST(datagram_of(client) == "hello");
        (void)event_actions.process_events(*cycle, 0, 0);
    }
    BOOST_TEST(count(cycle.log(), "sendmsg() to 127.0.0.1:0 failed (22: Invalid argument)") == 20U,
               cycle.log());
}

BOOST_AUTO_TEST_CASE(tcp_nodelay_is_set_with_the_next_submission)
{
    const Accepting cycle;
    const bool by_request = contains(cycle.log(), "socket options");
    const Fd client = cycle.begin();
    Connection& c = *handed.connections[0];
    const FakeCall calls(Call::setsockopt, {}, 0);
    BOOST_TEST((tcp_nodelay(c) == Rc::ok));
    (void)event_actions.process_events(*cycle, 0, 0);
    BOOST_TEST(has_nodelay(c.fd));
    BOOST_TEST(calls.calls() == (by_request ? 0 : 1));
    BOOST_TEST(!contains(cycle.log(), "[alert]"), cycle.log());
}

BOOST_AUTO_TEST_CASE(tcp_nodelay_of_a_closed_connection_is_not_set_for_the_next)
{
    const Accepting cycle;
    const Fd client = cycle.begin();
    Connection& c = *handed.connections[0];
    const int fd = c.fd;
    BOOST_TEST((tcp_nodelay(c) == Rc::ok));
    Pool* const pool = c.pool;
    close_connection(c);
    destroy_pool(pool);
    handed.connections.clear();
    const Fd next(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    BOOST_TEST_REQUIRE(next.get() == fd);
    (void)event_actions.process_events(*cycle, 0, 0);
    BOOST_TEST(!has_nodelay(next.get()));
}

BOOST_AUTO_TEST_CASE(a_kernel_that_sets_no_options_by_requests_gets_calls)
{
    std::optional<TestCycle> cycle;
    {
        const FakeCall probe(Call::socket, {.err = EACCES}, FakeCall::always);
        cycle.emplace(conf_of("iouring_io completion;"));
    }
    BOOST_TEST(!contains(cycle->log(), "socket options"), cycle->log());
    const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    Connection& c = *get_connection(fd.get(), ngx_cycle->log);
    BOOST_TEST((tcp_nodelay(c) == Rc::ok));
    BOOST_TEST(has_nodelay(fd.get()));
    free_connection(c);
    c.fd = invalid_socket;
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
