#include <fmt/format.h>

#include "core/module.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

/// Returns the values of a module's configuration, of those directives that have a `show` function.
Json shown(const Module& module, const void* conf)
{
    Json values = Json::object();
    for (const Command& command : module.commands) {
        if (const std::string value = command.show && conf ? command.show(conf) : "";
            !value.empty()) {
            values[std::string(command.name)] = value;
        }
    }
    return values;
}

/// Returns the slots of one level of a block's context, by ctx_index.
Json level(const Cycle& cycle, ModuleType type, void* const* confs)
{
    Json slots = Json::array();
    for (const Module* module : modules_of(cycle)) {
        if (module->type != type) {
            continue;
        }
        const void* const conf = confs[module->ctx_index];
        slots.push_back({{"ctx_index", module->ctx_index},
                         {"module", module->name},
                         {"present", conf != nullptr},
                         {"values", shown(*module, conf)}});
    }
    return slots;
}

/// Returns the levels of a block's context.
Json block(const Cycle& cycle, ModuleType type, const BlockCtx& ctx)
{
    constexpr const char* event_levels[] = {"events", "", ""};
    constexpr const char* stream_levels[] = {"main", "server", ""};
    const auto& names = type == ModuleType::event ? event_levels : stream_levels;

    Json levels = Json::array();
    for (std::size_t i = 0; i < std::size(ctx.conf); i++) {
        if (ctx.conf[i]) {
            levels.push_back({{"level", names[i]}, {"slots", level(cycle, type, ctx.conf[i])}});
        }
    }
    return levels;
}

/// Returns the type of the modules in a core module's block; empty if the module has no block.
std::optional<ModuleType> block_type(const Module& module)
{
    if (&module == &events_module) {
        return ModuleType::event;
    }
    if (module.name == "ngx_stream_module") {
        return ModuleType::stream;
    }
    return std::nullopt;
}

}  // namespace

Json conf_ctx_view(const Reading& reading)
{
    const Cycle& cycle = reading.cycle();
    Json slots = Json::array();
    for (const Module* module : modules_of(cycle)) {
        if (module->type != ModuleType::core) {
            continue;
        }
        const void* const conf = cycle.conf_ctx[module->index];
        Json slot = {
            {"index", module->index}, {"module", module->name}, {"present", conf != nullptr}};
        if (const auto type = block_type(*module)) {
            slot["block"] =
                conf ? block(cycle, *type, *static_cast<const BlockCtx*>(conf)) : Json::array();
        }
        slots.push_back(slot);
    }
    return {{"view", "conf-ctx"}, {"conf_ctx", slots}};
}

namespace {

std::string slot_text(const Json& slot)
{
    std::string text;
    for (const auto& [name, value] : slot["values"].items()) {
        text += fmt::format("{}{} {}", text.empty() ? "" : "; ", name, value.get<std::string>());
    }
    return text;
}

std::string level_text(const Json& level)
{
    std::string text = fmt::format("    {}\n", level["level"].get<std::string>());
    for (const auto& slot : level["slots"]) {
        text += fmt::format("      [{}] {}{}\n", slot["ctx_index"].get<std::size_t>(),
                            slot["module"].get<std::string>(),
                            slot["present"].get<bool>() ? "" : " (null)");
        if (const std::string values = slot_text(slot); !values.empty()) {
            text += fmt::format("            {}\n", values);
        }
    }
    return text;
}

/// Returns a row of a Graphviz table: a slot at which an arrow may start.
std::string row(const std::string& port, const std::string& index, const std::string& name,
                bool present)
{
    return fmt::format("<tr><td>{}</td><td align=\"left\" port=\"{}\">{}{}</td></tr>", index, port,
                       name, present ? "" : " <i>(null)</i>");
}

/// Escapes a text for a Graphviz string.
std::string escaped(const std::string& text)
{
    std::string result;
    for (const char ch : text) {
        result += ch == '"' || ch == '\\' ? std::string("\\") + ch : std::string(1, ch);
    }
    return result;
}

std::string table(const std::string& node, const std::string& title, const std::string& rows)
{
    return fmt::format("  {} [label=<<table border=\"0\" cellborder=\"1\" cellspacing=\"0\">"
                       "<tr><td colspan=\"2\" bgcolor=\"lightgrey\">{}</td></tr>{}</table>>];\n",
                       node, title, rows);
}

/// Draws a level, the arrow to it, and the arrows to its configurations.
std::string level_dot(const std::string& node, const std::string& from, const Json& level)
{
    std::string rows;
    std::string more;
    for (const auto& slot : level["slots"]) {
        const std::string index = std::to_string(slot["ctx_index"].get<std::size_t>());
        const std::string name = slot["module"].get<std::string>();
        rows += row("s" + index, index, name, slot["present"].get<bool>());

        std::string values;
        for (const auto& [directive, value] : slot["values"].items()) {
            values += fmt::format("{} {}\\l", directive, escaped(value.get<std::string>()));
        }
        if (!values.empty()) {
            more += fmt::format("  {0}_{1} [shape=box, label=\"{2}\"];\n  {0}:s{1} -> {0}_{1};\n",
                                node, index, values);
        }
    }
    return table(node, level["level"].get<std::string>() + "[ctx_index]", rows) +
           fmt::format("  {} -> {};\n", from, node) + more;
}

}  // namespace

std::string conf_ctx_text(const Json& view)
{
    std::string text = "cycle.conf_ctx[index]\n";
    for (const auto& slot : view["conf_ctx"]) {
        text += fmt::format("  [{}] {}{}\n", slot["index"].get<std::size_t>(),
                            slot["module"].get<std::string>(),
                            slot["present"].get<bool>() ? "" : " (null)");
        if (slot.contains("block")) {
            for (const auto& level : slot["block"]) {
                text += level_text(level);
            }
        }
    }
    return text;
}

std::string conf_ctx_dot(const Json& view)
{
    std::string rows;
    std::string levels;
    for (const auto& slot : view["conf_ctx"]) {
        const std::string index = std::to_string(slot["index"].get<std::size_t>());
        rows +=
            row("m" + index, index, slot["module"].get<std::string>(), slot["present"].get<bool>());
        if (slot.contains("block")) {
            std::size_t n = 0;
            for (const auto& level : slot["block"]) {
                levels += level_dot(fmt::format("b{}_{}", index, n++), "conf_ctx:m" + index, level);
            }
        }
    }
    return "digraph conf_ctx {\n  rankdir=LR;\n"
           "  node [shape=plaintext, fontname=\"monospace\"];\n" +
           table("conf_ctx", "cycle.conf_ctx[index]", rows) + levels + "}\n";
}

}  // namespace ngx::inspect
