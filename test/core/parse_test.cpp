#include "core/parse.hpp"

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

namespace ngx::test {

namespace {

using Good = std::vector<std::pair<std::string_view, std::int64_t>>;
using Bad = std::vector<std::string_view>;

/// Checks that each text parses to its value, or fails.
template <typename Parse>
void check(Parse parse, const Good& good, const Bad& bad)
{
    for (const auto& [text, value] : good) {
        BOOST_TEST_CONTEXT('"' << text << '"')
        {
            const auto parsed = parse(text);
            BOOST_TEST_REQUIRE(parsed.has_value());
            BOOST_TEST(static_cast<std::int64_t>(*parsed) == value);
        }
    }
    for (const std::string_view text : bad) {
        BOOST_TEST(!parse(text).has_value(), '"' << text << '"');
    }
}

constexpr std::int64_t max_value = 9223372036854775807;

constexpr std::int64_t minute = 60;
constexpr std::int64_t hour = 60 * minute;
constexpr std::int64_t day = 24 * hour;
constexpr std::int64_t week = 7 * day;
constexpr std::int64_t month = 30 * day;
constexpr std::int64_t year = 365 * day;

}  // namespace

BOOST_AUTO_TEST_SUITE(parse)

BOOST_AUTO_TEST_CASE(a_size_is_bytes_or_has_k_or_m)
{
    check(parse_size,
          {{"0", 0},
           {"1", 1},
           {"0001", 1},
           {"1k", 1024},
           {"1K", 1024},
           {"3m", 3 << 20},
           {"3M", 3 << 20},
           {"0k", 0}},
          {"", "k", "m", "-1", "+1", " 1", "1 ", "1 k", "1.5k", "1kb", "1kk", "1km", "k1", "1g",
           "1G", "0x10", "a", std::string_view("1\0", 2)});
}

BOOST_AUTO_TEST_CASE(a_size_may_not_overflow)
{
    check(parse_size,
          {{"9223372036854775807", max_value},
           {"9007199254740991k", max_value / 1024 * 1024},
           {"8796093022207m", max_value >> 20 << 20}},
          {"9223372036854775808", "9007199254740992k", "8796093022208m", "99999999999999999999",
           "18446744073709551616", "18446744073709551617k"});
}

BOOST_AUTO_TEST_CASE(an_offset_has_k_m_and_g)
{
    check(parse_offset,
          {{"0", 0},
           {"10", 10},
           {"2k", 2048},
           {"2M", 2 << 20},
           {"3g", std::int64_t{3} << 30},
           {"3G", std::int64_t{3} << 30},
           {"8589934591g", std::int64_t{8589934591} << 30},
           {"9223372036854775807", max_value}},
          {"", "g", "1t", "1gb", "-1g", "1g1", "8589934592g", "8796093022208m",
           "9223372036854775808"});
}

BOOST_AUTO_TEST_CASE(a_time_in_milliseconds_has_units_from_w_to_ms)
{
    check(parse_msec,
          {{"0", 0},
           {"1", 1000},
           {"30s", 30'000},
           {"30ms", 30},
           {"2m", 2 * minute * 1000},
           {"2h", 2 * hour * 1000},
           {"2d", 2 * day * 1000},
           {"2w", 2 * week * 1000},
           {"1w2d3h4m5s6ms", (week + 2 * day + 3 * hour + 4 * minute + 5) * 1000 + 6},
           {"1w 2d  3h 4m 5s 6ms ", (week + 2 * day + 3 * hour + 4 * minute + 5) * 1000 + 6},
           {"1m500ms", 60'500}},
          {"",       "1y",
           "1M",     "1y1w",
           "1M1w",   "1x",
           "1S",     "1H",
           "s",      "ms",
           " ",      "1mss",
           "-1",     "+1",
           "1.5s",   "1s1m",
           "1ms1s",  "1h1h",
           "1ms1ms", "1s 1s",
           "1\ts",   std::string_view("1\0", 2)});
}

BOOST_AUTO_TEST_CASE(a_time_in_seconds_has_years_and_months_and_no_milliseconds)
{
    check(parse_sec,
          {{"0", 0},
           {"1", 1},
           {"1y", year},
           {"1M", month},
           {"1m", minute},
           {"1y2M3w4d5h6m7s", year + 2 * month + 3 * week + 4 * day + 5 * hour + 6 * minute + 7},
           {"1y 7s", year + 7}},
          {"", "1ms", "1s1ms", "1M1y", "1y1y", "1m1M", "y", "1Y", "1w1M"});
}

BOOST_AUTO_TEST_CASE(a_bare_number_ends_a_time_and_is_in_seconds)
{
    check(parse_sec,
          {{"1 2", 3},
           {"1m2", 62},
           {"1m 2", 62},
           {"1m 2 ", 62},
           {"1s2", 3},
           {"1s 2", 3},
           {" 1", 1},
           {"s1", 1},
           {"h1", 1},
           {"  1", 1}},
          {"1 2s", "1 2m", "1 2 3", "1s 2 ", "1s 2 3", " 1m", " 1 "});
    check(parse_msec,
          {{"1 2", 3000}, {"1m2", 62'000}, {"1ms 5", 5001}, {"1ms5", 5001}, {"5 ", 5000}},
          {"1 2ms", "1ms 5 ", "5 1ms"});
}

BOOST_AUTO_TEST_CASE(a_time_may_not_overflow)
{
    check(parse_sec,
          {{"9223372036854775807", max_value},
           {"292471208677y", 292471208677 * year},
           {"292471208677y 195d 15h 30m 7s", max_value},
           {"9223372036854775806s1", max_value}},
          {"9223372036854775808", "9223372036854775807s1", "292471208678y",
           "292471208677y 195d 15h 30m 8s", "307445734561825861m", "99999999999999999999s"});
    check(parse_msec,
          {{"9223372036854775s", max_value / 1000 * 1000},
           {"9223372036854775", max_value / 1000 * 1000},
           {"9223372036854775s807ms", max_value},
           {"9223372036854775807ms", max_value}},
          {"9223372036854776s", "9223372036854776", "9223372036854775s808ms",
           "9223372036854775808ms", "9223372036854775807ms1"});
}

BOOST_AUTO_TEST_CASE(the_requested_unit_decides)
{
    BOOST_TEST(parse_time("1m", true).value() == 60);
    BOOST_TEST(parse_time("1m", false).value() == 60'000);
    BOOST_TEST(!parse_time("1y", false).has_value());
    BOOST_TEST(!parse_time("1ms", true).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
