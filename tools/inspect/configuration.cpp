#include "tools/inspect/configuration.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "core/module.hpp"
#include "core/string.hpp"
#include "tools/inspect/slots.hpp"
#include "tools/inspect/sockets.hpp"
#include "tools/inspect/values.hpp"

namespace ngx::inspect {

namespace {

/// The name of the text of the option -g among the files.
constexpr std::string_view global_name;

/// The context of the entries of blocks that hold no directives.
constexpr std::string_view free_context = "free";

std::string full_name(std::string_view prefix, std::string_view file)
{
    if (file.starts_with('/') || file == "-") {
        return std::string(file);
    }
    const bool slash = prefix.ends_with('/') || prefix.empty();
    return fmt::format("{}{}{}", prefix, slash ? "" : "/", file);
}

/// Returns the row that is for a directive in this context; if no row is, one that is for its name.
const DirectiveRow* row_of(std::string_view name, std::string_view context, const Program& program)
{
    const DirectiveRow* found = nullptr;
    for (const DirectiveRow& row : find_directive(name)) {
        if (row.allows(context) && program.has(row)) {
            return &row;
        }
        found = &row;
    }
    return found;
}

/// Returns the context of the content of a block.
std::string_view inner_context(const Placed& placed, const Program& program)
{
    if (placed.context.empty() || placed.context == free_context) {
        return placed.context;
    }
    const DirectiveRow* const row = row_of(placed.directive.name(), placed.context, program);
    return row && program.has(*row) && row->is_block() && row->allows(placed.context)
               ? row->opens(placed.context)
               : std::string_view();
}

/// Returns how many directives a walk reads: all of them, and a million that are repeated because
/// their file is included again.
std::size_t limit_of(const conf::Tree& tree)
{
    constexpr std::size_t repeated = 1'000'000;
    std::size_t nodes = 0;
    for (const auto& file : tree.files()) {
        nodes = std::max<std::size_t>(nodes, file->last);
    }
    return nodes + repeated;
}

/// Returns true if a walk through the tree leaves the directive after having entered it.
bool is_left(const conf::Directive& directive)
{
    return directive.is_block() || !directive.children().empty() || !directive.included().empty();
}

/// Returns true if modules of this type have directives in the context.
bool is_block_of(ModuleType type, std::string_view context)
{
    switch (type) {
    case ModuleType::core:
        return context == "main";
    case ModuleType::event:
        return context == "events";
    case ModuleType::stream:
        return context.starts_with("stream");
    case ModuleType::conf:
        return true;
    }
    return false;
}

/// Returns the texts of the rows with separators between them.
template <typename Text>
std::string joined(const std::vector<const DirectiveRow*>& rows, std::string_view separator,
                   Text text_of)
{
    std::string text;
    for (const DirectiveRow* row : rows) {
        text += text.empty() ? "" : separator;
        text += text_of(*row);
    }
    return text;
}

/// Returns the row that is for the context; if no row is, the last one.
const DirectiveRow& row_for(std::span<const DirectiveRow> rows, std::string_view context)
{
    for (const DirectiveRow& row : rows) {
        if (row.allows(context)) {
            return row;
        }
    }
    return rows.back();
}

/// Returns why the program does not have a directive that the table has.
std::string why_unknown(const DirectiveRow& row)
{
    if (row.package != "nginx") {
        return fmt::format("it is a directive of the package {}", row.package);
    }
    if (row.since != "-") {
        return fmt::format("it is a directive of nginx {} and later", row.since);
    }
    return fmt::format("it was a directive of nginx until {}", row.until);
}

bool is_flag(std::string_view value)
{
    return strcaseeq(value, "on") || strcaseeq(value, "off");
}

/// The directives of main and events that nginx accepts once.
bool is_single(std::string_view context, std::string_view name)
{
    constexpr std::array in_main = {"worker_processes",
                                    "worker_rlimit_nofile",
                                    "master_process",
                                    "daemon",
                                    "timer_resolution",
                                    "events",
                                    "http",
                                    "stream",
                                    "mail",
                                    "pid",
                                    "lock_file",
                                    "user",
                                    "worker_priority",
                                    "worker_cpu_affinity",
                                    "debug_points",
                                    "worker_shutdown_timeout",
                                    "pcre_jit",
                                    "worker_rlimit_core",
                                    "working_directory"};
    return (context == "main" && std::ranges::find(in_main, name) != in_main.end()) ||
           (context == "events" && name != "debug_connection" && name != "include");
}

}  // namespace

std::string Problem::message() const
{
    return fmt::format("{}: {}{}{}", place.text(), text, hint.empty() ? "" : "; ", hint);
}

Place place_of(const conf::Directive& directive)
{
    const conf::Place place = directive.place();
    return {std::string(place.file), place.line, place.column};
}

Configuration::Configuration(const Source& source, const Program& program)
    : program_(program)
    , prefix_(source.prefix)
{
    const conf::Options options{};
    if (!source.conf_param.empty()) {
        global_.read_text(global_name, source.conf_param, {.follow_includes = false});
    }
    was_read_ = tree_.read(full_name(source.prefix, source.conf_file), options);
    add_errors(global_);
    add_errors(tree_);
    check();
}

void Configuration::add_errors(const conf::Tree& tree)
{
    for (const conf::Error& error : tree.errors()) {
        const conf::Place place = tree.place(error);
        problems_.push_back(
            {{std::string(place.file), place.line, place.column}, error.text, error.hint});
    }
}

bool Configuration::walk(const Enter& enter, const Leave& leave, Entries entries) const
{
    const bool whole = walk_tree(global_, enter, leave, entries);
    return walk_tree(tree_, enter, leave, entries) && whole;
}

bool Configuration::walk_tree(const conf::Tree& tree, const Enter& enter, const Leave& leave,
                              Entries entries) const
{
    std::vector<std::string_view> contexts = {"main"};
    return tree.walk(
        [&](const conf::Directive& directive) {
            const bool is_left_out =
                entries == Entries::left_out && contexts.back() == free_context;
            if (directive.is_comment() || is_left_out) {
                return false;
            }
            const Placed placed{directive, contexts.back()};
            enter(placed);
            if (is_left(directive)) {
                contexts.push_back(directive.is_block() ? inner_context(placed, program_)
                                                        : contexts.back());
            }
            return true;
        },
        [&](const conf::Directive& directive) {
            contexts.pop_back();
            if (leave && directive.is_block()) {
                leave({directive, contexts.back()});
            }
        },
        limit_of(tree));
}

void Configuration::check()
{
    std::vector<std::vector<std::string>> seen(1);
    bool has_events = false;
    const bool whole = walk(
        [&](const Placed& placed) {
            has_events |= placed.context == "main" && placed.directive.is("events");
            check_one(placed);
            if (placed.directive.is("server")) {
                listens_.next_server();
            }
            check_repeated(placed, seen.back());
            if (placed.directive.is_block()) {
                seen.emplace_back();
            }
        },
        [&](const Placed&) { seen.pop_back(); });
    if (!whole) {
        add_whole(fmt::format("the includes make more than {} directives", limit_of(tree_)),
                  "the directives behind them are not read");
    }
    // nginx stops at its first error: the missing section is one if there is no other.
    if (problems_.empty() && was_read_ && !has_events) {
        add_whole("no \"events\" section in configuration", "add \"events { }\"");
    }
}

/// Adds a problem of the whole configuration.
void Configuration::add_whole(std::string text, std::string hint)
{
    Problem& problem = problems_.emplace_back();
    problem.place.file = tree_.files().front()->name;
    problem.text = std::move(text);
    problem.hint = std::move(hint);
}

void Configuration::add(const Placed& placed, std::string text, std::string hint)
{
    // A file that is included several times has its problems once.
    const bool is_new = refused_.emplace(&placed.directive.file(), placed.directive.node()).second;
    if (is_new && problems_.size() < conf::max_errors) {
        problems_.push_back({place_of(placed.directive), std::move(text), std::move(hint)});
    }
}

const DirectiveRow* Configuration::row(const Placed& placed) const
{
    const bool block = placed.directive.kind() != conf::Kind::simple;
    const std::size_t words = placed.directive.size();
    const std::size_t n = words - std::min<std::size_t>(words, 1);
    const DirectiveRow* best = nullptr;
    int most = 0;
    for (const DirectiveRow& row : find_directive(placed.directive.name())) {
        if (!row.allows(placed.context)) {
            continue;
        }
        const int points = 1 + (program_.has(row) ? 8 : 0) + (row.is_block() == block ? 4 : 0) +
                           (block || row.takes(n) ? 2 : 0) + (row.package == "nginx" ? 1 : 0);
        if (points > most) {
            most = points;
            best = &row;
        }
    }
    return best;
}

std::string_view Configuration::content(const Placed& placed) const
{
    return inner_context(placed, program_);
}

bool Configuration::refuses(const conf::Directive& directive) const
{
    return refused_.contains({&directive.file(), directive.node()});
}

void Configuration::check_repeated(const Placed& placed, std::vector<std::string>& seen)
{
    std::string name = placed.directive.name();
    if (!is_single(placed.context, name)) {
        return;
    }
    if (std::ranges::find(seen, name) == seen.end()) {
        seen.push_back(std::move(name));
    } else if (problems_.size() < conf::max_errors) {
        // The directive is not refused itself: the same one counts where it was the first.
        problems_.push_back({place_of(placed.directive), "\"" + name + "\" directive is duplicate",
                             "the first one is used"});
    }
}

std::string_view ngxx_module_of(const Placed& placed)
{
    const std::string name = placed.directive.name();
    for (Module* const* module = modules; *module; module++) {
        const auto& commands = (*module)->commands;
        if (is_block_of((*module)->type, placed.context) &&
            std::ranges::find(commands, name, &Command::name) != commands.end()) {
            return (*module)->name;
        }
    }
    return {};
}

/// The checks and their order are those of ngx_conf_handler() of nginx.
void Configuration::check_one(const Placed& placed)
{
    const conf::Directive& directive = placed.directive;
    if (placed.context.empty() || directive.kind() == conf::Kind::broken) {
        return;
    }
    const std::string name = directive.name();
    const bool is_include = name == "include" && directive.file().name != global_name;
    if (is_include || directive.size() == 0) {
        return;  // errors of the tree
    }
    const std::span<const DirectiveRow> rows = find_directive(name);
    std::vector<const DirectiveRow*> possible;
    for (const DirectiveRow& row : rows) {
        if (program_.has(row)) {
            possible.push_back(&row);
        }
    }
    if (possible.empty()) {
        if (program_.is_stated() || ngxx_module_of(placed).empty()) {
            add(placed, "unknown directive \"" + name + "\"",
                rows.empty() ? "" : why_unknown(row_for(rows, placed.context)));
        }
        return;
    }

    std::vector<const DirectiveRow*> here;
    std::ranges::copy_if(possible, std::back_inserter(here),
                         [&](const DirectiveRow* row) { return row->allows(placed.context); });
    if (here.empty() && !program_.is_stated() && !ngxx_module_of(placed).empty()) {
        return;
    }
    if (here.empty()) {
        const DirectiveRow& row = row_for(rows, placed.context);
        add(placed, "\"" + name + "\" directive is not allowed here",
            row.allows(placed.context)
                ? why_unknown(row)
                : "it belongs in " +
                      joined(possible, ",", [](const DirectiveRow& r) { return r.contexts; }));
        return;
    }

    const bool block = directive.kind() != conf::Kind::simple;
    std::erase_if(here, [&](const DirectiveRow* row) { return row->is_block() != block; });
    if (here.empty()) {
        add(placed, block ? "directive \"" + name + "\" is not terminated by \";\""
                          : "directive \"" + name + "\" has no opening \"{\"");
        return;
    }

    const std::size_t n = directive.size() - 1 - (directive.kind() == conf::Kind::text ? 1 : 0);
    if (std::ranges::none_of(here, [n](const DirectiveRow* row) { return row->takes(n); })) {
        add(placed, "invalid number of arguments in \"" + name + "\" directive",
            "it takes " +
                joined(here, " or ", [](const DirectiveRow& row) { return row.arguments_text(); }));
        return;
    }
    const bool flag =
        std::ranges::all_of(here, [](const auto* row) { return row->arguments == "flag"; });
    if (n == 1 && flag && !is_flag(directive.word(1).value())) {
        add(placed,
            fmt::format("invalid value \"{}\" in \"{}\" directive, it must be \"on\" or \"off\"",
                        directive.word(1).value(), name));
    } else {
        check_values(placed, here);
    }
}

void Configuration::check_values(const Placed& placed,
                                 std::span<const DirectiveRow* const> possible)
{
    const std::vector<std::string> args = placed.directive.args();
    if (auto wrong_everywhere = wrong_slots(possible, args)) {
        add(placed, std::move(*wrong_everywhere));
    } else if (auto wrong = wrong_value(placed.directive.name(), args)) {
        add(placed, std::move(*wrong));
    } else if (auto bad_address = wrong_listen(placed)) {
        add(placed, std::move(*bad_address));
    } else {
        check_listen(placed);
    }
}

void Configuration::check_listen(const Placed& placed)
{
    const std::optional<Listen> listen = listen_of(placed);
    if (!listen) {
        return;
    }
    std::optional<WrongListen> wrong = wrong_parameters(*listen, program_);
    if (!wrong) {
        wrong = listens_.add(*listen, program_);
    }
    if (wrong) {
        add(placed, std::move(wrong->text), std::move(wrong->hint));
    }
}

}  // namespace ngx::inspect
