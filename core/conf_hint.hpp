#pragma once

#include <string>
#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// What helps with a directive that is unknown where the parser is: " (did you mean listen?)" if
/// one of nearly that name may stand there, " (nginx has it, ngxx has not)" if it is one of
/// nginx's, or nothing.
///
/// Differs from nginx: the log line of an unknown directive ends before it. It costs the time to
/// compare the name with all that are known, once, as the reading ends there.
std::string conf_hint(const Conf& cf, std::string_view name);

}  // namespace ngx
