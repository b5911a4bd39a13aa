#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>

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

Json conf_ctx(const Cycle& cycle)
{
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
    return slots;
}

/// The structures that nginx makes for a block: one of each module that has directives of the
/// level.
std::vector<std::string_view> levels_of(std::string_view context)
{
    if (context == "http" || context == "stream" || context == "mail") {
        return context == "http" ? std::vector<std::string_view>{"main", "server", "location"}
                                 : std::vector<std::string_view>{"main", "server"};
    }
    if (context == "main" || context == "events") {
        return {context};
    }
    if (context == "http.server" || context == "http.upstream") {
        return {"server", "location"};
    }
    if (context.starts_with("http.")) {
        return {"location"};
    }
    const bool is_server = context.ends_with(".server") || context == "stream.upstream";
    return is_server && !context.starts_with("rtmp") ? std::vector<std::string_view>{"server"}
                                                     : std::vector<std::string_view>{};
}

/// Returns the level of the structure that has the values of a directive: that of its innermost
/// context.
std::string_view level_of(const DirectiveRow& row)
{
    const std::string_view contexts = row.contexts;
    if (contexts == "main" || contexts == "events") {
        return contexts;
    }
    if (contexts.find("location") != contexts.npos || contexts.find("server.if") != contexts.npos) {
        return "location";
    }
    const bool server =
        contexts.find(".server") != contexts.npos || contexts.find("upstream") != contexts.npos;
    return server ? "server" : "main";
}

struct BlockOfFile {
    std::size_t parent = 0;
    std::size_t depth = 0;
    std::string name{};
    std::string context{};
    std::optional<Place> place{};
    std::map<std::string, Json> modules{};  // their directives, by the names
};

/// Collects the blocks of a configuration with the directives in each.
class Blocks {
public:
    explicit Blocks(const Configuration& configuration) : configuration_(configuration)
    {
        all_.push_back({.name = "main", .context = "main"});
        configuration.walk([this](const Placed& placed) { enter(placed); },
                           [this](const Placed&) { open_.pop_back(); });
    }

    [[nodiscard]] Json json() const
    {
        Json list = Json::array();
        for (std::size_t i = 0; i < all_.size(); i++) {
            const BlockOfFile& block = all_[i];
            Json modules = Json::array();
            for (const auto& [name, directives] : block.modules) {
                modules.push_back({{"module", name}, {"directives", directives}});
            }
            list.push_back({{"name", block.name},
                            {"parent", i == 0 ? Json() : Json(block.parent)},
                            {"depth", block.depth},
                            {"place", block.place ? place_json(*block.place) : Json()},
                            {"levels", levels_of(block.context)},
                            {"modules", modules},
                            {"without_directives", without_directives(block)}});
        }
        return list;
    }

private:
    static std::string_view part_of(std::string_view context)
    {
        return context.substr(0, context.find('.'));
    }

    /// Returns the modules of the configuration that have a structure in the block, and no
    /// directive.
    [[nodiscard]] Json without_directives(const BlockOfFile& block) const
    {
        Json names = Json::array();
        const auto found = levels_.find(part_of(block.context));
        if (found == levels_.end()) {
            return names;
        }
        const auto levels = levels_of(block.context);
        for (const auto& [module, has] : found->second) {
            const bool is_here = std::ranges::any_of(
                levels, [&has = has](std::string_view level) { return has.contains(level); });
            if (is_here && !block.modules.contains(module)) {
                names.push_back(module);
            }
        }
        return names;
    }

    void enter(const Placed& placed)
    {
        const conf::Directive& directive = placed.directive;
        const std::string_view content =
            directive.is_block() ? configuration_.content(placed) : std::string_view();
        if (directive.is_block() && content != "free") {
            all_.push_back({open_.back(),
                            all_[open_.back()].depth + 1,
                            text_of(directive, 0),
                            std::string(content),
                            place_of(directive),
                            {}});
            open_.push_back(all_.size() - 1);
            return;
        }
        if (directive.is_block()) {
            open_.push_back(open_.back());
        }
        if (directive.size() == 0 || directive.is("include")) {
            return;
        }
        const DirectiveRow* const row = configuration_.row(placed);
        const std::string module(row ? row->module : ngxx_module_of(placed));
        add(all_[open_.back()], module.empty() ? "unknown" : module, directive);
        if (row) {
            levels_[std::string(part_of(placed.context))][module].insert(level_of(*row));
        }
    }

