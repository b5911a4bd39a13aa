#include <fmt/format.h>

#include "core/module.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

std::string_view type_name(ModuleType type)
{
    switch (type) {
    case ModuleType::core:
        return "core";
    case ModuleType::conf:
        return "conf";
    case ModuleType::event:
        return "event";
    case ModuleType::stream:
        return "stream";
    }
    return "unknown";
}

/// Names the contexts of a directive. The bits above main_conf have a different meaning for each
/// type of module.
Json contexts(const Module& module, std::uint32_t type)
{
    if ((type & any_conf) == any_conf) {
        return {"any"};
    }
    Json names = Json::array();
    if ((type & main_conf) != 0) {
        names.push_back("main");
    }
    if (module.type == ModuleType::event && (type & event_conf) != 0) {
        names.push_back("events");
    }
    if (module.type == ModuleType::stream) {
        constexpr std::pair<std::uint32_t, const char*> levels[] = {
            {0x02000000, "stream"}, {0x04000000, "server"}, {0x08000000, "upstream"}};
        for (const auto& [bit, name] : levels) {
            if ((type & bit) != 0) {
                names.push_back(name);
            }
        }
    }
    return names;
}

/// Returns the number of arguments as text: "1", "1 or 2", "on|off", "1 or more".
std::string arity(std::uint32_t type)
{
    if ((type & conf_flag) != 0) {
        return "on|off";
    }
    if ((type & conf_any) != 0) {
        return "any number";
    }
    if ((type & conf_1more) != 0) {
        return "1 or more";
    }
    if ((type & conf_2more) != 0) {
        return "2 or more";
    }
    std::string text;
    for (unsigned n = 0; n < conf_max_args; n++) {
        if ((type & (conf_noargs << n)) != 0) {
            text += fmt::format("{}{}", text.empty() ? "" : " or ", n);
        }
    }
    return text;
}

Json directives(const Module& module)
{
    Json list = Json::array();
    for (const Command& command : module.commands) {
        list.push_back({{"name", command.name},
                        {"contexts", contexts(module, command.type)},
                        {"arguments", arity(command.type)},
                        {"block", (command.type & conf_block) != 0}});
    }
    return list;
}

Json hooks(const Module& module)
{
    const std::pair<const char*, bool> all[] = {
        {"init_master", module.init_master != nullptr},
        {"init_module", module.init_module != nullptr},
        {"init_process", module.init_process != nullptr},
        {"init_thread", module.init_thread != nullptr},
        {"exit_thread", module.exit_thread != nullptr},
        {"exit_process", module.exit_process != nullptr},
        {"exit_master", module.exit_master != nullptr},
    };
    Json names = Json::array();
    for (const auto& [name, present] : all) {
        if (present) {
            names.push_back(name);
        }
    }
    return names;
}

std::string join(const Json& list, const char* separator)
{
    std::string text;
    for (const auto& item : list) {
        text += (text.empty() ? "" : separator) + item.get<std::string>();
    }
    return text;
}

}  // namespace

Json modules_view(const Reading& reading)
{
    Json list = Json::array();
    for (const Module* module : modules_of(reading.cycle())) {
        const bool counted = module->ctx_index != module_unset_index;
        list.push_back({{"index", module->index},
                        {"ctx_index", counted ? Json(module->ctx_index) : Json()},
                        {"name", module->name},
                        {"type", type_name(module->type)},
                        {"hooks", hooks(*module)},
                        {"directives", directives(*module)}});
    }
    return {{"view", "modules"}, {"modules", list}};
}

std::string modules_text(const Json& view)
{
    std::string text = "index  ctx  type    module\n";
    for (const auto& module : view["modules"]) {
        const auto& ctx = module["ctx_index"];
        text += fmt::format("{:>5}  {:>3}  {:<6}  {}\n", module["index"].get<std::size_t>(),
                            ctx.is_null() ? "-" : std::to_string(ctx.get<std::size_t>()),
                            module["type"].get<std::string>(), module["name"].get<std::string>());
        if (!module["hooks"].empty()) {
            text += fmt::format("                     hooks: {}\n", join(module["hooks"], ", "));
        }
        for (const auto& directive : module["directives"]) {
            text += fmt::format(
                "                     {}{} [{}], in {}\n", directive["name"].get<std::string>(),
                directive["block"].get<bool>() ? " { }" : "",
                directive["arguments"].get<std::string>(), join(directive["contexts"], ", "));
        }
    }
    return text;
}

}  // namespace ngx::inspect
