// Tests only for iouring: what happens when io_uring is refused, and rings that are too small. The
// contract has its other promises.

#include <cerrno>
#include <deque>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "event/event.hpp"
#include "test/support/cycle.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

namespace {

std::string conf_of(std::string_view directives)
{
    return "master_process off; events { use iouring; worker_connections 128; " +
           std::string(directives) + " }";
}

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
        c->read->log = c->write->log = c->log;
        c->read->handler = [](Event& ev) noexcept {
            Pair& pair = *static_cast<Pair*>(static_cast<Connection*>(ev.data)->data);
            pair.reads++;
            char byte = 0;
            while (::recv(pair.c->fd, &byte, 1, 0) == 1) {
                pair.bytes++;
            }
        };
        BOOST_TEST_REQUIRE((event_actions.add(*c->read, read_event, clear_event) == Rc::ok));
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair()
    {
        close_connection(*c);
        ::close(peer);
    }

    void send() const { BOOST_TEST_REQUIRE(::write(peer, "x", 1) == 1); }

    Connection* c = nullptr;
    int peer = -1;
    int reads = 0;
    int bytes = 0;
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
        {"iouring_io completion;", "invalid value \"completion\""},
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

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
