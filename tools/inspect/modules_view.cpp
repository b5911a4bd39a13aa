#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "core/module.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "tools/inspect/provision.hpp"
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

Json ngxx_modules(const Cycle& cycle)
{
    Json list = Json::array();
    for (const Module* module : modules_of(cycle)) {
        const bool counted = module->ctx_index != module_unset_index;
        list.push_back({{"index", module->index},
                        {"ctx_index", counted ? Json(module->ctx_index) : Json()},
                        {"name", module->name},
                        {"type", type_name(module->type)},
                        {"hooks", hooks(*module)},
                        {"directives", directives(*module)}});
    }
    return list;
}

/// A directive of a configuration, and how often it has it.
struct Used {
    std::size_t count = 0;
    Place place{};  // of the first one
    bool ngxx = false;
};

/// A module of which a configuration has directives.
struct UsedModule {
    const DirectiveRow* row = nullptr;  // null for a module of ngxx alone
    bool has = true;                    // the program does
    bool ngxx = false;
    std::map<std::string, Used> directives{};
};

/// A line of `load_module`.
struct Loaded {
    std::string file{};
    Place place{};
    std::vector<std::string> modules{};  // those of which directives are used
};

bool ngxx_has_module(std::string_view name)
{
    for (Module* const* module = modules; *module; module++) {
        if ((*module)->name == name) {
            return true;
        }
    }
    return false;
}

/// Collects the modules of which a configuration has directives.
class UsedModules {
public:
    explicit UsedModules(const Configuration& configuration) : configuration_(configuration)
    {
        configuration.walk([this](const Placed& placed) { add(placed); });
        for (auto& [name, module] : modules) {
            for (Loaded& loaded : files) {
                if (module.row && file_gives(loaded.file, *module.row)) {
                    loaded.modules.push_back(name);
                }
            }
        }
    }

    std::map<std::string, UsedModule> modules{};
    std::map<std::string, Used> unknown{};
    std::vector<Loaded> files{};

private:
    static void count(Used& used, const conf::Directive& directive, bool ngxx)
    {
        used.place = used.count == 0 ? place_of(directive) : used.place;
        used.count++;
        used.ngxx = ngxx;
    }

    void add(const Placed& placed)
    {
        const conf::Directive& directive = placed.directive;
        if (directive.size() == 0) {
            return;
        }
        const std::string name = directive.name();
        const DirectiveRow* const row = configuration_.row(placed);
        const std::string_view own = ngxx_module_of(placed);
        if (!row && own.empty()) {
            count(unknown[name], directive, false);
            return;
        }
        UsedModule& module = modules[std::string(row ? row->module : own)];
        module.row = row && (!module.row || !module.has) ? row : module.row;
        module.has = !module.row || configuration_.program().has(*module.row);
        module.ngxx = ngxx_has_module(row ? row->module : own);
        count(module.directives[name], directive, !own.empty());
        if (placed.context == "main" && name == "load_module" && directive.size() > 1) {
            files.push_back({directive.word(1).value(), place_of(directive), {}});
        }
    }

    const Configuration& configuration_;
};

Json used_json(const std::map<std::string, Used>& directives)
{
    Json list = Json::array();
    for (const auto& [name, used] : directives) {
        list.push_back({{"name", name},
                        {"count", used.count},
                        {"ngxx", used.ngxx},
                        {"place", place_json(used.place)}});
    }
    return list;
}

/// Returns how the module comes into the program, in words.
std::string provision(const UsedModule& module, const Loaded* loaded, const Program& program)
{
    if (!module.row) {
        return "of ngxx alone";
    }
    const DirectiveRow& row = *module.row;
    if (!module.has) {
        return fmt::format("{} has no such directives; they are of the package {}", program.name(),
                           row.package);
    }
    if (loaded) {
        return "by load_module " + loaded->file;
    }
    const std::string_view option = build_option(row);
    if (!is_server_package(row.package)) {
        return fmt::format("of the package {}: built in with --add-module, or its load_module is "
                           "missing",
                           row.package);
    }
    if (option.empty()) {
        return row.package == "nginx" ? "built in" : fmt::format("of {}", row.package);
    }
    return fmt::format("built in with {}, or its load_module is missing", option);
}

