#include "core/log_limit.hpp"

#include <cerrno>

#include <boost/test/unit_test.hpp>

#include "core/times.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// A place whose call fails, and a clock that the test sets.
struct Failing {
    Failing() { current_msec = 1000; }
    Failing(const Failing&) = delete;
    Failing& operator=(const Failing&) = delete;
    ~Failing() { current_msec = before; }

    void fail(int times = 1, Err err = EINTR, unsigned level = log_alert)
    {
        for (int i = 0; i < times; i++) {
            log_limited(limit, level, &log.log, err, "call({}) failed", 7);
        }
    }

    [[nodiscard]] std::size_t lines() const { return count(log.text, "\n"); }

    const Msec before = current_msec;
    TestLog log{log_warn};
    LogLimit limit{};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(log_limit, Failing)

BOOST_AUTO_TEST_CASE(the_first_failure_is_logged_at_once)
{
    fail();
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "call(7) failed (4: Interrupted system call)\n"));
}

BOOST_AUTO_TEST_CASE(failures_are_logged_once_a_second)
{
    fail(1'000'000);
    BOOST_TEST(lines() == 1);
    current_msec += 999;
    fail();
    BOOST_TEST(lines() == 1);
    current_msec += 1;
    fail(1'000'000);
    BOOST_TEST(lines() == 2);
}

BOOST_AUTO_TEST_CASE(the_next_line_tells_how_many_were_left_out)
{
    fail(42);
    BOOST_TEST(!contains(log.text, "left out"));
    current_msec += 5000;
    fail(2);
    BOOST_TEST(
        contains(log.text, "call(7) failed, 41 lines left out (4: Interrupted system call)\n"));
    current_msec += 1000;
    fail();
    BOOST_TEST(
        contains(log.text, "call(7) failed, 1 lines left out (4: Interrupted system call)\n"));
    current_msec += 1000;
    fail();
    BOOST_TEST(log.text.ends_with("call(7) failed (4: Interrupted system call)\n"));
}

BOOST_AUTO_TEST_CASE(each_errno_has_its_line)
{
    for (int i = 0; i < 1000; i++) {
        fail(1, ECONNABORTED);
        fail(1, EPERM);
        fail(1, EHWPOISON);
        fail(1, 0);
    }
    BOOST_TEST(lines() == 4);
    BOOST_TEST(contains(log.text, "call(7) failed (133: Memory page has hardware error)\n"));
    BOOST_TEST(contains(log.text, "call(7) failed\n"));
}

BOOST_AUTO_TEST_CASE(each_place_has_its_line)
{
    fail(1000);
    limit = {};
    fail(1000);
    BOOST_TEST(lines() == 2);
}

BOOST_AUTO_TEST_CASE(lines_for_which_the_log_has_no_level_are_not_counted)
{
    fail(1000, EINTR, log_info);
    BOOST_TEST(lines() == 0);
    fail();
    BOOST_TEST(lines() == 1);
    BOOST_TEST(!contains(log.text, "left out"));
}

BOOST_AUTO_TEST_CASE(after_a_reset_the_first_failure_is_logged_at_once)
{
    fail(1000);
    log_limits_reset();
    fail(1000);
    BOOST_TEST(lines() == 2);
    BOOST_TEST(!contains(log.text, "left out"));
}

BOOST_AUTO_TEST_CASE(errno_is_preserved_while_lines_are_counted)
{
    errno = EDOM;
    fail();
    current_msec += 1000;
    fail(2);
    BOOST_TEST(errno == EDOM);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
