#include <fmt/format.h>

#include "auto_build.hpp"
#include "core/module.hpp"
#include "stream/stream.hpp"
#include "stream/stream_variables.hpp"
#include "tools/inspect/views.hpp"

namespace ngx::inspect {

Json variables_view(const Reading& reading)
{
    Json list = Json::array();
    if constexpr (have_stream) {
        const void* const conf = reading.cycle().conf_ctx[stream_module.index];
        if (conf) {
            const auto& ctx = *static_cast<const BlockCtx*>(conf);
            const auto& cmcf = *static_cast<const StreamCoreMainConf*>(
                ctx.conf[stream_main_conf_offset][stream_core_module.ctx_index]);
            for (const StreamVariable* variable : cmcf.variables) {
                list.push_back({{"name", variable->name}, {"prefix", variable->prefix}});
            }
        }
    }
    return {{"view", "variables"}, {"variables", list}};
}

std::string variables_text(const Json& view)
{
    std::string text;
    for (const auto& variable : view["variables"]) {
        text += fmt::format("${}{}\n", variable["name"].get<std::string>(),
                            variable["prefix"].get<bool>() ? "NAME" : "");
    }
    return text.empty() ? "no variables: the configuration has no stream block\n" : text;
}

}  // namespace ngx::inspect
