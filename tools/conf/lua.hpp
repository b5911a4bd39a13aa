#pragma once

/// \file
/// Lua's lexical rules.

#include <cstddef>
#include <string_view>
#include <vector>

namespace ngx::conf {

/// Returns where the Lua code of a block ends: at its "}", which is not a part of it, or at the end
/// of the text. `begin` is behind the "{". `unclosed` gets the place of a string or long bracket
/// that is not closed, or npos.
///
/// Lua's own rules apply: braces in strings, long brackets and comments do not count.
std::size_t lua_end(std::string_view text, std::size_t begin, std::size_t& unclosed);

enum class LuaKind { name, string, other };

/// A token of Lua code. A string is without its quotes or brackets, its escapes are not decoded. Of
/// the other tokens, dots that follow one another are one.
struct LuaToken {
    LuaKind kind{};
    std::string_view text{};

    [[nodiscard]] bool is(std::string_view other) const
    {
        return kind != LuaKind::string && text == other;
    }
};

/// Returns the tokens of Lua code, without comments. A short string that its line does not end is
/// left out with the rest of the line, and the code behind a bracket that is not closed, too.
std::vector<LuaToken> lua_tokens(std::string_view code);

}  // namespace ngx::conf