Json module_json(const std::string& name, const UsedModule& module, const UsedModules& all,
                 const Program& program)
{
    const auto loaded = std::ranges::find_if(all.files, [&name](const Loaded& file) {
        return std::ranges::find(file.modules, name) != file.modules.end();
    });
    const bool is_loaded = loaded != all.files.end();
    return {{"name", name},
            {"package", module.row ? module.row->package : "ngxx"},
            {"option", module.row ? build_option(*module.row) : ""},
            {"in_program", module.row && module.has},
            {"ngxx", module.ngxx},
            {"loaded_by", is_loaded ? place_json(loaded->place) : Json()},
            {"how", provision(module, is_loaded ? &*loaded : nullptr, program)},
            {"directives", used_json(module.directives)}};
}

void add_program(Json& view, const Configuration& configuration)
{
    const UsedModules used(configuration);
    view["program"] = configuration.program().name();
    view["modules"] = Json::array();
    for (const auto& [name, module] : used.modules) {
        view["modules"].push_back(module_json(name, module, used, configuration.program()));
    }
    view["load_module"] = Json::array();
    for (const Loaded& loaded : used.files) {
        view["load_module"].push_back({{"file", loaded.file},
                                       {"place", place_json(loaded.place)},
                                       {"modules", loaded.modules}});
    }
    view["unknown"] = used_json(used.unknown);
}

std::string used_text(const Json& directives)
{
    std::string text;
    for (const Json& directive : directives) {
        const auto n = directive["count"].get<std::size_t>();
        text +=
            fmt::format("{}{}{}", text.empty() ? "" : ", ", directive["name"].get<std::string>(),
                        n > 1 ? fmt::format(" x {}", n) : "");
    }
    return text;
}

std::string program_modules_text(const Json& view)
{
    std::string text = view["program"].get<std::string>() + "\n";
    for (const Json& module : view["modules"]) {
        text += fmt::format("  {}: {}{}\n      {}\n", module["name"].get<std::string>(),
                            module["how"].get<std::string>(),
                            module["ngxx"].get<bool>() ? "; ngxx has it" : "",
                            used_text(module["directives"]));
    }
    for (const Json& loaded : view["load_module"]) {
        text +=
            loaded["modules"].empty()
                ? fmt::format("  load_module {}: the table knows no directive of it here  [{}]\n",
                              loaded["file"].get<std::string>(), place_from(loaded["place"]).text())
                : "";
    }
    if (!view["unknown"].empty()) {
        text += fmt::format("  of no module of the table: {}\n", used_text(view["unknown"]));
    }
    return text;
}

std::string ngxx_modules_text(const Json& view)
{
    std::string text = "index  ctx  type    module\n";
    for (const auto& module : view["ngxx_modules"]) {
        const auto& ctx = module["ctx_index"];
        text += fmt::format("{:>5}  {:>3}  {:<6}  {}\n", module["index"].get<std::size_t>(),
                            ctx.is_null() ? "-" : std::to_string(ctx.get<std::size_t>()),
                            module["type"].get<std::string>(), module["name"].get<std::string>());
        if (!module["hooks"].empty()) {
            text += fmt::format("                     hooks: {}\n", words_text(module["hooks"]));
        }
        for (const auto& directive : module["directives"]) {
            text += fmt::format(
                "                     {}{} [{}], in {}\n", directive["name"].get<std::string>(),
                directive["block"].get<bool>() ? " { }" : "",
                directive["arguments"].get<std::string>(), words_text(directive["contexts"]));
        }
    }
    return text;
}

}  // namespace

Json modules_view(const Configuration* configuration, const Reading* reading)
{
    Json view = {{"view", "modules"}};
    if (configuration) {
        add_program(view, *configuration);
    }
    if (reading) {
        view["ngxx_modules"] = ngxx_modules(reading->cycle());
    }
    return view;
}

std::string modules_text(const Json& view)
{
    return parts_text(view, view.contains("modules") ? program_modules_text(view) : "",
                      view.contains("ngxx_modules") ? ngxx_modules_text(view) : "");
}

}  // namespace ngx::inspect
