#pragma once

/// \file
/// The values of the directives that nginx sets with one of its own functions
/// (docs/nginx-values.tsv).

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/inspect/directive_table.hpp"

namespace ngx::inspect {

/// Returns nginx's message about the arguments of a directive if their number is right and a value
/// is wrong for each of the modules that the directive may belong to; nothing if the values are not
/// known.
std::optional<std::string> wrong_slots(std::span<const DirectiveRow* const> rows,
                                       const std::vector<std::string>& args);

}  // namespace ngx::inspect
