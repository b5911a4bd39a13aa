#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/core.hpp"
#include "stream/stream.hpp"

namespace ngx {

/// A `$name` that directives may use. `get_handler` returns its value in a session, empty if it has
/// none; the value must live as long as the session. It is called on the loop's thread and may
/// throw.
///
/// nginx: ngx_stream_variable_t
struct StreamVariable {
    std::string_view name;
    std::string_view (*get_handler)(StreamSession& s, std::uintptr_t data);
    std::uintptr_t data = 0;

    /// The variable stands for all names that begin with `name`; get_handler gets the address of
    /// the whole name, a std::string_view, as its `data`.
    bool prefix = false;
};

/// Adds a variable; `variable` must live as long as the cycle. To be called by a module's
/// preconfiguration, or by its postconfiguration at the latest. Returns error after logging if the
/// name is taken.
///
/// nginx: ngx_stream_add_variable()
Rc stream_add_variable(Conf& cf, const StreamVariable& variable);

/// Returns the variable with this name, else one with `prefix` that the name begins with, else
/// null.
const StreamVariable* stream_find_variable(const StreamCoreMainConf& cmcf,
                                           std::string_view name) noexcept;

/// Records that a text uses the variable. The result lives as long as the cycle, and its `variable`
/// is set when the stream block has been read.
///
/// nginx: ngx_stream_get_variable_index()
const StreamVariableUse* stream_use_variable(Conf& cf, std::string_view name);

/// Returns the value of a variable in this session. It lives as long as the session.
///
/// nginx: ngx_stream_get_indexed_variable()
inline std::string_view stream_get_indexed_variable(StreamSession& s, const StreamVariableUse& use)
{
    const StreamVariable& v = *use.variable;
    return v.get_handler(s, v.prefix ? reinterpret_cast<std::uintptr_t>(&use.name) : v.data);
}

/// Adds the variables of the core module. Returns error after logging if a name is taken.
///
/// nginx: ngx_stream_variables_add_core_vars()
Rc stream_variables_add_core_vars(Conf& cf);

/// Finds the variables that are used in texts, after the block has been read. Returns error after
/// logging if one is unknown.
///
/// nginx: ngx_stream_variables_init_vars()
Rc stream_variables_init_vars(Conf& cf);

}  // namespace ngx
