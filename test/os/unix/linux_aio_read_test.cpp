// Asynchronous reads through the functions of files, with the epoll poller.

#include <cerrno>
#include <string>

#include <boost/test/unit_test.hpp>

#include "core/file.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"
#include "os/unix/files.hpp"
#include "test/support/cycle.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

namespace {

/// A file of ten digits, and a loop.
struct Aio {
    Aio()
    {
        write_file(path, "0123456789");
        descriptor = Fd(open_file(path.c_str(), O_RDONLY));
        file.fd = descriptor.get();
        file.name = path.native();
        file.log = &log.log;
    }
    Aio(const Aio&) = delete;
    Aio& operator=(const Aio&) = delete;
    ~Aio() { destroy_pool(pool); }

    ssize_t read(std::size_t size, off_t offset)
    {
        const ssize_t n = file_aio_read(file, buf, size, offset, *pool);
        if (file.aio) {
            file.aio->data = this;
            file.aio->handler = [](Event& ev) noexcept {
                static_cast<Aio*>(static_cast<EventAio*>(ev.data)->data)->completions++;
            };
        }
        return n;
    }

    void wait(int wanted)
    {
        while (completions < wanted) {
            cycle.turn();
        }
    }

    [[nodiscard]] std::string got(ssize_t n) const
    {
        return {buf, static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
    }

    TestCycle cycle{"master_process off; events { use epoll; }"};
    TestLog log;
    TempDir dir;
    std::filesystem::path path = dir / "digits";
    Fd descriptor{};
    File file{};
    Pool* pool = create_pool(connection_pool_size, &log.log);
    char buf[16]{};
    int completions = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(linux_aio_read, *boost::unit_test::precondition(file_aio_is_there))

BOOST_FIXTURE_TEST_CASE(the_same_call_returns_the_result_after_the_event, Aio)
{
    BOOST_TEST(read(3, 2) == io_again);
    BOOST_TEST(unsigned{file.aio->event.active} == 1);
    BOOST_TEST(unsigned{file.aio->event.ready} == 0);
    wait(1);
    BOOST_TEST(unsigned{file.aio->event.complete} == 1);
    BOOST_TEST(got(read(3, 2)) == "234");
    BOOST_TEST(unsigned{file.aio->event.complete} == 0);
    BOOST_TEST(read(16, 8) == io_again);
    wait(2);
    BOOST_TEST(got(read(16, 8)) == "89");
}

BOOST_FIXTURE_TEST_CASE(a_second_read_before_the_first_is_complete_is_an_alert, Aio)
{
    BOOST_TEST(read(3, 2) == io_again);
    BOOST_TEST(read(3, 2) == io_again);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "second aio post for \"" + path.string() + "\"\n"));
    wait(1);
}

BOOST_FIXTURE_TEST_CASE(a_read_that_fails_is_critical, Aio)
{
    BOOST_TEST(read(3, 2) == io_again);
    wait(1);
    file.aio->res = -EIO;
    BOOST_TEST(read(3, 2) == io_error);
    BOOST_TEST(contains(log.text, "[crit]"));
    BOOST_TEST(contains(log.text, "aio read \"" + path.string() + "\" failed (5: Input/output "));
}

BOOST_FIXTURE_TEST_CASE(when_too_many_requests_are_under_way_the_file_is_read_at_once, Aio)
{
    const FakeCall io_submit(Call::io_submit, {.err = EAGAIN});
    BOOST_TEST(got(read(3, 2)) == "234");
    BOOST_TEST(log.text == "");
    BOOST_TEST(file_aio);
    BOOST_TEST(read(3, 2) == io_again);
    wait(1);
}

BOOST_FIXTURE_TEST_CASE(a_kernel_without_the_call_is_not_asked_again, Aio)
{
    const FakeCall io_submit(Call::io_submit, {.err = ENOSYS});
    BOOST_TEST(got(read(3, 2)) == "234");
    BOOST_TEST(contains(log.text, "[crit]"));
    BOOST_TEST(
        contains(log.text, "io_submit(\"" + path.string() + "\") failed (38: Function not "));
    BOOST_TEST(!file_aio);
    BOOST_TEST(got(read(3, 2)) == "234");
    BOOST_TEST(io_submit.calls() == 1);
}

BOOST_FIXTURE_TEST_CASE(a_request_that_is_refused_is_an_error, Aio)
{
    const FakeCall io_submit(Call::io_submit, {.err = EINVAL});
    BOOST_TEST(read(3, 2) == io_error);
    BOOST_TEST(contains(log.text, "io_submit(\"" + path.string() + "\") failed (22: Invalid "));
    BOOST_TEST(file_aio);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
