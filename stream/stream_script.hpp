#pragma once

#include <string_view>
#include <vector>

#include "core/core.hpp"
#include "stream/stream_variables.hpp"

namespace ngx {

/// A text with variables in it, taken apart when the configuration is read.
///
/// nginx: ngx_stream_complex_value_t
struct StreamComplexValue {
    /// Either a piece of the text, or a variable.
    struct Part {
        std::string_view literal{};
        const StreamVariableUse* use = nullptr;
    };

    std::vector<Part> parts{};
};

/// Takes apart a text with `$name` and `${name}` in it. Logs what is wrong with it; that a variable
/// is not known is said at the end of the block, since a module may add it later.
///
/// nginx: ngx_stream_compile_complex_value()
Rc stream_compile_complex_value(Conf& cf, std::string_view text, StreamComplexValue& value);

/// The text with its variables' values. It lives as long as the session; a text without variables
/// is not copied.
///
/// nginx: ngx_stream_complex_value()
std::string_view stream_complex_value(StreamSession& s, const StreamComplexValue& value);

}  // namespace ngx
