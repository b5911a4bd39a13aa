#pragma once

#include <string>

#include "core/core.hpp"

namespace ngx::trace {

/// The name of a handler, as "ngx::event_accept": without the unnamed namespaces and the
/// parameters. It is looked for in the symbol table of the file that has it, the program or a
/// loaded module, and then among the names that the file exports; without a name it is
/// "FILE+0xOFFSET".
const std::string& handler_name(EventHandler handler);

}  // namespace ngx::trace
