#include "tools/conf/checks.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <strings.h>
#include <tuple>

#include "tools/inspect/directive_table.hpp"

namespace ngx::conf {

using inspect::DirectiveRow;

/// Why a directive is refused. The text is empty if it is not.
struct Checks::Refusal {
    std::string text{};
    std::string hint{};
    bool is_unterminated = false;
};

namespace {

/// A block that opens a context in which crossplane checks directives.
struct ContextStep {
    std::string_view outer;
    std::string_view block;
    std::string_view inner;
};

constexpr ContextStep context_steps[] = {
    {"main", "events", "events"},
    {"main", "http", "http"},
    {"http", "server", "http.server"},
    {"http", "upstream", "http.upstream"},
    {"http.server", "if", "http.server.if"},
    {"http.location", "if", "http.location.if"},
    {"http.location", "limit_except", "http.limit_except"},
    {"main", "mail", "mail"},
    {"mail", "server", "mail.server"},
    {"main", "stream", "stream"},
    {"stream", "server", "stream.server"},
    {"stream", "upstream", "stream.upstream"},
};

/// Returns the context of the content of a block. A `location` is not in its `server`.
CheckedContext checked_inside(const CheckedContext& outer, std::string_view block)
{
    if (outer.in_http && block == "location") {
        return {"http.location", true};
    }
    for (const ContextStep& step : context_steps) {
        if (step.outer == outer.name && step.block == block) {
            return {step.inner, outer.in_http || step.inner == "http"};
        }
    }
    return {"", outer.in_http};
}

/// Returns whether the row is one of nginx or of its module njs. The names of other modules are not
/// checked: a module that the table does not have may use them, too.
bool is_checked(const DirectiveRow& row)
{
    return row.package == "nginx" || row.package == "njs";
}

std::uint64_t place_key(std::uint32_t file, std::uint32_t offset)
{
    return (std::uint64_t{file} << 32) | offset;
}

/// Returns where the "}" is that is in place of the ";" of a directive, or the end of the file.
std::uint32_t unterminated_end(const Directive& directive)
{
    const std::string_view bytes = directive.file().bytes;
    std::size_t pos = directive.range().end;
    for (;;) {
        pos = bytes.find_first_not_of(" \t\r\n", pos);
        if (pos == bytes.npos || bytes[pos] != '#') {
            return static_cast<std::uint32_t>(std::min(pos, bytes.size()));
        }
        pos = bytes.find('\n', pos);
    }
}

/// Returns whether nginx's reading ends in a directive that has no end.
bool ends_file(const Directive& directive)
{
    return directive.kind() == Kind::broken &&
           unterminated_end(directive) == directive.file().bytes.size();
}

bool is_on_or_off(const std::string& value)
{
    const auto is = [&value](std::string_view text) {
        return value.size() == text.size() &&
               ::strncasecmp(value.data(), text.data(), text.size()) == 0;
    };
    return is("on") || is("off");
}

/// Returns the number of words behind the name that nginx counts.
std::size_t counted_arguments(const Directive& directive, const std::string& name, Escapes escapes)
{
    const std::size_t words =
        name == "if" ? json_words(directive, escapes).size() : directive.size();
    return words - (directive.kind() == Kind::text ? 2 : 1);
}

/// Returns the texts of the rows that differ, with separators between them.
template <typename Text>
std::string joined_rows(const std::vector<const DirectiveRow*>& rows, std::string_view separator,
                        Text text_of)
{
    std::vector<std::string> seen;
    std::string joined;
    for (const DirectiveRow* row : rows) {
        const std::string text(text_of(*row));
        if (std::ranges::find(seen, text) == seen.end()) {
            joined += seen.empty() ? "" : separator;
            joined += text;
            seen.push_back(text);
        }
    }
    return joined;
}

/// The directives of a file in the order and the blocks that crossplane gives them: the "}" of a
/// block whose name was refused ends the block around it, and outside of all blocks the file.
class CheckedFlow {
public:
    using Fate = Checks::Fate;
    using Decide = std::function<Fate(const Directive&)>;

    CheckedFlow(Decide decide, const Tree::Enter& enter, const Tree::Leave& leave)
        : decide_(std::move(decide))
        , enter_(enter)
        , leave_(leave)
    {}

    void run(const Tree& tree, std::uint32_t file)
    {
        tree.walk_file(
            file, [this](const Directive& directive) { return enter(directive); },
            [this](const Directive& directive) { leave(directive); });
        while (!blocks_.empty()) {
            leave_block();
        }
    }

private:
    bool enter(const Directive& directive)
    {
        if (is_over_) {
            return false;
        }
        if (directive.is_comment()) {
            // Comments between the words of an opened block go with the words.
            return directive.range().begin >= opened_body_ && enter_(directive);
        }
        switch (decide_(directive)) {
        case Fate::left_out_brace:
            passes_brace_ = true;
            return false;
        case Fate::left_out:
            return false;
        case Fate::opened:
            opened_body_ = directive.body().begin;
            return true;
        case Fate::kept:
            break;
        }
        if (!enter_(directive)) {
            return false;
        }
        if (directive.is_block()) {
            blocks_.push_back(directive);
        }
        return true;
    }

