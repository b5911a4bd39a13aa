#include "core/times.hpp"

#include <array>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

/// Formats the time of the last update with strftime() in the time zone of this process.
std::string local(const char* format)
{
    const std::time_t sec = cached_time->sec;
    std::tm tm{};
    ::localtime_r(&sec, &tm);
    std::array<char, 64> text;
    return {text.data(), std::strftime(text.data(), text.size(), format, &tm)};
}

void set_zone(const char* zone)
{
    ::setenv("TZ", zone, 1);
    time_force_update();
    time_update();
}

/// Returns an error in the cached strings in this zone; empty if they are right.
std::string check_strings(const char* zone, int gmtoff, const std::string& offset)
{
    set_zone(zone);
    const std::string with_colon = offset.substr(0, 3) + ":" + offset.substr(3);
    std::string wrong;
    const auto compare = [&](std::string_view got, const std::string& wanted) {
        if (got != wanted) {
            wrong.append(got).append(" is not ").append(wanted).append("; ");
        }
    };
    compare(*cached_err_log_time, local("%Y/%m/%d %H:%M:%S"));
    compare(*cached_http_log_time, local("%d/%b/%Y:%H:%M:%S ") + offset);
    compare(*cached_http_log_iso8601, local("%Y-%m-%dT%H:%M:%S") + with_colon);
    compare(*cached_syslog_time, local("%b %e %H:%M:%S"));
    compare(std::to_string(timeofday().gmtoff), std::to_string(gmtoff));
    return wrong;
}

/// Makes two updates in the same second.
void update_twice_in_a_second()
{
    std::time_t before = 0;
    do {
        time_update();
        before = time();
        time_update();
    } while (time() != before);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(times)

BOOST_AUTO_TEST_CASE(the_strings_are_in_the_time_zone_of_the_process)
{
    BOOST_TEST(answer_of_child([] { return check_strings("UTC", 0, "+0000"); }) == "");
    BOOST_TEST(answer_of_child([] { return check_strings("XXX-3", 180, "+0300"); }) == "");
    BOOST_TEST(answer_of_child([] { return check_strings("XXX-05:45", 345, "+0545"); }) == "");
    BOOST_TEST(answer_of_child([] { return check_strings("XXX+09:30", -570, "-0930"); }) == "");
    BOOST_TEST(answer_of_child([] { return check_strings("XXX+00:30", -30, "-0030"); }) == "");
}

BOOST_AUTO_TEST_CASE(a_forced_update_takes_a_new_time_zone_and_a_plain_one_does_not)
{
    const std::string seen = answer_of_child([] {
        set_zone("XXX-1");
        update_twice_in_a_second();
        ::setenv("TZ", "XXX-2", 1);
        update_twice_in_a_second();
        const std::string plain = std::to_string(timeofday().gmtoff);
        set_zone("XXX-2");
        return plain + " " + std::to_string(timeofday().gmtoff);
    });
    BOOST_TEST(seen == "60 120");
}

BOOST_AUTO_TEST_CASE(the_clocks_are_read_at_each_update)
{
    time_force_update();
    const std::time_t sec_before = ::time(nullptr);
    const Msec before = monotonic_time();
    time_update();
    BOOST_TEST(current_msec >= before);
    BOOST_TEST(current_msec <= monotonic_time());
    // time() may be one tick behind the clock that the update reads.
    BOOST_TEST(time() >= sec_before);
    BOOST_TEST(time() <= ::time(nullptr) + 1);
    BOOST_TEST(timeofday().msec < 1000U);
}

BOOST_AUTO_TEST_CASE(the_monotonic_time_is_in_milliseconds_and_never_falls)
{
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    Msec last = static_cast<Msec>(now.tv_sec) * 1000 + static_cast<Msec>(now.tv_nsec) / 1'000'000;
    for (int i = 0; i < 1000; i++) {
        const Msec next = monotonic_time();
        BOOST_TEST_REQUIRE(next >= last);
        last = next;
    }
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    BOOST_TEST(last <= static_cast<Msec>(now.tv_sec + 1) * 1000);
}

BOOST_AUTO_TEST_CASE(within_a_second_the_strings_do_not_change)
{
    std::string_view before;
    do {
        time_update();
        before = *cached_err_log_time;
        update_twice_in_a_second();
    } while (*cached_err_log_time != before);
    BOOST_TEST(static_cast<const void*>(cached_err_log_time->data()) == before.data());
}

BOOST_AUTO_TEST_CASE(a_string_stays_whole_while_63_others_are_made)
{
    time_force_update();
    time_update();
    const std::string_view first = *cached_err_log_time;
    const std::string copy(first);
    const Time* const first_time = &*cached_time;

    for (int i = 1; i < 64; i++) {
        time_force_update();
        time_update();
        BOOST_TEST_REQUIRE(static_cast<const void*>(cached_err_log_time->data()) != first.data());
        BOOST_TEST_REQUIRE(first == copy);
    }
    time_force_update();
    time_update();
    BOOST_TEST(static_cast<const void*>(cached_err_log_time->data()) == first.data());
    BOOST_TEST(&*cached_time == first_time);
}

BOOST_AUTO_TEST_CASE(a_signal_handlers_update_formats_only_the_time_of_log_lines)
{
    time_force_update();
    time_update();
    const Time* const time_before = &*cached_time;
    const std::string_view err_log = *cached_err_log_time;
    const std::string_view http_log = *cached_http_log_time;
    const std::string_view iso8601 = *cached_http_log_iso8601;
    const std::string_view syslog = *cached_syslog_time;

    time_force_update();  // as if the second had changed
    time_sigsafe_update();
    BOOST_TEST(static_cast<const void*>(cached_err_log_time->data()) != err_log.data());
    BOOST_TEST(static_cast<const void*>(cached_syslog_time->data()) != syslog.data());
    BOOST_TEST(static_cast<const void*>(cached_http_log_time->data()) == http_log.data());
    BOOST_TEST(static_cast<const void*>(cached_http_log_iso8601->data()) == iso8601.data());
    BOOST_TEST(&*cached_time == time_before);
    BOOST_TEST(cached_err_log_time->size() == err_log.size());

    time_update();
    BOOST_TEST(&*cached_time != time_before);
    BOOST_TEST(static_cast<const void*>(cached_http_log_time->data()) != http_log.data());
}

BOOST_AUTO_TEST_CASE(a_signal_handlers_update_in_the_same_second_changes_nothing)
{
    std::string_view before;
    std::string_view after;
    std::time_t sec = 0;
    do {
        time_update();
        sec = time();
        before = *cached_err_log_time;
        time_sigsafe_update();
        after = *cached_err_log_time;
        time_update();
    } while (time() != sec);
    BOOST_TEST(static_cast<const void*>(before.data()) == after.data());
}

BOOST_AUTO_TEST_CASE(a_signal_handlers_update_uses_the_last_known_offset)
{
    const std::string hours_ahead = answer_of_child([] {
        set_zone("XXX-5");
        ::setenv("TZ", "XXX-7", 1);
        time_force_update();
        time_sigsafe_update();

        std::tm tm{};
        ::strptime(std::string(*cached_err_log_time).c_str(), "%Y/%m/%d %H:%M:%S", &tm);
        const std::time_t ahead = ::timegm(&tm) - ::time(nullptr);
        return std::to_string((ahead + 1800) / 3600);
    });
    BOOST_TEST(hours_ahead == "5");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
