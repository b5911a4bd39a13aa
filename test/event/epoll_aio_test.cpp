// Tests of asynchronous file reads with epoll: how they are set up, completed and fetched.

#include <array>
#include <cerrno>
#include <list>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "core/file.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "os/unix/files.hpp"
#include "test/support/cycle.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

namespace {

constexpr std::string_view method_conf =
    "master_process off; pid pid; events { use epoll; worker_aio_requests 256; }";

/// A read of one byte.
struct Read {
    File file{};
    char byte = 0;
    int completions = 0;
};

/// A loop, and a file that has a letter at each offset.
struct Loop {
    Loop()
    {
        BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
        for (int i = 0; i < 256; i++) {
            text += static_cast<char>('a' + i % 26);
        }
        write_file(cycle.dir() / "file", text);
        descriptor = Fd(open_file((cycle.dir() / "file").c_str(), O_RDONLY));
    }

    /// Starts to read the byte at an offset.
    Read& begin(off_t offset)
    {
        Read& read = reads.emplace_back();
        read.file.fd = descriptor.get();
        read.file.name = "file";
        read.file.log = cycle->log;
        BOOST_TEST_REQUIRE(file_aio_read(read.file, &read.byte, 1, offset, *cycle->pool) ==
                           io_again);
        read.file.aio->data = &read;
        read.file.aio->handler = [](Event& ev) noexcept {
            static_cast<Read*>(static_cast<EventAio*>(ev.data)->data)->completions++;
        };
        return read;
    }

    void begin_many(int n)
    {
        for (int i = 0; i < n; i++) {
            begin(i);
        }
    }

    [[nodiscard]] int complete() const
    {
        int n = 0;
        for (const Read& read : reads) {
            n += read.completions;
        }
        return n;
    }

    void turn_until_complete()
    {
        while (complete() < static_cast<int>(reads.size())) {
            cycle.turn();
        }
    }