    static void add(BlockOfFile& block, const std::string& module, const conf::Directive& directive)
    {
        Json& list = block.modules.try_emplace(module, Json::array()).first->second;
        list.push_back({{"name", directive.name()},
                        {"value", text_of(directive, 1)},
                        {"place", place_json(place_of(directive))}});
    }

    /// Returns the decoded words without the code of another language.
    static std::string text_of(const conf::Directive& directive, std::size_t first)
    {
        const std::size_t last = directive.size() - (directive.kind() == conf::Kind::text ? 1 : 0);
        std::string text;
        for (std::size_t i = first; i < last; i++) {
            text += (text.empty() ? "" : " ") + directive.word(i).value();
        }
        return text;
    }

    const Configuration& configuration_;
    std::vector<BlockOfFile> all_{};
    std::vector<std::size_t> open_ = {0};
    std::map<std::string, std::map<std::string, std::set<std::string_view>>, std::less<>> levels_{};
};

}  // namespace

Json conf_ctx_view(const Configuration* configuration, const Reading* reading)
{
    Json view = {{"view", "conf-ctx"}};
    if (configuration) {
        view["program"] = configuration->program().name();
        view["blocks"] = Blocks(*configuration).json();
    }
    if (reading) {
        view["conf_ctx"] = conf_ctx(reading->cycle());
    }
    return view;
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

std::string block_text(const Json& block)
{
    const std::string indent(2 * block["depth"].get<std::size_t>(), ' ');
    std::string text = indent + block["name"].get<std::string>();
    text += block["levels"].empty() ? "" : fmt::format("  [{}]", words_text(block["levels"]));
    text += "\n";
    for (const Json& module : block["modules"]) {
        text += fmt::format("{}    {}\n", indent, module["module"].get<std::string>());
        for (const Json& directive : module["directives"]) {
            text += fmt::format("{}        {} {}\n", indent, directive["name"].get<std::string>(),
                                directive["value"].get<std::string>());
        }
    }
    if (!block["without_directives"].empty()) {
        text += fmt::format("{}    without a directive: {}\n", indent,
                            words_text(block["without_directives"]));
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

std::string blocks_text(const Json& view)
{
    std::string text = view["program"].get<std::string>() + "\n";
    for (const Json& block : view["blocks"]) {
        text += block_text(block);
    }
    return text;
}

std::string slots_text(const Json& view)
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

/// Draws the blocks, and an arrow to each from the block in which it is.
std::string blocks_dot(const Json& view)
{
    std::string dot = "digraph blocks {\n  rankdir=LR;\n"
                      "  node [shape=box, fontname=\"monospace\"];\n";
    std::size_t n = 0;
    for (const Json& block : view["blocks"]) {
        dot += fmt::format("  b{} [label=\"{}\\l", n, escaped(block["name"].get<std::string>()));
        for (const Json& module : block["modules"]) {
            dot += "  " + escaped(module["module"].get<std::string>()) + "\\l";
        }
        dot += "\"];\n";
        if (!block["parent"].is_null()) {
            dot += fmt::format("  b{} -> b{};\n", block["parent"].get<std::size_t>(), n);
        }
        n++;
    }
    return dot + "}\n";
}

}  // namespace

std::string conf_ctx_text(const Json& view)
{
    return parts_text(view, view.contains("blocks") ? blocks_text(view) : "",
                      view.contains("conf_ctx") ? slots_text(view) : "");
}

std::string conf_ctx_dot(const Json& view)
{
    if (!view.contains("conf_ctx")) {
        return blocks_dot(view);
    }
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
