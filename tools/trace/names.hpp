#pragma once

#include <string>

#include "core/core.hpp"

namespace ngx::trace {

/// Returns the name of a handler, such as "ngx::event_accept", without unnamed namespaces and
/// parameters. The name comes from the symbol table of the handler's file (the program or a loaded
/// module), or else from the names that the file exports. A handler without a name is
/// "FILE+0xOFFSET". The result stays valid until the process exits.
const std::string& handler_name(EventHandler handler);

}  // namespace ngx::trace
