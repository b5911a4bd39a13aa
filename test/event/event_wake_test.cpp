// Tests of the waker with each poller: which threads may wake the loop, the effect of several
// wakes, and its life.

#include "event/event_wake.hpp"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "event/event.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

namespace {

std::string conf_of(std::string_view poller)
{
    return "events { use " + std::string(poller) + "; worker_connections 16; }";
}

auto open_descriptors()
{
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

/// A waker whose handler counts its calls.
struct Sleeper {
    Sleeper()
    {
        waker.data = this;
        waker.handler = [](EventWaker& w) noexcept { static_cast<Sleeper*>(w.data)->woken(); };
    }
    explicit Sleeper(const TestCycle& cycle) : Sleeper() { open(cycle); }
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;
    ~Sleeper() { event_waker_done(waker); }

    void open(const TestCycle& cycle)
    {
        BOOST_TEST_REQUIRE((event_waker_init(waker, *cycle) == Rc::ok));
    }

    void wake() const { event_wake(waker); }

    /// Whether the poller reports each write, so that the eventfd is not read.
    [[nodiscard]] bool has_edges() const
    {
        return (event_flags & use_clear_event) != 0 && waker.connection->read->oneshot == 0;
    }

    void woken() noexcept
    {
        calls++;
        thread = std::this_thread::get_id();
        if (wakes_itself) {
            wakes_itself = false;
            wake();
        }
    }

    EventWaker waker;
    int calls = 0;
    bool wakes_itself = false;
    std::thread::id thread{};
};

/// Calls `test(cycle)` with a cycle for each poller of the build.
template <typename Test>
void on_each_poller(Test test)
{
    for (const std::string& poller : built_pollers()) {
        BOOST_TEST_CONTEXT("use " << poller)
        {
            ListenCycle cycle(conf_of(poller));
            test(cycle);
        }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(event_wake_suite)

BOOST_AUTO_TEST_CASE(another_thread_ends_the_wait_and_the_handler_runs_on_the_loops_thread)
{
    on_each_poller([](ListenCycle& cycle) {
        Sleeper sleeper(cycle);
        int value = 0;
        std::thread thread([&] {
            value = 1;
            sleeper.wake();
        });
        cycle.turn();
        BOOST_TEST(sleeper.calls == 1);
        BOOST_CHECK(sleeper.thread == std::this_thread::get_id());
        BOOST_TEST(value == 1);
        thread.join();
    });
}

BOOST_AUTO_TEST_CASE(the_handler_of_a_signal_wakes_the_loop_and_errno_stays)
{
    static const Sleeper* to_wake;
    on_each_poller([](ListenCycle& cycle) {
        Sleeper sleeper(cycle);
        to_wake = &sleeper;
        const auto before = std::signal(SIGUSR1, [](int) { to_wake->wake(); });
        errno = EDOM;
        std::raise(SIGUSR1);
        const Err err = errno;
        std::signal(SIGUSR1, before);
        BOOST_TEST(err == EDOM);
        cycle.turn();
        BOOST_TEST(sleeper.calls == 1);
    });
}

BOOST_AUTO_TEST_CASE(errno_stays_though_the_counter_is_full_and_the_loop_wakes_up)
{
    on_each_poller([](ListenCycle& cycle) {
        Sleeper sleeper(cycle);
        constexpr std::uint64_t full = std::numeric_limits<std::uint64_t>::max() - 1;
        BOOST_TEST(::write(sleeper.waker.fd, &full, sizeof(full)) == sizeof(full));
        errno = EDOM;
        sleeper.wake();
        const Err err = errno;
        BOOST_TEST(err == EDOM);
        cycle.turn();
        BOOST_TEST(sleeper.calls == 1);
    });
}

BOOST_AUTO_TEST_CASE(several_wakes_before_the_wait_come_to_one)
{
    on_each_poller([](ListenCycle& cycle) {
        Sleeper sleeper(cycle);
        Sleeper other(cycle);
        for (int i = 0; i < 5; i++) {
            sleeper.wake();
        }
        cycle.turn();
        BOOST_TEST(sleeper.calls == 1);

        other.wake();
        cycle.turn();
        BOOST_TEST(other.calls == 1);
        BOOST_TEST(sleeper.calls == 1);
    });
}

BOOST_AUTO_TEST_CASE(each_wake_between_turns_is_one_call)
{
    on_each_poller([](ListenCycle& cycle) {
        Sleeper sleeper(cycle);
        for (int i = 1; i <= 5; i++) {
            sleeper.wake();
            cycle.turn();
            BOOST_TEST(sleeper.calls == i);
        }
    });
}

BOOST_AUTO_TEST_CASE(a_wake_within_the_handler_is_not_lost)
{
    on_each_poller([](ListenCycle& cycle) {
        Sleeper sleeper(cycle);
        sleeper.wakes_itself = true;
        sleeper.wake();
        cycle.turn();
        BOOST_TEST(sleeper.calls == 1);
        cycle.turn();
        BOOST_TEST(sleeper.calls == 2);
    });
}

BOOST_AUTO_TEST_CASE(a_poller_with_edges_saves_the_read)
{
    on_each_poller([](ListenCycle& cycle) {
        Sleeper sleeper(cycle);
        const FakeCall read(Call::read, {}, 0);
        for (int i = 1; i <= 3; i++) {
            sleeper.wake();
            cycle.turn();
        }
        BOOST_TEST(sleeper.calls == 3);
        BOOST_TEST(read.calls() == (sleeper.has_edges() ? 0 : 3));
    });
}

BOOST_AUTO_TEST_CASE(done_closes_the_descriptor_and_frees_the_slot)
{
    on_each_poller([](ListenCycle& cycle) {
        const auto descriptors = open_descriptors();
        const std::size_t free = cycle->free_connection_n;
        Sleeper sleeper(cycle);
        BOOST_TEST(cycle->free_connection_n == free - 1);
        BOOST_TEST(open_descriptors() == descriptors + 1);

        for (int i = 0; i < 2; i++) {
            event_waker_done(sleeper.waker);
            BOOST_TEST(cycle->free_connection_n == free);
            BOOST_TEST(open_descriptors() == descriptors);
            BOOST_TEST(sleeper.waker.fd == invalid_file);
        }
        sleeper.wake();  // a closed waker does nothing
        BOOST_TEST(!contains(cycle.log(), "[alert]"));
    });
}

BOOST_AUTO_TEST_CASE(a_waker_is_opened_again_for_the_cycle_of_a_reload)
{
    for (const std::string& poller : built_pollers()) {
        ListenCycle cycle(conf_of(poller));
        Sleeper sleeper(cycle);
        const Connection& old = *sleeper.waker.connection;
        const auto descriptors = open_descriptors();
        BOOST_TEST_REQUIRE(cycle.reload(conf_of(poller)));
        sleeper.open(cycle);
        BOOST_TEST(old.fd == invalid_socket);
        BOOST_TEST(open_descriptors() == descriptors + 1);  // one more: the old cycle's log
        BOOST_TEST(cycle->free_connection_n == cycle->connection_n - 1);

        sleeper.wake();
        cycle.turn();
        BOOST_TEST(sleeper.calls == 1);
        BOOST_TEST(!contains(cycle.log(), "[alert]"));
    }
}

BOOST_AUTO_TEST_CASE(without_an_eventfd_there_is_no_waker)
{
    on_each_poller([](ListenCycle& cycle) {
        const std::size_t free = cycle->free_connection_n;
        Sleeper sleeper;
        const FakeCall eventfd(Call::eventfd, {.err = EMFILE});
        BOOST_TEST((event_waker_init(sleeper.waker, *cycle) == Rc::error));
        BOOST_TEST(sleeper.waker.fd == invalid_file);
        BOOST_TEST(cycle->free_connection_n == free);
        BOOST_TEST(contains(cycle.log(), "[emerg]"));
        BOOST_TEST(contains(cycle.log(), "eventfd() failed (24: Too many open files)\n"));
    });
}

BOOST_AUTO_TEST_CASE(without_a_free_connection_there_is_no_waker)
{
    ListenCycle cycle("events { use fake; worker_connections 1; }");
    Sleeper first(cycle);
    const auto descriptors = open_descriptors();
    Sleeper second;
    BOOST_TEST((event_waker_init(second.waker, *cycle) == Rc::error));
    BOOST_TEST(second.waker.fd == invalid_file);
    BOOST_TEST(open_descriptors() == descriptors);
    BOOST_TEST(contains(cycle.log(), "1 worker_connections are not enough\n"));
}

BOOST_AUTO_TEST_CASE(a_waker_that_cannot_be_watched_is_closed)
{
    ListenCycle cycle("events { use fake; }");
    const auto descriptors = open_descriptors();
    const std::size_t free = cycle->free_connection_n;
    Sleeper sleeper;
    fake.add = Rc::error;
    BOOST_TEST((event_waker_init(sleeper.waker, *cycle) == Rc::error));
    BOOST_TEST(sleeper.waker.fd == invalid_file);
    BOOST_TEST(open_descriptors() == descriptors);
    BOOST_TEST(cycle->free_connection_n == free);
}

BOOST_AUTO_TEST_CASE(an_eventfd_that_cannot_be_read_is_an_alert_and_the_next_wake_works)
{
    on_each_poller([](ListenCycle& cycle) {
        Sleeper sleeper(cycle);
        if (sleeper.has_edges()) {
            return;  // no read
        }
        sleeper.wake();
        {
            const FakeCall read(Call::read, {.err = EIO});
            cycle.turn();
        }
        BOOST_TEST(sleeper.calls == 0);
        BOOST_TEST(contains(cycle.log(), "[alert]"));
        BOOST_TEST(contains(cycle.log(), "read() eventfd "));
        sleeper.wake();
        cycle.turn();
        BOOST_TEST(sleeper.calls == 1);
    });
}

BOOST_AUTO_TEST_CASE(an_eventfd_that_can_never_be_read_does_not_fill_the_log)
{
    on_each_poller([](ListenCycle& cycle) {
        const Sleeper sleeper(cycle);
        if (sleeper.has_edges()) {
            return;  // no read
        }
        Event& rev = *sleeper.waker.connection->read;
        {
            const FakeCall read(Call::read, {.err = EIO}, FakeCall::always);
            for (int i = 0; i < 1000; i++) {
                rev.handler(rev);
            }
        }
        BOOST_TEST(count(cycle.log(), "read() eventfd ") == 1);
    });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
