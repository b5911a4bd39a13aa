#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "core/core.hpp"

/// Sizes and times as a configuration spells them. Empty means that the text is not one, or that
/// its value would overflow.
namespace ngx {

/// Bytes, with k or m.
///
/// nginx: ngx_parse_size()
std::optional<std::size_t> parse_size(std::string_view line) noexcept;

/// Bytes of a file, with k, m or g.
///
/// nginx: ngx_parse_offset()
std::optional<off_t> parse_offset(std::string_view line) noexcept;

/// Milliseconds: parts such as "1h 30m 15s 20ms", the greater first. A bare number is seconds.
///
/// nginx: ngx_parse_time()
std::optional<Msec> parse_msec(std::string_view line) noexcept;

/// Seconds: as above with years and months, and without milliseconds.
///
/// nginx: ngx_parse_time()
std::optional<std::int64_t> parse_sec(std::string_view line) noexcept;

/// The two above in one, in the unit asked for.
///
/// nginx: ngx_parse_time()
std::optional<std::int64_t> parse_time(std::string_view line, bool is_sec) noexcept;

}  // namespace ngx
