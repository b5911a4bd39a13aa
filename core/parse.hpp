#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "core/core.hpp"

/// Parsers of sizes and times in a configuration. They return an empty value if the text is invalid
/// or the value overflows.
namespace ngx {

/// Parses a number of bytes, with an optional unit k or m.
///
/// nginx: ngx_parse_size()
std::optional<std::size_t> parse_size(std::string_view line) noexcept;

/// Parses a number of bytes of a file, with an optional unit k, m or g.
///
/// nginx: ngx_parse_offset()
std::optional<off_t> parse_offset(std::string_view line) noexcept;

/// Parses a time and returns milliseconds. The parts, such as "1h 30m 15s 20ms", are in falling
/// order. A number without a unit is seconds.
///
/// nginx: ngx_parse_time()
std::optional<Msec> parse_msec(std::string_view line) noexcept;

/// Parses a time and returns seconds: as above, also with years and months, and without
/// milliseconds.
///
/// nginx: ngx_parse_time()
std::optional<std::int64_t> parse_sec(std::string_view line) noexcept;

/// Parses a time as parse_sec() does if `is_sec` is true, else as parse_msec().
///
/// nginx: ngx_parse_time()
std::optional<std::int64_t> parse_time(std::string_view line, bool is_sec) noexcept;

}  // namespace ngx
