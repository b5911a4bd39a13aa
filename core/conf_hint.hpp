#pragma once

#include <string>
#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// Returns a hint for a directive that is unknown in this block: " (did you mean listen?)" if a
/// similar name is allowed there, " (nginx has it, ngxx has not)" if nginx has it, or an empty
/// text.
///
/// Differs from nginx: nginx's log line of an unknown directive has no hint. It costs the time to
/// compare the name with all known ones, once, as parsing ends there.
std::string conf_hint(const Conf& cf, std::string_view name);

}  // namespace ngx
