#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "core/conf_slot.hpp"
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

    [[nodiscard]] bool has_variables() const noexcept
    {
        return std::ranges::any_of(parts, [](const Part& part) { return part.use != nullptr; });
    }
};

/// A size that may depend on the session.
struct StreamComplexSize {
    StreamComplexValue value{};
    std::size_t constant = 0;  // unless the value has variables
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

/// The size, or `fallback` if it is not set. One that variables make and that is none is logged,
/// and counts as not set.
///
/// nginx: ngx_stream_complex_value_size()
std::size_t stream_complex_value_size(StreamSession& s,
                                      const std::optional<StreamComplexSize>& size,
                                      std::size_t fallback);

/// Takes apart the text of a size; without variables it has to be one, or it is declined.
Rc stream_compile_complex_size(Conf& cf, std::string_view text, StreamComplexSize& size);

/// nginx: ngx_stream_set_complex_value_size_slot()
template <auto Member>
const char* stream_set_complex_value_size_slot(Conf& cf, const Command&, void* conf)
{
    std::optional<StreamComplexSize>& size = slot::field<Member>(conf);
    if (size) {
        return "is duplicate";
    }
    const Rc rc = stream_compile_complex_size(cf, cf.args[1], size.emplace());
    return rc == Rc::ok ? conf_ok : rc == Rc::declined ? "invalid value" : conf_error;
}

}  // namespace ngx