    void leave(const Directive& directive)
    {
        if (is_over_) {
            return;
        }
        if (!directive.is_block()) {
            leave_(directive);
        } else if (passes_brace_) {
            passes_brace_ = false;
        } else if (blocks_.empty()) {
            is_over_ = true;
        } else {
            leave_block();
        }
    }

    void leave_block()
    {
        const Directive block = blocks_.back();
        blocks_.pop_back();
        leave_(block);
    }

    Decide decide_;
    const Tree::Enter& enter_;
    const Tree::Leave& leave_;
    std::vector<Directive> blocks_{};
    std::uint32_t opened_body_ = 0;
    bool passes_brace_ = false;
    bool is_over_ = false;
};

}  // namespace

Checks::Checks(const Tree& tree, const CommandOptions& options) : tree_(tree), options_(options)
{
    files_.push_back(0);
    contexts_.emplace_back();
    indexes_.emplace(0, 0);
    for (std::size_t i = 0; i < files_.size(); i++) {  // NOLINT(modernize-loop-convert): it grows
        check_file(files_[i]);
    }
    add_tree_errors();
    sort_errors();
}

void Checks::check_file(std::uint32_t file)
{
    std::vector<CheckedContext> contexts{contexts_[index(file)]};
    const Tree::Enter enter = [&](const Directive& directive) {
        if (directive.is_comment()) {
            return true;
        }
        if (directive.is("include")) {
            include(directive, contexts.back());
        }
        if (directive.is_block()) {
            contexts.push_back(
                checked_inside(contexts.back(), json_word(directive, 0, options_.escapes)));
        }
        return true;
    };
    const Tree::Leave leave = [&](const Directive& directive) {
        if (directive.is_block()) {
            contexts.pop_back();
        }
    };
    const auto decide = [&](const Directive& directive) {
        const Fate fate = check(directive, contexts.back());
        if (fate != Fate::kept) {
            fates_.emplace(directive.node(), fate);
        }
        return fate;
    };
    CheckedFlow(decide, enter, leave).run(tree_, file);
}

void Checks::walk(std::uint32_t file, const Tree::Enter& enter, const Tree::Leave& leave) const
{
    const auto decide = [this](const Directive& directive) {
        const auto fate = fates_.find(directive.node());
        return fate == fates_.end() ? Fate::kept : fate->second;
    };
    CheckedFlow(decide, enter, leave).run(tree_, file);
}

Checks::Fate Checks::check(const Directive& directive, const CheckedContext& context)
{
    if (directive.size() == 0 || ends_file(directive)) {
        return Fate::kept;  // an error of the tree
    }
    const std::string name = json_word(directive, 0, options_.escapes);
    if (is_ignored(name)) {
        return Fate::left_out;
    }
    Refusal found = refusal(directive, name, context);
    if (found.text.empty()) {
        return Fate::kept;
    }
    const bool is_unterminated = found.is_unterminated;
    refuse(directive, std::move(found));
    if (is_unterminated) {
        return Fate::left_out;
    }
    return directive.is_block()               ? Fate::opened
           : directive.kind() == Kind::broken ? Fate::left_out_brace
                                              : Fate::left_out;
}

/// Adds the error of a directive. It replaces the error of the missing ";".
void Checks::refuse(const Directive& directive, Refusal refusal)
{
    const std::uint32_t file = directive.file().number;
    if (directive.kind() == Kind::broken) {
        replaced_.insert(place_key(file, unterminated_end(directive)));
    }
    if (errors_.size() == max_errors) {
        more_errors_++;
        return;
    }
    errors_.push_back({ErrorKind::refused, file, directive.range().begin, std::move(refusal.text),
                       std::move(refusal.hint)});
}

/// Adds the files that an `include` is the first to include.
void Checks::include(const Directive& directive, const CheckedContext& context)
{
    const std::uint32_t file = directive.file().number;
    includes_.insert(place_key(file, directive.range().begin));
    if (directive.is_block()) {
        includes_.insert(place_key(file, directive.body().begin - 1));
    }
    for (const std::uint32_t included : directive.included(true)) {
        if (indexes_.emplace(included, files_.size()).second) {
            files_.push_back(included);
            contexts_.push_back(context);
        }
    }
}

bool Checks::is_ignored(const std::string& name) const
{
    return std::ranges::find(options_.ignore, name) != options_.ignore.end();
}

/// The checks and their order are those of crossplane.
Checks::Refusal Checks::refusal(const Directive& directive, const std::string& name,
                                const CheckedContext& context)
{
    const CheckedRows& found = rows_of(name);
    if (options_.strict && !found.is_known) {
        return {fmt::format("unknown directive \"{}\"", name)};
    }
    if (context.name.empty() || found.rows.empty()) {
        return {};
    }
    const bool is_allowed = std::ranges::any_of(
        found.rows, [&context](const DirectiveRow* row) { return row->allows(context.name); });
    if (options_.check_ctx && !is_allowed) {
        return {fmt::format("\"{}\" directive is not allowed here", name),
                "it belongs in " + joined_rows(found.rows, ",", [](const DirectiveRow& row) {
                    return row.contexts;
                })};
    }
    return options_.check_args ? wrong_arguments(directive, name, found, context) : Refusal();
}

Checks::Refusal Checks::wrong_arguments(const Directive& directive, const std::string& name,
                                        const CheckedRows& found,
                                        const CheckedContext& context) const
{
    std::vector<const DirectiveRow*> rows;
    std::ranges::copy_if(found.rows, std::back_inserter(rows), [&](const DirectiveRow* row) {
        return !options_.check_ctx || row->allows(context.name);
    });
    const bool is_simple = directive.kind() == Kind::simple;
    const bool has_block = directive.is_block() || directive.kind() == Kind::text;
    const std::size_t n = counted_arguments(directive, name, options_.escapes);
    const auto is_wrong_flag = [&](const DirectiveRow* row) {
        return row->arguments == "flag" && n == 1 &&
               !is_on_or_off(json_word(directive, 1, options_.escapes));
    };
    const auto fits = [&](const DirectiveRow* row) {
        return (row->is_block() ? has_block : is_simple) && row->takes(n) && !is_wrong_flag(row);
    };
    if (std::ranges::any_of(rows, fits)) {
        return {};
    }

    // The message is that of the first row.
    if (rows.front()->is_block() && !has_block) {
        return {fmt::format("directive \"{}\" has no opening \"{{\"", name), "it begins a block"};
    }
    if (!rows.front()->is_block() && !is_simple) {
        return {fmt::format("directive \"{}\" is not terminated by \";\"", name),
                has_block ? "write \";\" in place of \"{\"" : "write \";\" before the \"}\"", true};
    }
    if (is_wrong_flag(rows.front())) {
        return {
            fmt::format("invalid value \"{}\" in \"{}\" directive, it must be \"on\" or \"off\"",
                        json_word(directive, 1, options_.escapes), name)};
    }
    return {fmt::format("invalid number of arguments in \"{}\" directive", name),
            "it takes " + joined_rows(rows, " or ", [](const DirectiveRow& row) {
                return row.arguments_text();
            })};
}

/// Returns the rows by which a name is checked, in all versions of nginx.
const CheckedRows& Checks::rows_of(const std::string& name)
{
    const auto [place, is_new] = rows_.try_emplace(name);
    CheckedRows& found = place->second;
    if (is_new) {
        for (const DirectiveRow& row : inspect::find_directive(name)) {
            found.is_known = true;
            if (is_checked(row)) {
                found.rows.push_back(&row);
            }
        }
    }
    return found;
}

void Checks::add_tree_errors()
{
    more_errors_ += tree_.more_errors();
    for (const Error& error : tree_.errors()) {
        if (remains(error)) {
            errors_.push_back(error);
        }
    }
}

/// Returns whether an error of the tree is one behind the checks.
bool Checks::remains(const Error& error) const
{
    if (!indexes_.contains(error.file)) {
        return false;
    }
    const std::uint64_t place = place_key(error.file, error.offset);
    switch (error.kind) {
    case ErrorKind::cannot_read:
    case ErrorKind::include_arguments:
    case ErrorKind::include_loop:
    case ErrorKind::include_depth:
        return !tree_.files()[error.file]->was_read || includes_.contains(place);
    case ErrorKind::not_terminated:
        return !replaced_.contains(place);
    default:
        return true;
    }
}

/// Sorts the errors as those of a tree: file by file in the order of their places, loops last.
void Checks::sort_errors()
{
    std::ranges::stable_sort(errors_, {}, [this](const Error& error) {
        const bool is_graph =
            error.kind == ErrorKind::include_loop || error.kind == ErrorKind::include_depth;
        return std::tuple(is_graph, index(error.file), error.offset);
    });
    if (errors_.size() > max_errors) {
        more_errors_ += errors_.size() - max_errors;
        errors_.resize(max_errors);
    }
}

}  // namespace ngx::conf
