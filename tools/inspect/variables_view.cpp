#include <fmt/format.h>

#include "auto_build.hpp"
#include "core/module.hpp"
#include "stream/stream.hpp"
#include "stream/stream_variables.hpp"
#include "tools/inspect/used_variables.hpp"
#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

Json ngxx_variables(const Cycle& cycle)
{
    Json list = Json::array();
    if constexpr (have_stream) {
        const void* const conf = cycle.conf_ctx[stream_module.index];
        if (conf) {
            const auto& ctx = *static_cast<const BlockCtx*>(conf);
            const auto& cmcf = *static_cast<const StreamCoreMainConf*>(
                ctx.conf[stream_main_conf_offset][stream_core_module.ctx_index]);
            for (const StreamVariable* variable : cmcf.variables) {
                list.push_back({{"name", variable->name}, {"prefix", variable->prefix}});
            }
        }
    }
    return list;
}

Json places_json(const std::vector<VariablePlace>& places)
{
    Json list = Json::array();
    for (const VariablePlace& place : places) {
        list.push_back({{"directive", place.directive}, {"place", place_json(place.place)}});
    }
    return list;
}

Json program_variables(const Configuration& configuration)
{
    Json list = Json::array();
    for (const auto& [key, variable] : used_variables(configuration)) {
        list.push_back({{"block", key.first},
                        {"name", key.second},
                        {"kind", variable.kind},
                        {"module", variable.module},
                        {"family", variable.family},
                        {"defined", places_json(variable.defined)},
                        {"used", places_json(variable.used)}});
    }
    return list;
}

std::string places_text(const char* what, const Json& places)
{
    std::string text;
    for (const Json& place : places) {
        text += fmt::format("    {} by {}  [{}]\n", what, place["directive"].get<std::string>(),
                            place_from(place["place"]).text());
    }
    return text;
}

std::string used_variables_text(const Json& view)
{
    std::string text = view["program"].get<std::string>() + "\n";
    for (const Json& variable : view["variables"]) {
        text += fmt::format("  {} ${}: {}\n", variable["block"].get<std::string>(),
                            variable["name"].get<std::string>(), variable_words(variable));
        text += places_text("defined", variable["defined"]) + places_text("used", variable["used"]);
    }
    return view["variables"].empty() ? text + "  no variable is used\n" : text;
}

std::string ngxx_variables_text(const Json& view)
{
    std::string text;
    for (const auto& variable : view["ngxx_variables"]) {
        text += fmt::format("${}{}\n", variable["name"].get<std::string>(),
                            variable["prefix"].get<bool>() ? "NAME" : "");
    }
    return text.empty() ? "no variables: the configuration has no stream block\n" : text;
}

}  // namespace

std::string variable_words(const Json& variable)
{
    const std::string kind = variable["kind"];
    if (kind == "directive") {
        return "the configuration defines it";
    }
    if (kind == "capture") {
        return "a regular expression captures it";
    }
    if (kind == "unknown") {
        return "unknown: neither the configuration nor a module of the table defines it";
    }
    const std::string module = variable["module"];
    return kind == "module"
               ? "of " + module
               : fmt::format("of ${}NAME of {}", variable["family"].get<std::string>(), module);
}

Json variables_view(const Configuration* configuration, const Reading* reading)
{
    Json view = {{"view", "variables"}};
    if (configuration) {
        view["program"] = configuration->program().name();
        view["variables"] = program_variables(*configuration);
    }
    if (reading) {
        view["ngxx_variables"] = ngxx_variables(reading->cycle());
    }
    return view;
}

std::string variables_text(const Json& view)
{
    return parts_text(view, view.contains("variables") ? used_variables_text(view) : "",
                      view.contains("ngxx_variables") ? ngxx_variables_text(view) : "");
}

}  // namespace ngx::inspect
