#include "tools/inspect/used_variables.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>

#include "tools/conf/lua.hpp"

namespace ngx::inspect {

namespace {

/// A row of docs/nginx-config-variables.tsv.
struct VariableRow {
    std::string_view name;  // with "*" for a family
    std::string_view block;
    std::string_view module;
    std::string_view package;
};

#include "nginx_variables.inc"

/// The directives that define a variable, and the argument that names it, from 0.
struct Definer {
    std::string_view directive;
    std::size_t argument;
};

constexpr std::size_t last_argument = 99;
constexpr std::size_t all_arguments = 98;

constexpr std::array definers = {
    Definer{"auth_request_set", 0},
    Definer{"eval", all_arguments},
    Definer{"geo", last_argument},
    Definer{"ingress_gateway_metadata", 1},
    Definer{"js_set", 0},
    Definer{"js_var", 0},
    Definer{"lua_add_variable", 0},
    Definer{"map", 1},
    Definer{"perl_set", 0},
    Definer{"set", 0},
    Definer{"set_by_lua", 0},
    Definer{"set_by_lua_block", 0},
    Definer{"set_by_lua_file", 0},
    Definer{"split_clients", 1},
    Definer{"time_format", 0},
    Definer{"user_agent", 0},
    Definer{"vhost_traffic_status_set_by_filter", 0},
};

bool is_of_name(char ch)
{
    return std::isalnum(static_cast<unsigned char>(ch)) != 0 || ch == '_';
}

/// Returns a name as nginx compares it.
std::string lower(std::string_view name)
{
    std::string text(name);
    std::ranges::transform(text, text.begin(),
                           [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
    return text;
}

bool is_letter(char ch)
{
    return std::isalpha(static_cast<unsigned char>(ch)) != 0;
}

/// Returns the names behind "$" in a text. Numbered captures are not among them. Without braces a
/// name has only characters that `is_plain` accepts.
std::vector<std::string> names_in(std::string_view text, bool (*is_plain)(char) = is_of_name)
{
    std::vector<std::string> names;
    for (std::size_t i = text.find('$'); i != text.npos; i = text.find('$', i + 1)) {
        const bool braces = text.substr(i + 1).starts_with('{');
        const std::string_view rest = text.substr(i + (braces ? 2 : 1));
        const auto length = static_cast<std::size_t>(
            std::ranges::find_if_not(rest, braces ? is_of_name : is_plain) - rest.begin());
        const bool closed = !braces || rest.substr(length).starts_with('}');
        if (length > 0 && closed && std::isdigit(static_cast<unsigned char>(rest[0])) == 0) {
            names.push_back(lower(rest.substr(0, length)));
        }
    }
    return names;
}

/// Returns the names of variables in Lua code: `ngx.var.NAME` and `ngx.var["NAME"]`.
std::vector<std::string> names_in_lua(std::string_view code)
{
    using conf::LuaKind;
    const std::vector<conf::LuaToken> tokens = conf::lua_tokens(code);
    const auto is = [&tokens](std::size_t i, std::string_view text) {
        return i < tokens.size() && tokens[i].is(text);
    };
    std::vector<std::string> names;
    for (std::size_t i = 0; i + 4 < tokens.size(); i++) {
        const bool is_field = i > 0 && (is(i - 1, ".") || is(i - 1, ":"));
        if (is_field || !is(i, "ngx") || !is(i + 1, ".") || !is(i + 2, "var")) {
            continue;
        }
        const conf::LuaToken& token = tokens[i + 4];
        const bool by_name = is(i + 3, ".") && token.kind == LuaKind::name;
        const bool by_index = is(i + 3, "[") && token.kind == LuaKind::string && is(i + 5, "]");
        if (by_name || (by_index && std::ranges::all_of(token.text, is_of_name))) {
            names.push_back(lower(token.text));
        }
    }
    return names;
}

/// Returns the number of the argument that is Lua code in a string, from 0.
std::size_t lua_argument(std::string_view name)
{
    return name.ends_with("_by_lua") ? name == "set_by_lua" : last_argument;
}

/// Returns the names of the named groups in a regular expression.
std::vector<std::string> captures_in(std::string_view regex)
{
    std::vector<std::string> names;
    for (const std::string_view opening : {"(?<", "(?P<", "(?'"}) {
        const char closing = opening.back() == '<' ? '>' : '\'';
        for (std::size_t i = regex.find(opening); i != regex.npos; i = regex.find(opening, i + 1)) {
            const std::string_view rest = regex.substr(i + opening.size());
            const auto length =
                static_cast<std::size_t>(std::ranges::find_if_not(rest, is_of_name) - rest.begin());
            if (length > 0 && rest.substr(length).starts_with(closing)) {
                names.push_back(lower(rest.substr(0, length)));
            }
        }
    }
    return names;
}

bool is_match(std::string_view word)
{
    return word == "~" || word == "~*" || word == "!~" || word == "!~*";
}

/// Returns true if an argument is a regular expression. `i` counts from 0.
bool is_regex(const std::string& name, const std::vector<std::string>& args, std::size_t i)
{
    const bool follows = i > 0 && is_match(args[i - 1]);
    if (name == "location" || name == "if") {
        return follows;
    }
    if (name == "rewrite" || name == "fastcgi_split_path_info") {
        return i == 0;
    }
    constexpr std::array by_tilde = {"server_name",         "valid_referers",    "proxy_redirect",
                                     "proxy_cookie_domain", "proxy_cookie_path", "ssl_alpn"};
    return args[i].starts_with('~') && std::ranges::find(by_tilde, name) != by_tilde.end();
}

/// Returns the number of the argument that names a new variable, from 0.
std::size_t argument_of(const Placed& placed, const DirectiveRow* row, std::size_t arguments)
{
    const std::string name = placed.directive.name();
    const auto* const found = std::ranges::find(definers, name, &Definer::directive);
    if (found != definers.end()) {
        return found->argument == last_argument ? arguments - 1 : found->argument;
    }
    constexpr std::array of_sets = {"set-misc", "encrypted-session", "form-input", "iconv"};
    const bool is_set = row && std::ranges::find(of_sets, row->package) != of_sets.end();
    return is_set && name.starts_with("set_") ? 0 : arguments;
}

/// Returns true if "$" in the arguments is for the module alone: Lua's paths have "$prefix".
bool is_without_variables(std::string_view name)
{
    return name == "lua_package_path" || name == "lua_package_cpath";
}

class VariableCollector {
public:
    explicit VariableCollector(const Configuration& configuration) : configuration_(configuration)
    {
        configuration.walk([this](const Placed& placed) { enter(placed); },
                           [this](const Placed&) { blocks_.pop_back(); }, Entries::included);
        for (auto& [key, variable] : all) {
            explain(key.first, key.second, variable);
        }
    }

    std::map<std::pair<std::string, std::string>, UsedVariable> all{};

private:
    void enter(const Placed& placed)
    {
        const conf::Directive& directive = placed.directive;
        if (placed.context == "free") {
            enter_entry(placed);
        } else if (!placed.context.empty() && directive.size() > 0) {
            enter_directive(placed);
        }
        if (directive.is_block()) {
            const bool is_entry = placed.context == "free";
            blocks_.push_back(is_entry ? blocks_.back() : directive.name());
            part_ = is_entry ? part_ : part_of(placed);
        }
    }

    static std::string part_of(const Placed& placed)
    {
        const std::string_view context = placed.context;
        return std::string(context.substr(0, context.find('.')));
    }

    /// An entry of `map` is a value or regular expression and a text, one of `geoip2` a variable.
    void enter_entry(const Placed& placed)
    {
        const conf::Directive& directive = placed.directive;
        const std::string& block = blocks_.back();
        if (block != "map" && block != "split_clients" && block != "geoip2") {
            return;
        }
        const VariablePlace place{block, "", place_of(directive)};
        const std::string name = directive.name();
        if (block == "geoip2") {
            add_all(names_in(name), part_, &UsedVariable::defined, place);
        } else if (name.starts_with('~')) {
            add_all(captures_in(name), part_, &UsedVariable::defined, place);
        }
        for (const std::string& arg : directive.args()) {
            add_all(names_in(arg), part_, &UsedVariable::used, place);
        }
    }

    void enter_directive(const Placed& placed)
    {
        const conf::Directive& directive = placed.directive;
        const DirectiveRow* const row = configuration_.row(placed);
        const std::string module(row ? row->module : ngxx_module_of(placed));
        const VariablePlace place{directive.name(), module, place_of(directive)};
        if (is_without_variables(place.directive)) {
            return;
        }
        const std::vector<std::string> args = directive.args();
        const bool is_text = directive.kind() == conf::Kind::text && !args.empty();
        const std::size_t lua = is_text ? args.size() - 1 : lua_argument(place.directive);
        const std::string part = part_of(placed);
        const std::size_t defined = argument_of(placed, row, args.size());
        // In rtmp, "exec" takes the letters behind "$": $name_low is $name.
        const bool is_exec = part == "rtmp" && place.directive.starts_with("exec");
        for (std::size_t i = 0; i < args.size(); i++) {
            if (i == lua) {
                add_all(names_in_lua(args[i]), part, &UsedVariable::used, place);
            } else if (is_regex(place.directive, args, i)) {
                add_all(captures_in(args[i]), part, &UsedVariable::defined, place);
            } else {
                const bool defines = i == defined || defined == all_arguments;
                add_all(names_in(args[i], is_exec ? is_letter : is_of_name), part,
                        defines ? &UsedVariable::defined : &UsedVariable::used, place);
            }
        }
    }

    void add_all(const std::vector<std::string>& names, const std::string& part,
                 std::vector<VariablePlace> UsedVariable::*list, const VariablePlace& place)
    {
        for (const std::string& name : names) {
            (all[{part, name}].*list).push_back(place);
        }
    }

    static bool is_capture(const VariablePlace& place)
    {
        const auto* const definer =
            std::ranges::find(definers, place.directive, &Definer::directive);
        return place.directive == "server_name" || place.directive == "location" ||
               place.directive == "if" || place.directive == "rewrite" ||
               (definer != definers.end() && place.module.empty());
    }

    void explain(const std::string& part, const std::string& name, UsedVariable& variable) const
    {
        if (!variable.defined.empty()) {
            variable.kind =
                std::ranges::all_of(variable.defined, is_capture) ? "capture" : "directive";
            return;
        }
        variable.kind = "unknown";
        for (const VariableRow& row : variable_rows) {
            const bool is_family = row.name.ends_with('*');
            const std::string_view text = row.name.substr(0, row.name.size() - (is_family ? 1 : 0));
            const bool is_it = is_family ? name.starts_with(text) : name == text;
            const bool has = configuration_.program().has(row.package);
            // A name is better than a family, and a longer family better than a shorter one.
            const bool better = variable.kind == "unknown" || !is_family ||
                                (variable.kind == "family" && text.size() > variable.family.size());
            if (row.block == part && is_it && has && better) {
                variable.kind = is_family ? "family" : "module";
                variable.module = row.module;
                variable.family = is_family ? text : "";
            }
        }
    }

    const Configuration& configuration_;
    std::vector<std::string> blocks_ = {""};
    std::string part_{};
};

}  // namespace

std::map<std::pair<std::string, std::string>, UsedVariable> used_variables(
    const Configuration& configuration)
{
    return VariableCollector(configuration).all;
}

}  // namespace ngx::inspect
