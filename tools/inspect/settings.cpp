#include "tools/inspect/settings.hpp"

#include <algorithm>

namespace ngx::inspect {

namespace {

std::string text_of(const conf::Directive& directive)
{
    std::string text;
    for (std::size_t i = 0; i < directive.size(); i++) {
        text += i == 0 ? "" : " ";
        text += directive.word(i).raw();
    }
    return text;
}

Setting setting_of(const conf::Directive& directive, const Configuration& configuration)
{
    return {directive.name(), directive.args(), text_of(directive), place_of(directive),
            configuration.refuses(directive)};
}

/// Returns the number of name servers of `resolver`; a name counts once, and so does a file with
/// them. Angie has "off" and the files.
std::size_t servers_of(const std::vector<std::string>& args, bool is_angie)
{
    if (is_angie && !args.empty() && args.front() == "off") {
        return 0;
    }
    return static_cast<std::size_t>(std::ranges::count_if(args, [=](const std::string& word) {
        return word.find('=') == std::string::npos || (is_angie && word.starts_with("conf="));
    }));
}

/// Returns true if the directive is not one of another block.
bool belongs(const Placed& placed)
{
    const auto rows = find_directive(placed.directive.name());
    return rows.empty() || std::ranges::any_of(rows, [&placed](const DirectiveRow& row) {
               return row.allows(placed.context);
           });
}

}  // namespace

void Logs::add(const std::string& name, const std::string& prefix)
{
    if (name.starts_with("syslog:")) {
        remote++;
    } else if (name != "stderr" && !name.starts_with("memory:") &&
               name.find('$') == std::string::npos) {
        files.insert(name.starts_with('/') ? name : prefix + "/" + name);
    }
}

Settings::Settings(const Configuration& configuration)
    : sockets(sockets_of(configuration))
    , configuration_(configuration)
    , prefix_(configuration.prefix())
{
    configuration.walk([this](const Placed& placed) { add(placed); },
                       [this](const Placed& placed) { leave(placed); });
    if (!main_log_) {
        logs.add("logs/error.log", prefix_);
    }
    if (access_logs_["http"].is_default() || access_logs_["rtmp"].is_default()) {
        logs.add("logs/access.log", prefix_);
    }
}

void Settings::add(const Placed& placed)
{
    const conf::Directive& directive = placed.directive;
    if (directive.is("error_log") || directive.is("access_log")) {
        add_log(placed);
    }
    if (placed.context == "main" && directive.is_block()) {
        if (directive.is("events")) {
            blocks.push_back(place_of(directive));
        } else if (!directive.is("stream")) {
            others.insert(directive.name());
        }
    } else if (placed.context == "main") {
        if (belongs(placed)) {
            main.push_back(setting_of(directive, configuration_));
        }
    } else if (placed.context == "events" && blocks.size() == 1) {
        if (belongs(placed)) {
            events.push_back(setting_of(directive, configuration_));
        }
    } else if (directive.is("server")) {
        access_logs_[placed.context].in_server = false;
    }
    if (directive.is("resolver")) {
        name_servers += servers_of(directive.args(), configuration_.program().has("angie"));
    }
    caches |= placed.context == "http" && directive.name().ends_with("_cache_path");
}

void Settings::add_log(const Placed& placed)
{
    if (placed.directive.size() < 2) {
        return;
    }
    const std::string name = placed.directive.word(1).value();
    const bool is_error_log = placed.directive.is("error_log");
    if (is_error_log || name != "off") {  // error_log can have a file with the name "off"
        logs.add(name, prefix_);
    }
    if (is_error_log) {
        main_log_ |= placed.context == "main";
        if (placed.context == "main" || placed.context.starts_with("stream")) {
            stream_logs.add(name, prefix_);
        }
    } else {
        const std::string_view block = placed.context.substr(0, placed.context.find('.'));
        AccessLogs& found = access_logs_[block];
        found.in_block |= placed.context == block;
        found.in_server |= placed.context.substr(block.size()) == ".server";
    }
}

void Settings::leave(const Placed& placed)
{
    if (placed.directive.is("server")) {
        AccessLogs& found = access_logs_[placed.context];
        found.missing |= !found.in_server;
    }
}

std::vector<const Setting*> Settings::all(std::string_view name) const
{
    std::vector<const Setting*> found;
    for (const auto* list : {&main, &events}) {
        for (const Setting& setting : *list) {
            if (setting.name == name) {
                found.push_back(&setting);
            }
        }
    }
    return found;
}

const std::string* Settings::value(std::string_view name) const
{
    const auto found = all(name);
    return found.empty() || found.front()->refused || found.front()->args.empty()
               ? nullptr
               : &found.front()->args.front();
}

}  // namespace ngx::inspect
