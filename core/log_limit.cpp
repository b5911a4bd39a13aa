#include "core/log_limit.hpp"

#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/times.hpp"

namespace ngx {

namespace {

constexpr Msec window = 1000;

unsigned current_round = 1;

/// Returns whether the line is to be logged; otherwise counts it.
bool passes(LogLimit& limit, Err err) noexcept
{
    if (limit.round != current_round) {
        limit = {.since = current_msec, .round = current_round};
    } else if (current_msec - limit.since >= window) {
        limit.since = current_msec;
        limit.logged.reset();
    }

    const std::size_t bit = static_cast<std::size_t>(err) % limit.logged.size();
    if (limit.logged.test(bit)) {
        limit.left_out++;
        return false;
    }
    limit.logged.set(bit);
    return true;
}

}  // namespace

void log_limits_reset() noexcept
{
    current_round++;
}

void log_limited_core(LogLimit& limit, unsigned level, Log* log, Err err, fmt::string_view format,
                      fmt::format_args args) noexcept
{
    if (!passes(limit, err)) {
        return;
    }
    const std::size_t left_out = std::exchange(limit.left_out, 0);
    if (left_out == 0) {
        log_error_core(level, log, err, format, args);
        return;
    }
    std::array<char, 256> text;
    const char* const end = fmt::vformat_to_n(text.data(), text.size(), format, args).out;
    log_error(level, log, err, "{}, {} lines left out",
              std::string_view(text.data(), static_cast<std::size_t>(end - text.data())), left_out);
}

}  // namespace ngx
