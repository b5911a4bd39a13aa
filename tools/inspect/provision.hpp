#pragma once

/// \file
/// How a module comes into a program: built in, with an option of the build, or by `load_module`.

#include <string_view>

#include "tools/inspect/directive_table.hpp"

namespace ngx::inspect {

/// Returns the options of nginx's build that a module of nginx needs; empty if it is built in
/// without an option.
std::string_view build_option(const DirectiveRow& row);

/// Returns true if a file of `load_module` with this name gives the module of the row.
bool file_gives(std::string_view file, const DirectiveRow& row);

/// Returns true if the package is a server: nginx, angie or tengine.
bool is_server_package(std::string_view package);

}  // namespace ngx::inspect
