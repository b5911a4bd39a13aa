#pragma once

/// \file
/// The views of a configuration. Each is first built as JSON, of which the text is made, so that
/// both say the same.

#include <nlohmann/json.hpp>
#include <string>

#include "tools/inspect/reading.hpp"

namespace ngx::inspect {

using Json = nlohmann::ordered_json;

/// The module table: index, ctx_index, type, hooks, directives.
Json modules_view(const Reading& reading);
std::string modules_text(const Json& view);

/// The picture of conf_ctx: what each slot holds, and the contexts of blocks below.
Json conf_ctx_view(const Reading& reading);
std::string conf_ctx_text(const Json& view);

/// The same for Graphviz.
std::string conf_ctx_dot(const Json& view);

/// The events block: each value and where it was set, the method, the limits.
Json events_view(const Reading& reading);
std::string events_text(const Json& view);

/// The sockets that the server would listen on.
Json listening_view(const Reading& reading);
std::string listening_text(const Json& view);

/// The variables that the stream block knows; none if it is not there.
Json variables_view(const Reading& reading);
std::string variables_text(const Json& view);

/// The parsed files, in crossplane's schema; of a refused configuration what was read of it, with
/// the error.
Json crossplane(const Reading& reading);

}  // namespace ngx::inspect
