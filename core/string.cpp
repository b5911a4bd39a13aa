#include "core/string.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ngx {

char* vslprintf(char* p, char* last, fmt::string_view format, fmt::format_args args)
{
    return fmt::vformat_to_n(p, static_cast<std::size_t>(last - p), format, args).out;
}

char tolower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool strcaseeq(std::string_view a, std::string_view b) noexcept
{
    return std::ranges::equal(a, b, {}, tolower, tolower);
}

std::string escape_html(std::string_view text)
{
    std::string out;
    for (const char ch : text) {
        switch (ch) {
        case '&':
            out += "&amp;";
            break;
        case '<':
            out += "&lt;";
            break;
        case '>':
            out += "&gt;";
            break;
        case '"':
            out += "&quot;";
            break;
        default:
            out += ch;
        }
    }
    return out;
}

}  // namespace ngx
