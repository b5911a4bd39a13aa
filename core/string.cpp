#include "core/string.hpp"

#include <algorithm>

namespace ngx {

char tolower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool strcaseeq(std::string_view a, std::string_view b) noexcept
{
    return std::ranges::equal(a, b, {}, tolower, tolower);
}

}  // namespace ngx
