#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "core/conf_slot.hpp"
#include "core/core.hpp"
#include "stream/stream_variables.hpp"

namespace ngx {

/// A text that may contain variables, parsed when the configuration is read. The cycle owns the
/// literals; the sessions only read them.
///
/// nginx: ngx_stream_complex_value_t
struct StreamComplexValue {
    /// A piece of the text (`use` is null), or a variable.
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

/// A size, in bytes, that may depend on the session.
struct StreamComplexSize {
    StreamComplexValue value{};
    std::size_t constant = 0;  // the size if the value has no variables
};

/// Parses a text with `$name` and `${name}` in it. `text` must live as long as the cycle. Returns
/// error after logging if the syntax is wrong. Unknown variables are reported at the end of the
/// stream block, because a module may add them after their use.
///
/// nginx: ngx_stream_compile_complex_value()
Rc stream_compile_complex_value(Conf& cf, std::string_view text, StreamComplexValue& value);

/// Returns the text with the values of its variables in this session. The result lives as long as
/// the session; a text without variables is not copied.
///
/// nginx: ngx_stream_complex_value()
std::string_view stream_complex_value(StreamSession& s, const StreamComplexValue& value);

/// Returns the size in bytes; `fallback` if `size` is not set, or if its variables do not form a
/// size, which is logged.
///
/// nginx: ngx_stream_complex_value_size()
std::size_t stream_complex_value_size(StreamSession& s,
                                      const std::optional<StreamComplexSize>& size,
                                      std::size_t fallback);

/// Parses the text of a size. Returns declined if the text has no variables and is not a size;
/// error after logging if its syntax is wrong.
Rc stream_compile_complex_size(Conf& cf, std::string_view text, StreamComplexSize& size);

/// The function of a directive with a size that may have variables. `Member` is a
/// std::optional<StreamComplexSize> of the module's configuration.
///
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
