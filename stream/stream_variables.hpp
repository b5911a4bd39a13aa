#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/core.hpp"
#include "stream/stream.hpp"

namespace ngx {

/// A `$name` that directives may use. The handler returns the value, which has to live as long as
/// the session; empty when there is none.
///
/// nginx: ngx_stream_variable_t
struct StreamVariable {
    std::string_view name;
    std::string_view (*get_handler)(StreamSession& s, std::uintptr_t data);
    std::uintptr_t data = 0;
    bool prefix = false;  // of any number of names: `data` points to the whole name
};

/// Makes a variable known; `variable` has to live as long as the cycle. For a module's
/// preconfiguration. Logs the error of a name that is taken.
///
/// nginx: ngx_stream_add_variable()
Rc stream_add_variable(Conf& cf, const StreamVariable& variable);

/// The variable of that name, or the one whose names begin so, or null.
const StreamVariable* stream_find_variable(const StreamCoreMainConf& cmcf,
                                           std::string_view name) noexcept;

/// Takes note that a text has the variable in it.
///
/// nginx: ngx_stream_get_variable_index()
const StreamVariableUse* stream_use_variable(Conf& cf, std::string_view name);

/// The value of a variable in this session.
///
/// nginx: ngx_stream_get_indexed_variable()
inline std::string_view stream_get_indexed_variable(StreamSession& s, const StreamVariableUse& use)
{
    const StreamVariable& v = *use.variable;
    return v.get_handler(s, v.prefix ? reinterpret_cast<std::uintptr_t>(&use.name) : v.data);
}

/// Adds the variables that there always are.
///
/// nginx: ngx_stream_variables_add_core_vars()
Rc stream_variables_add_core_vars(Conf& cf);

/// Once the block is read, finds the variables that were used; refuses one that nobody has added.
///
/// nginx: ngx_stream_variables_init_vars()
Rc stream_variables_init_vars(Conf& cf);

}  // namespace ngx
