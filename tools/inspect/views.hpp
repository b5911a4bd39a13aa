#pragma once

/// \file
/// The views of a configuration. Each is built as JSON, and its text is made from the JSON, so that
/// both have the same content. All functions are called on the main thread.

#include <optional>
#include <string>

#include "tools/inspect/configuration.hpp"
#include "tools/inspect/json.hpp"
#include "tools/inspect/limits.hpp"
#include "tools/inspect/reading.hpp"

namespace ngx::inspect {

/// Returns the modules to which the directives of a configuration belong, and how each comes into
/// the program; then ngxx's module table: index, ctx_index, type, hooks, directives. This function
/// and the next ones leave out the part for the program or that for ngxx if its pointer is null.
Json modules_view(const Configuration* configuration, const Reading* reading);
std::string modules_text(const Json& view);

/// Returns the blocks of a configuration with the directives and structures of modules in each;
/// then the content of each slot of ngxx's conf_ctx, with the contexts of blocks.
Json conf_ctx_view(const Configuration* configuration, const Reading* reading);
std::string conf_ctx_text(const Json& view);

/// Returns the part for ngxx as the input of Graphviz's dot; without it that for the program.
std::string conf_ctx_dot(const Json& view);

/// Returns each value that concerns events and where it was set, the event method, the limits and
/// the number of clients, for the program and for ngxx. Returns nothing if the configuration has no
/// events block, or the program refuses its worker_connections.
std::optional<Json> events_view(const Configuration& configuration, const Machine& machine);
std::string events_text(const Json& view);

/// Returns the sockets on which the server would listen.
Json listening_view(const Configuration& configuration);
std::string listening_text(const Json& view);

/// Returns what changes in effect from one configuration to another: values, event method, limits
/// and clients, sockets, other directives, and what is wrong.
Json diff_view(const Configuration& from, const Configuration& to, const Machine& machine);
std::string diff_text(const Json& view);

/// Returns a page of HTML, which needs no other file: what is wrong, the answers of events and
/// listening, the tree of includes, and the text of all files with a link from each answer. The
/// parameter `events` is what events_view() returns for the configuration.
std::string html_report(const Configuration& configuration, const std::optional<Json>& events);

/// Returns the variables that a configuration uses, where, and who defines each; then those that
/// the stream block of ngxx can use, an empty list if it is missing.
Json variables_view(const Configuration* configuration, const Reading* reading);
std::string variables_text(const Json& view);

/// Returns who defines a variable of the view, in words.
std::string variable_words(const Json& variable);

/// Returns the parsed files in crossplane's schema. For an invalid configuration, the part that was
/// read, and the error.
Json crossplane(const Reading& reading);

}  // namespace ngx::inspect
