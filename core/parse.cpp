#include "core/parse.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "core/string.hpp"

namespace ngx {

namespace {

constexpr std::int64_t max_value = std::numeric_limits<std::int64_t>::max();

/// Parses a number with an optional unit from `units`: the unit at index n stands for 1024^(n+1).
std::optional<std::int64_t> parse_scaled(std::string_view line, std::string_view units) noexcept
{
    std::int64_t scale = 1;
    if (!line.empty()) {
        const char unit = static_cast<char>(line.back() | 0x20);
        if (const std::size_t n = units.find(unit); n != units.npos) {
            line.remove_suffix(1);
            scale = std::int64_t{1} << (10 * (n + 1));
        }
    }

    const auto value = atoi(line);
    if (!value || *value > max_value / scale) {
        return std::nullopt;
    }
    return *value * scale;
}

/// A unit of time. The parts of a time follow the order of this table, each unit at most once.
struct TimeUnit {
    std::string_view name;
    std::int64_t scale;  // seconds, or for ms milliseconds
    bool with_sec;       // allowed in a number of seconds
    bool with_msec;      // allowed in a number of milliseconds
};

constexpr std::int64_t day = 24 * 60 * 60;

constexpr std::array<TimeUnit, 9> time_units = {{
    {"y", 365 * day, true, false},
    {"M", 30 * day, true, false},
    {"w", 7 * day, true, true},
    {"d", day, true, true},
    {"h", 60 * 60, true, true},
    {"m", 60, true, true},
    {"s", 1, true, true},
    {"ms", 1, false, true},
    {" ", 1, true, true},  // a bare number ends the line
}};

constexpr std::size_t seconds_unit = 6;
constexpr std::size_t milliseconds_unit = 7;
constexpr std::size_t bare_unit = 8;

/// Returns the unit at the start of the text ("ms" is not minutes), or the table's size if there is
/// none.
std::size_t find_unit(std::string_view text) noexcept
{
    if (text.starts_with("ms")) {
        return milliseconds_unit;
    }
    std::size_t unit = 0;
    while (unit < time_units.size() && !text.starts_with(time_units[unit].name)) {
        unit++;
    }
    return unit;
}

bool add_scaled(std::int64_t& total, std::int64_t value, std::int64_t scale) noexcept
{
    std::int64_t scaled = 0;
    return !__builtin_mul_overflow(value, scale, &scaled) &&
           !__builtin_add_overflow(total, scaled, &total);
}

/// Removes digits from the front of the line and returns their value: 0 if there are none, empty on
/// overflow.
std::optional<std::int64_t> take_digits(std::string_view& line) noexcept
{
    const std::size_t n = std::min(line.find_first_not_of("0123456789"), line.size());
    const auto value = n == 0 ? std::optional<std::int64_t>{0} : atoi(line.substr(0, n));
    line.remove_prefix(n);
    return value;
}

void skip_spaces(std::string_view& line) noexcept
{
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
}

}  // namespace

std::optional<std::size_t> parse_size(std::string_view line) noexcept
{
    const auto size = parse_scaled(line, "km");
    return size ? std::optional{static_cast<std::size_t>(*size)} : std::nullopt;
}

std::optional<off_t> parse_offset(std::string_view line) noexcept
{
    return parse_scaled(line, "kmg");
}

std::optional<Msec> parse_msec(std::string_view line) noexcept
{
    const auto time = parse_time(line, false);
    return time ? std::optional{static_cast<Msec>(*time)} : std::nullopt;
}

std::optional<std::int64_t> parse_sec(std::string_view line) noexcept
{
    return parse_time(line, true);
}

std::optional<std::int64_t> parse_time(std::string_view line, bool is_sec) noexcept
{
    const std::int64_t second = is_sec ? 1 : 1000;
    std::int64_t total = 0;
    bool valid = false;
    std::size_t step = 0;  // units before this one are not allowed any more

    while (!line.empty()) {
        valid = valid || (line.front() >= '0' && line.front() <= '9');
        const auto value = take_digits(line);
        const std::size_t unit = line.empty() ? bare_unit : find_unit(line);
        if (!value || unit == time_units.size()) {
            return std::nullopt;
        }

        const TimeUnit& u = time_units[unit];
        const bool bare_after_seconds = unit == bare_unit && !line.empty() && step > seconds_unit;
        const bool repeated = unit != bare_unit && unit < step;
        if (repeated || bare_after_seconds || !(is_sec ? u.with_sec : u.with_msec) ||
            !add_scaled(total, *value, unit == milliseconds_unit ? 1 : u.scale * second)) {
            return std::nullopt;
        }

        step = unit + 1;
        line.remove_prefix(line.empty() ? 0 : u.name.size());
        skip_spaces(line);
    }

    return valid ? std::optional{total} : std::nullopt;
}

}  // namespace ngx
