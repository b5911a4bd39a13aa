#include "tools/conf/lua.hpp"

#include <algorithm>
#include <cctype>

namespace ngx::conf {

namespace {

constexpr std::size_t npos = std::string_view::npos;

/// Returns the number of "=" in a long bracket that opens at `pos`, or npos if none does.
std::size_t long_bracket(std::string_view text, std::size_t pos)
{
    if (pos >= text.size() || text[pos] != '[') {
        return npos;
    }
    const std::size_t second = text.find_first_not_of('=', pos + 1);
    return second != npos && text[second] == '[' ? second - pos - 1 : npos;
}

/// Returns the place behind the long bracket that opens at `pos` with `level` signs, or npos.
std::size_t behind_long_bracket(std::string_view text, std::size_t pos, std::size_t level)
{
    pos += level + 2;
    for (;;) {
        const std::size_t first = text.find(']', pos);
        if (first == npos) {
            return npos;
        }
        const std::size_t second = text.find_first_not_of('=', first + 1);
        if (second == npos) {
            return npos;
        }
        if (text[second] == ']' && second - first - 1 == level) {
            return second + 1;
        }
        pos = second;
    }
}

/// Returns the place behind the short string that begins at `pos`, or npos. A string does not go
/// on in the next line, except behind a backslash or \z.
std::size_t behind_string(std::string_view text, std::size_t pos)
{
    const char stops[] = {text[pos], '\\', '\n'};
    pos++;
    for (;;) {
        pos = text.find_first_of(std::string_view(stops, sizeof(stops)), pos);
        if (pos == npos || text[pos] == '\n') {
            return npos;
        }
        if (text[pos] != '\\') {
            return pos + 1;
        }
        const std::size_t escaped = pos + 1;
        if (escaped >= text.size()) {
            return npos;
        }
        pos = escaped + 1;
        if (text[escaped] == 'z') {
            pos = text.find_first_not_of(" \t\r\n\v\f", pos);
        } else if (text[escaped] == '\r' && text.substr(pos).starts_with('\n')) {
            pos++;
        }
    }
}

/// Returns the place behind the comment that begins at `pos`, or npos.
std::size_t behind_comment(std::string_view text, std::size_t pos)
{
    const std::size_t level = long_bracket(text, pos + 2);
    return level == npos ? text.find('\n', pos) : behind_long_bracket(text, pos + 2, level);
}

/// Returns the place behind the string, long bracket or comment at `pos`; `pos` if it is none of
/// them; npos if it has no end.
std::size_t behind_token(std::string_view text, std::size_t pos)
{
    switch (text[pos]) {
    case '-':
        return text.substr(pos).starts_with("--") ? behind_comment(text, pos) : pos;
    case '[': {
        const std::size_t level = long_bracket(text, pos);
        return level == npos ? pos : behind_long_bracket(text, pos, level);
    }
    default:
        return behind_string(text, pos);
    }
}

bool is_of_lua_name(char ch)
{
    return std::isalnum(static_cast<unsigned char>(ch)) != 0 || ch == '_';
}

/// Returns the token that begins with this character, which begins no string or comment.
LuaToken plain_token(std::string_view rest)
{
    const char first = rest[0];
    if (first == '.') {
        return {LuaKind::other, rest.substr(0, rest.find_first_not_of('.'))};
    }
    if (!is_of_lua_name(first)) {
        return {LuaKind::other, rest.substr(0, 1)};
    }
    const auto length =
        static_cast<std::size_t>(std::ranges::find_if_not(rest, is_of_lua_name) - rest.begin());
    const bool is_number = std::isdigit(static_cast<unsigned char>(first)) != 0;
    return {is_number ? LuaKind::other : LuaKind::name, rest.substr(0, length)};
}

/// Returns the string that begins at `pos` and whose end, with quotes or brackets, is `behind`.
LuaToken string_token(std::string_view text, std::size_t pos, std::size_t behind)
{
    const std::size_t marks = text[pos] == '[' ? long_bracket(text, pos) + 2 : 1;
    return {LuaKind::string, text.substr(pos + marks, behind - pos - 2 * marks)};
}

}  // namespace

std::vector<LuaToken> lua_tokens(std::string_view code)
{
    constexpr std::string_view blanks = " \t\r\n\v\f";
    std::vector<LuaToken> tokens;
    std::size_t pos = code.find_first_not_of(blanks);
    while (pos < code.size()) {
        const char first = code[pos];
        const bool may_be_long = std::string_view("-['\"").find(first) != npos;
        std::size_t behind = may_be_long ? behind_token(code, pos) : pos;
        if (behind == pos) {
            tokens.push_back(plain_token(code.substr(pos)));
            behind += tokens.back().text.size();
        } else if (behind != npos && first != '-') {
            tokens.push_back(string_token(code, pos, behind));
        } else if (behind == npos && (first == '"' || first == '\'')) {
            behind = code.find('\n', pos);
        }
        pos = code.find_first_not_of(blanks, behind);
    }
    return tokens;
}

std::size_t lua_end(std::string_view text, std::size_t begin, std::size_t& unclosed)
{
    std::size_t depth = 1;
    unclosed = npos;
    for (std::size_t pos = begin;;) {
        pos = text.find_first_of("{}-['\"", pos);
        if (pos == npos) {
            return text.size();
        }
        if (text[pos] == '{') {
            depth++;
        } else if (text[pos] == '}') {
            if (--depth == 0) {
                return pos;
            }
        } else if (const std::size_t behind = behind_token(text, pos); behind == npos) {
            // The code goes on behind a string that its line does not end.
            unclosed = unclosed == npos ? pos : unclosed;
            const bool is_string = text[pos] == '"' || text[pos] == '\'';
            const std::size_t line = is_string ? text.find('\n', pos) : npos;
            if (line == npos) {
                return text.size();
            }
            pos = line;
            continue;
        } else if (behind != pos) {
            pos = behind;
            continue;
        }
        pos++;
    }
}

}  // namespace ngx::conf