    TestCycle cycle{method_conf};
    std::string text{};
    Fd descriptor{};
    std::list<Read> reads{};
};

/// Returns the log of a start in which a step fails. Files are then read without asynchronous
/// reads.
std::string failed_start(Call call, Answer answer)
{
    const FakeCall failing(call, answer);
    const TestCycle cycle(method_conf);
    BOOST_TEST(!file_aio);
    BOOST_TEST(eventfd == -1);
    BOOST_TEST(aio_ctx == 0U);
    return cycle.log();
}

std::size_t open_descriptors()
{
    const std::filesystem::directory_iterator fds("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(epoll_aio, *boost::unit_test::precondition(file_aio_is_there))

BOOST_AUTO_TEST_CASE(the_start_makes_an_eventfd_that_does_not_block_and_a_context)
{
    const TestCycle cycle(method_conf);
    BOOST_TEST(file_aio);
    BOOST_TEST(aio_ctx != 0U);
    BOOST_TEST((::fcntl(eventfd, F_GETFL) & O_NONBLOCK) != 0);
    BOOST_TEST((::fcntl(eventfd, F_GETFD) & FD_CLOEXEC) != 0);
}

BOOST_AUTO_TEST_CASE(without_an_eventfd_there_is_no_aio)
{
    // The poller's notification already has its eventfd.
    const TestCycle before("master_process off; events { use epoll; }", Start::conf);
    const FakeCall none(Call::eventfd, {.err = EMFILE}, FakeCall::always);
    BOOST_TEST((event_method(*before).actions.init(*before, 0) == Rc::ok));
    BOOST_TEST(!file_aio);
    BOOST_TEST(count(before.log(), "[emerg]") == 2U);
    BOOST_TEST(contains(before.log(), "eventfd() failed (24: Too many open files)\n"));
    event_actions.done(*before);
}

BOOST_AUTO_TEST_CASE(without_a_context_there_is_no_aio_and_one_line_says_so)
{
    const std::string log = failed_start(Call::io_setup, {.err = ENOSYS});
    BOOST_TEST(count(log, "[emerg]") == 1U);
    BOOST_TEST(contains(log, "[emerg]"));
    BOOST_TEST(contains(log, "io_setup() failed (38: Function not implemented)\n"));
}

BOOST_AUTO_TEST_CASE(a_failed_start_leaves_no_descriptor)
{
    const std::size_t before = open_descriptors();
    (void)failed_start(Call::io_setup, {.err = EAGAIN});
    BOOST_TEST(open_descriptors() == before);
}

BOOST_FIXTURE_TEST_CASE(a_complete_read_is_posted_with_its_result, Loop)
{
    const Read& read = begin(3);
    const Event& ev = read.file.aio->event;
    turn_until_complete();
    BOOST_TEST(unsigned{ev.complete} == 1);
    BOOST_TEST(unsigned{ev.active} == 0);
    BOOST_TEST(unsigned{ev.ready} == 1);
    BOOST_TEST(read.file.aio->res == 1);
    BOOST_TEST(read.byte == 'd');
}

BOOST_FIXTURE_TEST_CASE(a_read_that_failed_is_posted_with_its_errno, Loop)
{
    descriptor = Fd(open_file(cycle.dir().path().c_str(), O_RDONLY | O_DIRECTORY));
    Read& read = reads.emplace_back();
    read.file.fd = descriptor.get();
    read.file.name = "directory";
    read.file.log = cycle->log;
    const ssize_t n = file_aio_read(read.file, &read.byte, 1, 0, *cycle->pool);
    BOOST_TEST(n == io_error);  // the kernel rejects it at once
    BOOST_TEST(contains(cycle.log(), "io_submit(\"directory\") failed (22: Invalid argument)"));
}

BOOST_FIXTURE_TEST_CASE(complete_reads_are_fetched_64_at_a_time, Loop)
{
    begin_many(200);
    const FakeCall io_getevents(Call::io_getevents, {}, 0);
    turn_until_complete();
    BOOST_TEST(io_getevents.calls() >= 4);
    std::string got;
    for (const Read& read : reads) {
        BOOST_TEST_REQUIRE(read.completions == 1);
        got += read.byte;
    }
    BOOST_TEST(got == text.substr(0, 200));
}

BOOST_FIXTURE_TEST_CASE(only_as_many_reads_are_fetched_as_were_counted, Loop)
{
    begin(0);
    const FakeCall io_getevents(Call::io_getevents, {}, 0);
    turn_until_complete();
    BOOST_TEST(io_getevents.calls() == 1);
}

BOOST_FIXTURE_TEST_CASE(a_count_without_reads_is_no_error, Loop)
{
    begin(0);
    {
        const FakeCall io_getevents(Call::io_getevents, {.result = 0});
        cycle.turn();
        BOOST_TEST(io_getevents.calls() == 1);
        BOOST_TEST(complete() == 0);
    }
    begin(1);
    turn_until_complete();  // the next count includes the first read
    BOOST_TEST(!contains(cycle.log(), "[alert]"));
}

BOOST_FIXTURE_TEST_CASE(a_failure_of_io_getevents_is_an_alert, Loop)
{
    begin(0);
    {
        const FakeCall io_getevents(Call::io_getevents, {.err = EINVAL});
        cycle.turn();
    }
    BOOST_TEST(contains(cycle.log(), "[alert]"));
    BOOST_TEST(contains(cycle.log(), "io_getevents() failed (22: Invalid argument)\n"));
}

// If reads were not fetched again, they would wait until another read completes.
BOOST_FIXTURE_TEST_CASE(reads_that_were_not_fetched_are_fetched_later, Loop)
{
    begin(0);
    const FakeCall io_getevents(Call::io_getevents, {.err = EINVAL});
    turn_until_complete();
    BOOST_TEST(io_getevents.calls() == 2);
    BOOST_TEST(count(cycle.log(), "io_getevents() failed") == 1);
}

// A signal must neither lose the read nor be logged as an alert.
BOOST_FIXTURE_TEST_CASE(a_signal_does_not_keep_reads_from_being_fetched, Loop)
{
    begin(0);
    const FakeCall io_getevents(Call::io_getevents, {.err = EINTR});
    turn_until_complete();
    BOOST_TEST(io_getevents.calls() == 2);
    BOOST_TEST(!contains(cycle.log(), "[alert]"));
}

BOOST_FIXTURE_TEST_CASE(a_count_that_cannot_be_read_is_an_alert_unless_there_is_none, Loop)
{
    begin(0);
    {
        const FakeCall read(Call::read, {.err = EAGAIN});
        cycle.turn();
        BOOST_TEST(!contains(cycle.log(), "[alert]"));
    }
    begin(1);
    {
        const FakeCall read(Call::read, {.err = EIO});
        cycle.turn();
        BOOST_TEST(contains(cycle.log(), "read(eventfd) failed (5: Input/output error)\n"));
    }
    begin(2);
    {
        const FakeCall read(Call::read, {.result = 4});
        cycle.turn();
        BOOST_TEST(contains(cycle.log(), "read(eventfd) returned only 4 bytes\n"));
    }
    begin(3);
    turn_until_complete();
}

BOOST_AUTO_TEST_CASE(done_releases_the_context_and_the_eventfd)
{
    const std::size_t before = open_descriptors();
    const FakeCall io_destroy(Call::io_destroy, {}, 0);
    {
        const TestCycle cycle(method_conf);
    }
    BOOST_TEST(io_destroy.calls() == 1);
    BOOST_TEST(!file_aio);
    BOOST_TEST(eventfd == -1);
    BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(a_context_that_cannot_be_released_is_an_alert)
{
    TestLog log;
    const TestCycle cycle(method_conf, Start::conf);
    BOOST_TEST((event_method(*cycle).actions.init(*cycle, 0) == Rc::ok));
    const FakeCall io_destroy(Call::io_destroy, {.err = EINVAL});
    event_actions.done(*cycle);
    BOOST_TEST(contains(cycle.log(), "io_destroy() failed (22: Invalid argument)\n"));
}

BOOST_AUTO_TEST_CASE(a_reload_without_a_master_keeps_the_number_of_requests_and_warns)
{
    TestCycle cycle(method_conf);
    const aio_context_t before = aio_ctx;
    BOOST_TEST(cycle.reload("master_process off; pid pid; events { use epoll; }"));
    BOOST_TEST(aio_ctx == before);
    BOOST_TEST(contains(cycle.log(), "[warn]"));
    BOOST_TEST(contains(cycle.log(), "\"worker_aio_requests\" stays 256 until"));
}

BOOST_AUTO_TEST_CASE(other_pollers_have_no_aio)
{
    for (const std::string& use : built_pollers_but("epoll")) {
        const TestCycle cycle("master_process off; events { use " + use + "; }");
        BOOST_TEST(!file_aio);
        BOOST_TEST(!event_method(*cycle).file_aio);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
