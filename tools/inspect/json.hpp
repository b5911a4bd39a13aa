#pragma once

/// \file
/// The JSON of the views, and of what all views have.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/inspect/configuration.hpp"

namespace ngx::inspect {

using Json = nlohmann::ordered_json;

/// Returns the members "file", "line" and "column".
Json place_json(const Place& place);

/// Returns the place of which an object has the members.
Place place_from(const Json& json);

/// Returns the members of the place, "text" and "hint".
Json problem_json(const Problem& problem);

/// Returns the lines of "ngxx_refuses", if the view has it.
std::string refused_text(const Json& view);

/// Returns the words of a list, with commas between them.
std::string words_text(const Json& list);

/// Returns the text of a view that has a part for the program, the reason why ngxx refuses the
/// configuration, and a part for ngxx. Each may be empty.
std::string parts_text(const Json& view, const std::string& program, const std::string& ngxx);

/// Returns what is wrong with the configuration: the problems of the reading, then those that the
/// view has found, if there is a view.
std::vector<Problem> all_problems(const Configuration& configuration,
                                  const std::optional<Json>& view);

}  // namespace ngx::inspect
