#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/core.h>

#include "core/core.hpp"

/// String helpers that neither the standard library nor {fmt} has.
namespace ngx {

/// Formats into [p, last), cuts what does not fit, writes no zero byte. Returns the new end.
///
/// nginx: ngx_vslprintf()
char* vslprintf(char* p, char* last, fmt::string_view format, fmt::format_args args);

/// Does the same for arguments; the compiler checks the format.
///
/// nginx: ngx_slprintf()
template <typename... Args>
char* slprintf(char* p, char* last, fmt::format_string<Args...> format, const Args&... args)
{
    return vslprintf(p, last, format, fmt::make_format_args(args...));
}

/// Parses a decimal number, digits only. Empty if the text is not a number or overflows.
///
/// nginx: ngx_atoi()
inline std::optional<std::int64_t> atoi(std::string_view text) noexcept
{
    std::int64_t value = 0;
    if (text.empty() || text.front() < '0' || text.front() > '9') {
        return std::nullopt;
    }
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end) {
        return std::nullopt;
    }
    return value;
}

/// Returns the lower case of an ASCII letter, and any other character unchanged.
///
/// nginx: ngx_tolower()
char tolower(char c) noexcept;

/// Compares two texts, ignoring the case of ASCII letters.
///
/// nginx: ngx_strcasecmp()
bool strcaseeq(std::string_view a, std::string_view b) noexcept;

/// Returns the text for an element or a quoted attribute of HTML or XML. Control characters remain.
///
/// nginx: ngx_escape_html()
std::string escape_html(std::string_view text);

}  // namespace ngx
