#pragma once

/// \file
/// The variables that a configuration uses, and who defines each.

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/inspect/configuration.hpp"

namespace ngx::inspect {

/// A place in a configuration that has a variable, and the directive there.
struct VariablePlace {
    std::string directive{};
    std::string module{};
    Place place{};
};

/// A variable of a configuration. Those of http and of stream are different.
struct UsedVariable {
    std::string kind{};    // "directive", "capture", "module", "family" or "unknown"
    std::string module{};  // of a module or family
    std::string family{};  // the beginning of the names: "arg_"
    std::vector<VariablePlace> defined{};
    std::vector<VariablePlace> used{};
};

/// Returns the variables by block ("http") and name. Regular expressions have no variables, except
/// their named captures.
std::map<std::pair<std::string, std::string>, UsedVariable> used_variables(
    const Configuration& configuration);

}  // namespace ngx::inspect
