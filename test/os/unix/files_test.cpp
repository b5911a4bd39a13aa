#include "os/unix/files.hpp"

#include <cerrno>
#include <string>

#include <boost/test/unit_test.hpp>

#include "core/file.hpp"
#include "core/palloc.hpp"
#include "core/thread_pool.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

namespace {

/// A file of ten digits.
struct Digits {
    Digits()
    {
        write_file(path, "0123456789");
        descriptor = Fd(open_file(path.c_str(), O_RDONLY));
        file.fd = descriptor.get();
        file.name = path.native();
        file.log = &log.log;
    }
    Digits(const Digits&) = delete;
    Digits& operator=(const Digits&) = delete;
    ~Digits() { destroy_pool(pool); }

    [[nodiscard]] std::string got(ssize_t n) const
    {
        return {buf, static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
    }

    TestLog log;
    TempDir dir;
    std::filesystem::path path = dir / "digits";
    Fd descriptor{};
    File file{};
    Pool* pool = create_pool(connection_pool_size, &log.log);
    char buf[16]{};
};

/// A file that threads read: the test runs the task.
struct ThreadDigits : Digits {
    ThreadDigits()
    {
        file.thread_ctx = this;
        file.thread_handler = [](ThreadTask&, File& f) noexcept {
            return static_cast<ThreadDigits*>(f.thread_ctx)->answer;
        };
    }

    ssize_t read(std::size_t size, off_t offset)
    {
        return thread_read(file, buf, size, offset, *pool);
    }

    void run()
    {
        file.thread_task->handler(file.thread_task->ctx, &log.log);
        file.thread_task->event.complete = 1;
    }

    Rc answer = Rc::ok;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(files)

BOOST_FIXTURE_TEST_CASE(a_file_is_not_inherited_by_other_programs, Digits)
{
    BOOST_TEST((::fcntl(file.fd, F_GETFD) & FD_CLOEXEC) != 0);
}

BOOST_FIXTURE_TEST_CASE(the_properties_of_a_file_are_read, Digits)
{
    struct stat info {};
    BOOST_TEST(fd_info(file.fd, &info) == 0);
    BOOST_TEST(info.st_size == 10);
    BOOST_TEST(close_file(open_file(path.c_str(), O_RDONLY)) == 0);
    BOOST_TEST(close_file(-1) == -1);
}

BOOST_FIXTURE_TEST_CASE(a_read_starts_at_the_requested_offset, Digits)
{
    BOOST_TEST(got(ngx::read_file(file, buf, 3, 2)) == "234");
    BOOST_TEST(file.offset == 3);
    BOOST_TEST(got(ngx::read_file(file, buf, 16, 8)) == "89");
    BOOST_TEST(ngx::read_file(file, buf, 16, 10) == 0);
}

BOOST_FIXTURE_TEST_CASE(a_read_that_fails_is_critical, Digits)
{
    const FakeCall pread(Call::pread, {.err = EIO});
    BOOST_TEST(ngx::read_file(file, buf, 3, 2) == io_error);
    BOOST_TEST(contains(log.text, "[crit]"));
    BOOST_TEST(contains(log.text, "pread() \"" + path.string() + "\" failed (5: Input/output "));
}

BOOST_FIXTURE_TEST_CASE(a_thread_reads_what_the_same_call_then_returns, ThreadDigits)
{
    BOOST_TEST(read(3, 2) == io_again);
    BOOST_TEST(got(3) == std::string(3, '\0'));
    run();
    BOOST_TEST(got(read(3, 2)) == "234");
    BOOST_TEST(read(3, 5) == io_again);
    run();
    BOOST_TEST(got(read(3, 5)) == "567");
}

BOOST_FIXTURE_TEST_CASE(a_thread_finds_the_end_of_a_file, ThreadDigits)
{
    BOOST_TEST(read(16, 7) == io_again);
    run();
    BOOST_TEST(got(read(16, 7)) == "789");
}

BOOST_FIXTURE_TEST_CASE(a_read_that_fails_in_a_thread_is_critical_here, ThreadDigits)
{
    BOOST_TEST(read(3, 2) == io_again);
    const FakeCall pread(Call::pread, {.err = EIO});
    run();
    BOOST_TEST(log.text == "");
    BOOST_TEST(read(3, 2) == io_error);
    BOOST_TEST(contains(log.text, "[crit]"));
    BOOST_TEST(contains(log.text, "pread() \"" + path.string() + "\" failed (5: Input/output "));
}

BOOST_FIXTURE_TEST_CASE(a_task_that_no_pool_takes_is_an_error, ThreadDigits)
{
    answer = Rc::error;
    BOOST_TEST(read(3, 2) == io_error);
}

BOOST_FIXTURE_TEST_CASE(directio_is_switched_on_and_off, Digits)
{
    if (directio_on(file.fd) == -1) {
        BOOST_TEST_MESSAGE("skipped: this file system has no direct reads");
        return;
    }
    BOOST_TEST((::fcntl(file.fd, F_GETFL) & O_DIRECT) != 0);
    BOOST_TEST(directio_off(file.fd) == 0);
    BOOST_TEST((::fcntl(file.fd, F_GETFL) & O_DIRECT) == 0);
}

BOOST_AUTO_TEST_CASE(an_invalid_descriptor_has_no_directio)
{
    BOOST_TEST(directio_on(-1) == -1);
    BOOST_TEST(directio_off(-1) == -1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
