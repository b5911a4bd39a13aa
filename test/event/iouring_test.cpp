// Tests only for iouring: what happens when io_uring is refused, and rings that are too small. The
// contract has its other promises.

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <dlfcn.h>
#include <fcntl.h>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "core/buf.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/module.hpp"
#include "event/event.hpp"
#include "os/unix/os.hpp"
#include "test/event/iouring.hpp"
#include "test/support/cycle.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/poller.hpp"

struct io_uring;
struct io_uring_buf_reg;

namespace {

/// If not 0, the kernel has no provided buffers, and this errno says so.
int no_buffers = 0;

}  // namespace

/// Used instead of the function of liburing.
extern "C" int io_uring_register_buf_ring(io_uring* ring, io_uring_buf_reg* reg, unsigned flags)
{
    using Register = int (*)(io_uring*, io_uring_buf_reg*, unsigned);
    static const auto real =
        reinterpret_cast<Register>(::dlsym(RTLD_NEXT, "io_uring_register_buf_ring"));
    return no_buffers != 0 ? -no_buffers : real(ring, reg, flags);
}

namespace ngx::test {

namespace {

/// A connection whose read event is watched as an edge, and its peer.
struct Pair {
    Pair()
    {
        int fds[2];
        BOOST_TEST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
        peer = fds[1];
        c = get_connection(fds[0], ngx_cycle->log);
        BOOST_TEST_REQUIRE(c != nullptr);
        c->data = this;
        c->type = SOCK_STREAM;
        c->read->log = c->write->log = c->log;
        read_with_handler();
        BOOST_TEST_REQUIRE((event_actions.add(*c->read, read_event, clear_event) == Rc::ok));
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair()
    {
        close_connection(*c);
        ::close(peer);
    }

    void read_with_handler() const
    {
        c->read->handler = [](Event& ev) noexcept {
            Pair& pair = *static_cast<Pair*>(static_cast<Connection*>(ev.data)->data);
            pair.reads++;
            char byte = 0;
            while ((pair.last = io.recv(*pair.c, &byte, 1)) == 1) {
                pair.bytes++;
            }
        };
    }

    void send() const { BOOST_TEST_REQUIRE(::write(peer, "x", 1) == 1); }

    Connection* c = nullptr;
    int peer = -1;
    int reads = 0;
    int bytes = 0;
    ssize_t last = 0;  // the result of the last call
};

/// Turns until all pairs have received `n` bytes.
void all_receive(const TestCycle& cycle, const std::deque<Pair>& pairs, int n)
{
    const auto is_done = [&](const Pair& pair) { return pair.bytes == n; };
    for (int turns = 0; turns < 1000 && !std::ranges::all_of(pairs, is_done); turns++) {
        (void)event_actions.process_events(*cycle, 1000, 0);
    }
    BOOST_TEST(std::ranges::all_of(pairs, is_done));
}

void all_bytes(const TestCycle& cycle, const Pair& pair, int n)
{
    for (int turns = 0; turns < 1000 && pair.bytes < n; turns++) {
        (void)event_actions.process_events(*cycle, 1000, 0);
    }
    BOOST_TEST(pair.bytes == n);
}

/// Sends a byte, and turns until the pair has received `n` bytes.
void receive_bytes(const TestCycle& cycle, const Pair& pair, int n)
{
    pair.send();
    all_bytes(cycle, pair, n);
}

/// The number of bytes that a reader of the socket would find.
int in_socket(const Pair& pair)
{
    int n = 0;
    BOOST_TEST_REQUIRE(::ioctl(pair.c->fd, FIONREAD, &n) == 0);
    return n;
}

void rounds_lose_nothing(const TestCycle& cycle)
{
    std::deque<Pair> pairs(100);
    for (int round = 1; round <= 3; round++) {
        for (const Pair& pair : pairs) {
            pair.send();
        }
        all_receive(cycle, pairs, round);
    }
    BOOST_TEST(!contains(cycle.log(), "[alert]"), cycle.log());
}

/// Returns the data that the peer of a pair can read at once.
std::string at_peer(const Pair& pair)
{
    std::string text(1'000'000, ' ');
    const ssize_t n = ::recv(pair.peer, text.data(), text.size(), MSG_DONTWAIT);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return text;
}

/// Turns until the peer has got `n` bytes more, or the end.
std::string peer_gets(const TestCycle& cycle, const Pair& pair, std::size_t n)
{
    std::string text;
    for (int turns = 0; turns < 1000 && text.size() < n; turns++) {
        (void)event_actions.process_events(*cycle, 0, 0);
        text += at_peer(pair);
    }
    return text;
}

/// Reads from a socket until its end.
std::string read_all(int fd)
{
    std::string text;
    std::array<char, 4096> buf;
    ssize_t n = 0;
    while ((n = ::recv(fd, buf.data(), buf.size(), 0)) > 0) {
        text.append(buf.data(), static_cast<std::size_t>(n));
    }
    return text;
}

/// Fills the socket, so that nothing more can be sent. Returns what was sent.
std::string fill(const Pair& pair)
{
    std::string text;
    const std::string part(65536, 'f');
    for (const std::size_t size : {part.size(), std::size_t{1}}) {
        ssize_t n = 0;
        while ((n = ::send(pair.c->fd, part.data(), size, MSG_DONTWAIT)) > 0) {
            text.append(static_cast<std::size_t>(n), 'f');
        }
    }
    return text;
}

ssize_t send(const Pair& pair, std::string_view text)
{
    return io.send(*pair.c, text.data(), text.size());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(iouring, *boost::unit_test::precondition(iouring_is_there))

BOOST_AUTO_TEST_CASE(a_refusal_names_its_cause_and_the_remedy)
{
    const std::pair<int, std::string_view> cases[] = {
        {EPERM, "io_uring"},
        {ENOSYS, "use Linux 5.13 or later"},
        {EINVAL, "use Linux 5.13 or later"},
        {ENOMEM, "lower \"iouring_entries\""},
        {EMFILE, "raise \"worker_rlimit_nofile\""},
        {ENFILE, "raise \"worker_rlimit_nofile\""},
    };
    for (const auto& [err, text] : cases) {
        const FakeCall calls(Call::io_uring_setup, {.err = err}, FakeCall::always);
        const TestCycle cycle(conf_of(""));
        BOOST_TEST(!cycle.ok());
        const std::string log = cycle.log();
        BOOST_TEST(contains(log, "[emerg]"), log);
        BOOST_TEST(contains(log, "event method \"iouring\": io_uring is refused, "), log);
        BOOST_TEST(contains(log, text), log);
        BOOST_TEST(contains(log, "\"iouring_fallback on\""), log);
    }
}

BOOST_AUTO_TEST_CASE(a_wait_that_is_refused_is_found_at_the_start)
{
    const FakeCall calls(Call::io_uring_enter, {.err = EPERM}, FakeCall::always);
    const TestCycle cycle(conf_of(""));
    BOOST_TEST(!cycle.ok());
    BOOST_TEST(contains(cycle.log(), "io_uring is refused"), cycle.log());
}

BOOST_AUTO_TEST_CASE(with_iouring_fallback_epoll_is_used_and_the_log_says_so,
                     *boost::unit_test::precondition(poller_is_built("epoll")))
{
    for (const Call call : {Call::io_uring_setup, Call::io_uring_enter}) {
        const FakeCall calls(call, {.err = EPERM}, FakeCall::always);
        const TestCycle cycle(conf_of("iouring_fallback on;"));
        BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
        BOOST_TEST(contains(cycle.log(), "[warn]"));
        BOOST_TEST(contains(cycle.log(), "epoll is used instead"));
        rounds_lose_nothing(cycle);
    }
}

BOOST_AUTO_TEST_CASE(a_kernel_without_the_newer_flags_of_a_ring_will_do)
{
    // The check at the start makes four attempts at most, and so does the worker.
    for (const int refused : {1, 2, 3}) {
        const FakeCall calls(Call::io_uring_setup, {.err = EINVAL}, refused);
        const TestCycle cycle(conf_of(""));
        BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
        rounds_lose_nothing(cycle);
    }
}

BOOST_AUTO_TEST_CASE(a_submission_queue_that_is_full_loses_nothing)
{
    const TestCycle cycle(conf_of("iouring_entries 1;"));
    BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    rounds_lose_nothing(cycle);
}

BOOST_AUTO_TEST_CASE(a_completion_queue_that_overflows_loses_nothing)
{
    const FakeCall calls(Call::io_uring_setup, {.at_most = 2}, FakeCall::always);
    const TestCycle cycle(conf_of("iouring_entries 1;"));
    BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    rounds_lose_nothing(cycle);
}

BOOST_AUTO_TEST_CASE(a_ring_that_lost_completions_is_replaced_and_everything_is_watched_again)
{
    const TestCycle cycle(conf_of(""));
    BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    std::deque<Pair> pairs(20);
    for (const Pair& pair : pairs) {
        pair.send();
    }
    all_receive(cycle, pairs, 1);
    {
        const FakeCall calls(Call::io_uring_enter, {.err = EBADR});
        BOOST_TEST((event_actions.process_events(*cycle, 0, 0) == Rc::error));
    }
    for (const Pair& pair : pairs) {
        pair.send();
    }
    all_receive(cycle, pairs, 2);
    BOOST_TEST(contains(cycle.log(), "io_uring_enter() failed"));
}

BOOST_AUTO_TEST_CASE(a_failed_submission_is_made_again_in_the_next_turn)
{
    const TestCycle cycle(conf_of(""));
    BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    for (const int err : {EAGAIN, EBUSY, EINTR}) {
        std::deque<Pair> pairs(20);
        for (const Pair& pair : pairs) {
            pair.send();
        }
        {
            const FakeCall calls(Call::io_uring_enter, {.err = err});
            BOOST_TEST((event_actions.process_events(*cycle, 1000, 0) == Rc::error));
        }
        all_receive(cycle, pairs, 1);
    }
}

BOOST_AUTO_TEST_CASE(directives_have_bounds_and_only_what_is_built_is_accepted)
{
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"iouring_entries 0;", "value must be between 1 and 32768"},
        {"iouring_entries 32769;", "value must be between 1 and 32768"},
        {"iouring_entries many;", "\"iouring_entries\" directive invalid number"},
        {"iouring_entries 8; iouring_entries 8;", "\"iouring_entries\" directive is duplicate"},
        {"iouring_io both;", "invalid value \"both\""},
        {"iouring_buffers 8;", "invalid number of arguments"},
        {"iouring_buffers 0 64;", "\"iouring_buffers\" directive invalid value"},
        {"iouring_buffers 32769 64;", "the number must be between 1 and 32768"},
        {"iouring_buffers 1 63;", "the size between 64 and 1048576"},
        {"iouring_buffers 1 1m; iouring_buffers 1 1m;",
         "\"iouring_buffers\" directive is duplicate"},
        {"iouring_fallback maybe;", "invalid value \"maybe\""},
    };
    for (const auto& [directives, text] : cases) {
        const TestCycle cycle(conf_of(directives), Start::conf);
        BOOST_TEST(!cycle.ok());
        BOOST_TEST(contains(cycle.log(), text), cycle.log());
        BOOST_TEST(contains(cycle.log(), "nginx.conf:1"), cycle.log());
    }
    BOOST_TEST(TestCycle(conf_of("iouring_io readiness; iouring_entries 32768;")).ok());
}

BOOST_AUTO_TEST_CASE(with_completion_nothing_is_lost,
                     *boost::unit_test::precondition(completion_is_there))
{
    for (const std::string_view directives :
         {"", "iouring_buffers 1 64;", "iouring_buffers 3 100;", "iouring_entries 1;"}) {
        const TestCycle cycle(conf_of("iouring_io completion; " + std::string(directives)));
        BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
        rounds_lose_nothing(cycle);
    }
}

BOOST_AUTO_TEST_CASE(with_completion_the_kernel_receives_once_an_owner_has_read_all,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    Pair pair;
    receive_bytes(cycle, pair, 1);
    const FakeCall calls(Call::recv, {}, 0);
    receive_bytes(cycle, pair, 2);
    receive_bytes(cycle, pair, 3);
    BOOST_TEST(calls.calls() == 0);
    BOOST_TEST(pair.last == io_again);
}

BOOST_AUTO_TEST_CASE(an_owner_that_does_not_read_leaves_the_data_in_the_socket,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion; iouring_buffers 64 64;"));
    Pair pair;
    receive_bytes(cycle, pair, 1);
    pair.c->read->handler = [](Event&) noexcept {};
    const std::string text(512, 'x');
    std::size_t sent = 1;
    ssize_t n = 0;
    while ((n = ::send(pair.peer, text.data(), text.size(), MSG_DONTWAIT)) > 0) {
        sent += static_cast<std::size_t>(n);
        (void)event_actions.process_events(*cycle, 0, 0);
    }
    BOOST_TEST(in_socket(pair) >= static_cast<int>(sent) - 1 - 64);

    pair.read_with_handler();
    pair.c->read->handler(*pair.c->read);
    all_bytes(cycle, pair, static_cast<int>(sent));
}

BOOST_AUTO_TEST_CASE(data_that_has_arrived_outlives_a_del,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    Pair pair;
    receive_bytes(cycle, pair, 1);
    pair.send();  // the kernel has a request for it
    BOOST_TEST((event_actions.del(*pair.c->read, read_event, 0) == Rc::ok));
    (void)event_actions.process_events(*cycle, 0, 0);
    (void)event_actions.process_events(*cycle, 0, 0);
    BOOST_TEST(pair.bytes == 1);
    BOOST_TEST((event_actions.add(*pair.c->read, read_event, clear_event) == Rc::ok));
    all_bytes(cycle, pair, 2);
}

BOOST_AUTO_TEST_CASE(a_connection_of_a_lost_ring_reads_what_was_reported_or_an_error,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    Pair idle;  // has only a request to poll
    Pair pair;
    receive_bytes(cycle, pair, 1);
    {
        const FakeCall calls(Call::io_uring_enter, {.err = EBADR});
        BOOST_TEST((event_actions.process_events(*cycle, 0, 0) == Rc::error));
    }
    for (int turns = 0; turns < 1000 && pair.last != io_error; turns++) {
        (void)event_actions.process_events(*cycle, 1000, 0);
    }
    BOOST_TEST(pair.last == io_error);
    receive_bytes(cycle, idle, 1);
    receive_bytes(cycle, idle, 2);
}

BOOST_AUTO_TEST_CASE(a_chain_gets_what_has_arrived,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    Pair pair;
    receive_bytes(cycle, pair, 1);
    pair.c->read->handler = [](Event&) noexcept {};
    BOOST_TEST_REQUIRE(::write(pair.peer, "abcdefg", 7) == 7);
    while (!pair.c->read->ready) {
        (void)event_actions.process_events(*cycle, 1000, 0);
    }
    std::array<char, 8> text{};
    std::array<Buf, 2> bufs{};
    bufs[0].pos = bufs[0].last = text.data();
    bufs[0].end = text.data() + 3;
    bufs[1].pos = bufs[1].last = text.data() + 4;
    bufs[1].end = text.data() + 8;
    Chain second{.buf = &bufs[1], .next = nullptr};
    Chain first{.buf = bufs.data(), .next = &second};
    BOOST_TEST(io.recv_chain(*pair.c, &first, 5) == 5);
    BOOST_TEST(std::string_view(text.data(), 3) == "abc");
    BOOST_TEST(std::string_view(text.data() + 4, 3) == std::string_view("de\0", 3));
    BOOST_TEST(io.recv_chain(*pair.c, &first, 0) == 2);
    BOOST_TEST(io.recv_chain(*pair.c, &first, 0) == io_again);
}

BOOST_AUTO_TEST_CASE(what_is_sent_in_a_turn_leaves_with_the_next_wait_in_one_request,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    const Pair pair;
    const FakeCall calls(Call::send, {}, 0);
    BOOST_TEST(send(pair, "abc") == 3);
    BOOST_TEST(send(pair, "defg") == 4);
    BOOST_TEST(at_peer(pair).empty());
    (void)event_actions.process_events(*cycle, 0, 0);
    BOOST_TEST(at_peer(pair) == "abcdefg");
    BOOST_TEST(pair.c->sent == 7);
    BOOST_TEST(calls.calls() == 0);
}

BOOST_AUTO_TEST_CASE(a_chain_leaves_with_the_next_wait,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    const Pair pair;
    std::string text = "abcdefg";
    std::array<Buf, 2> bufs{};
    for (Buf& b : bufs) {
        b.memory = 1;
    }
    bufs[0].pos = text.data();
    bufs[0].last = bufs[1].pos = text.data() + 3;
    bufs[1].last = text.data() + 7;
    Chain second{.buf = &bufs[1], .next = nullptr};
    Chain first{.buf = bufs.data(), .next = &second};
    pair.c->write->ready = 1;
    BOOST_TEST(io.send_chain(*pair.c, &first, 5) == &second);
    BOOST_TEST(io.send_chain(*pair.c, &second, 0) == nullptr);
    BOOST_TEST(peer_gets(cycle, pair, 7) == "abcdefg");
}

BOOST_AUTO_TEST_CASE(what_is_large_follows_what_was_taken_before,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion; iouring_buffers 4 64;"));
    const Pair pair;
    const std::string large(1000, 'l');
    BOOST_TEST(send(pair, "small") == 5);
    BOOST_TEST(send(pair, large) == 1000);
    BOOST_TEST(at_peer(pair) == "small" + large);
}

BOOST_AUTO_TEST_CASE(more_sends_than_buffers_are_all_sent,
                     *boost::unit_test::precondition(completion_is_there))
{
    for (const std::string_view directives :
         {"iouring_buffers 3 64;", "iouring_buffers 100 64; iouring_entries 1;"}) {
        const TestCycle cycle(conf_of("iouring_io completion; " + std::string(directives)));
        std::deque<Pair> pairs(50);
        for (const Pair& pair : pairs) {
            BOOST_TEST_REQUIRE(send(pair, "abc") == 3);
        }
        for (const Pair& pair : pairs) {
            BOOST_TEST(peer_gets(cycle, pair, 3) == "abc");
        }
    }
}

BOOST_AUTO_TEST_CASE(what_a_full_socket_leaves_over_is_sent_when_it_has_room,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    for (const bool waits : {false, true}) {
        const Pair pair;
        static int reports;
        reports = 0;
        pair.c->write->handler = [](Event&) noexcept { reports++; };
        pair.c->write->ready = 1;
        std::string expected = fill(pair);
        BOOST_TEST(send(pair, "rest") == 4);  // the owner does not know yet
        (void)event_actions.process_events(*cycle, 0, 0);
        BOOST_TEST(unsigned{pair.c->write->ready} == 0);
        BOOST_TEST(send(pair, "more") == io_again);
        if (waits) {
            BOOST_TEST((handle_write_event(*pair.c->write, 0) == Rc::ok));
        }
        expected += "rest";
        BOOST_TEST((peer_gets(cycle, pair, expected.size()) == expected));
        while (!pair.c->write->ready) {
            (void)event_actions.process_events(*cycle, 1000, 0);
        }
        BOOST_TEST((reports > 0) == waits);
        BOOST_TEST(send(pair, "more") == 4);
        BOOST_TEST(peer_gets(cycle, pair, 4) == "more");
    }
}

BOOST_AUTO_TEST_CASE(a_send_that_fails_is_told_by_the_next,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    const Pair pair;
    pair.c->log_error = ConnectionError::info;
    pair.c->write->handler = [](Event&) noexcept {};
    ::shutdown(pair.peer, SHUT_RD);
    BOOST_TEST(send(pair, "abc") == 3);
    for (int i = 0; i < 3; i++) {
        (void)event_actions.process_events(*cycle, 0, 0);
    }
    BOOST_TEST(send(pair, "def") == io_error);
    BOOST_TEST(unsigned{pair.c->write->error} == 1);
    BOOST_TEST(contains(cycle.log(), "send() failed (32: Broken pipe)"), cycle.log());
}

BOOST_AUTO_TEST_CASE(a_close_and_a_shutdown_follow_what_was_taken_before,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    {
        const Pair pair;
        BOOST_TEST(send(pair, "abc") == 3);
        BOOST_TEST(io.shutdown(*pair.c, SHUT_WR) == 0);
        BOOST_TEST(read_all(pair.peer) == "abc");
    }
    int peer = -1;
    {
        const Pair pair;
        peer = ::dup(pair.peer);
        BOOST_TEST(send(pair, "abc") == 3);
    }
    (void)event_actions.process_events(*cycle, 0, 0);
    BOOST_TEST(read_all(peer) == "abc");
    ::close(peer);
}

BOOST_AUTO_TEST_CASE(a_close_and_a_shutdown_wait_for_room,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    for (const bool known : {false, true}) {
        for (const bool closes : {false, true}) {
            auto pair = std::make_unique<Pair>();
            const std::string expected = fill(*pair) + "rest";
            BOOST_TEST(send(*pair, "rest") == 4);
            if (known) {
                (void)event_actions.process_events(*cycle, 0, 0);
            }
            const int peer = ::dup(pair->peer);
            ::fcntl(peer, F_SETFL, 0);  // a reader that waits
            if (closes) {
                pair.reset();
            } else {
                BOOST_TEST(io.shutdown(*pair->c, SHUT_WR) == 0);
            }
            auto got = std::async(std::launch::async, [peer] { return read_all(peer); });
            while (got.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
                (void)event_actions.process_events(*cycle, 1, 0);
            }
            BOOST_TEST((got.get() == expected));
            ::close(peer);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_closed_after_a_failed_send_is_closed,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    const int before = ::dup(0);
    ::close(before);
    for (int i = 0; i < 5; i++) {
        const Pair pair;
        ::shutdown(pair.peer, SHUT_RD);
        BOOST_TEST(send(pair, "abc") == 3);
    }
    for (int i = 0; i < 3; i++) {
        (void)event_actions.process_events(*cycle, 0, 0);
    }
    const int after = ::dup(0);
    ::close(after);
    BOOST_TEST(before == after);
}

BOOST_AUTO_TEST_CASE(a_process_that_exits_sends_what_was_taken_before,
                     *boost::unit_test::precondition(completion_is_there))
{
    int peer = -1;
    {
        const TestCycle cycle(conf_of("iouring_io completion;"));
        const Pair pair;
        peer = ::dup(pair.peer);
        BOOST_TEST(send(pair, "abc") == 3);
        exit_process_of_modules(cycle);
    }
    BOOST_TEST(read_all(peer) == "abc");
    ::close(peer);
}

BOOST_AUTO_TEST_CASE(a_send_of_a_lost_ring_is_told_as_an_error,
                     *boost::unit_test::precondition(completion_is_there))
{
    const TestCycle cycle(conf_of("iouring_io completion;"));
    const Pair pair;
    pair.c->log_error = ConnectionError::info;
    BOOST_TEST(send(pair, "abc") == 3);
    {
        const FakeCall calls(Call::io_uring_enter, {.err = EBADR});
        BOOST_TEST((event_actions.process_events(*cycle, 0, 0) == Rc::error));
    }
    BOOST_TEST(send(pair, "def") == io_error);
    BOOST_TEST(contains(cycle.log(), "send() failed (5: Input/output error)"), cycle.log());
}

BOOST_AUTO_TEST_CASE(a_kernel_without_provided_buffers_tells_readiness)
{
    no_buffers = EINVAL;
    const TestCycle cycle(conf_of("iouring_io completion;"));
    no_buffers = 0;
    BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    BOOST_TEST(contains(cycle.log(), "\"iouring_io readiness\" is used instead"), cycle.log());
    BOOST_TEST(io.recv == os_io.recv);
    rounds_lose_nothing(cycle);
}

BOOST_AUTO_TEST_CASE(buffers_for_which_there_is_no_memory_are_refused_at_the_start)
{
    no_buffers = ENOMEM;
    const TestCycle cycle(conf_of("iouring_io completion;"));
    no_buffers = 0;
    BOOST_TEST(!cycle.ok());
    BOOST_TEST(contains(cycle.log(), "lower \"iouring_entries\" or \"iouring_buffers\""),
               cycle.log());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
