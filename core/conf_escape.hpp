#pragma once

#include <cstddef>
#include <string_view>

namespace ngx {

/// Returns the character that a backslash before `ch` makes of it, or 0 if the backslash stands for
/// itself.
constexpr char conf_escaped_char(char ch) noexcept
{
    switch (ch) {
    case '"':
    case '\'':
    case '\\':
        return ch;
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'n':
        return '\n';
    default:
        return '\0';
    }
}

/// Calls `put` with each character of a word of a configuration after resolving its escapes.
template <typename Put>
constexpr void conf_unescape(std::string_view word, Put put)
{
    for (std::size_t i = 0; i < word.size(); i++) {
        const bool escapes = word[i] == '\\' && i + 1 < word.size();
        const char ch = escapes ? conf_escaped_char(word[i + 1]) : '\0';
        put(ch != '\0' ? ch : word[i]);
        i += ch != '\0' ? 1 : 0;
    }
}

}  // namespace ngx
