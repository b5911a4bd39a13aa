#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

#include "core/conf_escape.hpp"
#include "tools/conf/commands.hpp"

namespace ngx::conf {

namespace {

/// A part of a path: NAME, NAME[N] for the Nth of this name, or NAME(WORDS) for one with these
/// words. A name in quotes can have any character.
struct Step {
    std::string name{};
    std::string written{};   // the name with its quotes
    std::size_t number = 0;  // from 1; 0: any
    std::optional<std::string> words{};
};

[[noreturn]] void refuse(const std::string& text)
{
    throw Refused(text);
}

/// Takes "[N]" or "(WORDS)" from the beginning of a path. A ")" ends the words if the step does.
void take_choice(std::string_view& path, Step& step)
{
    if (path.starts_with('[')) {
        const char* const last = path.data() + path.size();
        const auto [end, error] = std::from_chars(path.data() + 1, last, step.number);
        if (error != std::errc() || step.number == 0 || end == last || *end != ']') {
            refuse("a number from 1, and \"]\", must follow \"[\" in the path");
        }
        path.remove_prefix(static_cast<std::size_t>(end - path.data()) + 1);
    } else if (path.starts_with('(')) {
        std::size_t end = path.find(')');
        while (end != path.npos && end + 1 != path.size() && path[end + 1] != '.') {
            end = path.find(')', end + 1);
        }
        if (end == path.npos) {
            refuse("a \"(\" in the path has no \")\"");
        }
        step.words = path.substr(1, end - 1);
        path.remove_prefix(end + 1);
    }
}

/// Takes the name from the beginning of a path. A name in quotes is decoded as in a file.
void take_name(std::string_view& path, Step& step)
{
    if (path.starts_with('"') || path.starts_with('\'')) {
        std::size_t end = 1;
        while (end < path.size() && path[end] != path.front()) {
            end += path[end] == '\\' ? 2 : 1;
        }
        if (end >= path.size()) {
            refuse("a quote in the path is not closed");
        }
        step.written = path.substr(0, end + 1);
        conf_unescape(path.substr(1, end - 1), [&step](char ch) { step.name += ch; });
    } else {
        step.written = path.substr(0, path.find_first_of(".[("));
        step.name = step.written;
    }
    if (step.name.empty()) {
        refuse("the path has an empty name");
    }
    path.remove_prefix(step.written.size());
}

std::vector<Step> parse_path(std::string_view path)
{
    std::vector<Step> steps;
    for (;;) {
        Step step;
        take_name(path, step);
        take_choice(path, step);
        steps.push_back(std::move(step));
        if (path.empty()) {
            return steps;
        }
        if (!path.starts_with('.')) {
            refuse("a \".\" must separate the names of the path");
        }
        path.remove_prefix(1);
    }
}

std::string joined(const std::vector<std::string>& words)
{
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

/// Returns the directives of a level that a step means.
std::vector<Directive> matching(const Directives& level, const Step& step)
{
    std::vector<Directive> found;
    std::size_t number = 0;
    for (const Directive& directive : level) {
        if (directive.is_comment() || !directive.is(step.name) ||
            (step.words && joined(directive.args()) != *step.words)) {
            continue;
        }
        number++;
        if (step.number == 0 || step.number == number) {
            found.push_back(directive);
        }
    }
    return found;
}

/// Returns the only directive that a step means, or nothing if the level has none.
std::optional<Directive> only(const Directives& level, const Step& step)
{
    const std::vector<Directive> found = matching(level, step);
    if (found.size() > 1) {
        refuse(fmt::format("\"{0}\" occurs {1} times, the first time in line {2}: write {0}[N], or "
                           "{0}(WORDS)",
                           step.name, found.size(), found.front().place().line));
    }
    return found.empty() ? std::nullopt : std::optional(found.front());
}

/// Checks that a value is words, and nothing else that would change the configuration.
void check_value(const std::string& value)
{
    Tree tree;
    tree.read_text("", "name " + value + ";", {.follow_includes = false});
    const Directives all = tree.directives();
    auto next = all.begin();
    const bool valid = tree.errors().empty() && !all.empty() && (*next).kind() == Kind::simple &&
                       (*next).children().empty() && ++next == all.end() &&
                       value.find('\n') == value.npos;
    if (!valid) {
        refuse(fmt::format("\"{}\" is no value: quote it as in the file", value));
    }
}

/// A text that replaces a part of a file.
struct Edit {
    Range range;
    std::string text;
    bool adds = false;  // a directive
};

/// Checks that a changed file has this number of directives and comments, and no more than this
/// number of errors: a value such as "a$" would change the meaning of a "{" behind it.
void check_result(const Tree& tree, std::uint32_t nodes, std::size_t errors)
{
    if (tree.errors().size() > errors || tree.files().front()->last != nodes) {
        print_errors(tree);
        refuse("the value would change more than this directive");
    }
}

/// Replaces the words behind a directive's name.
Edit replace_words(const Directive& directive, const std::string& value)
{
    if (directive.kind() == Kind::text) {
        refuse(fmt::format("\"{}\" has code, which cannot be set", directive.name()));
    }
    const std::uint32_t name_end = directive.word(0).range().end;
    if (directive.size() == 1) {
        return {{name_end, name_end}, value.empty() ? "" : " " + value};
    }
    const Range last = directive.word(directive.size() - 1).range();
    const std::uint32_t begin = value.empty() ? name_end : directive.word(1).range().begin;
    return {{begin, last.end}, value};
}

/// Returns the blanks at the beginning of the line of this place.
std::string_view indent_of(std::string_view bytes, std::size_t offset)
{
    const std::size_t before = bytes.rfind('\n', offset);
    const std::string_view line =
        before == bytes.npos || offset == 0 ? bytes : bytes.substr(before + 1);
    return line.substr(0, line.find_first_not_of(" \t"));
}

/// Returns true if only blanks are before a directive on its line.
bool begins_line(std::string_view bytes, const Directive& directive)
{
    const std::uint32_t begin = directive.range().begin;
    const std::size_t before = bytes.substr(0, begin).find_last_not_of(" \t");
    return before == bytes.npos || bytes[before] == '\n';
}

/// Returns by how much the file indents what is in a block: as in the first block that shows it.
std::string indent_step(const Tree& tree)
{
    const std::string_view bytes = tree.files().front()->bytes;
    for (const Directive& block : tree.directives()) {
        const std::string_view outer = indent_of(bytes, block.range().begin);
        for (const Directive& inner : block.children()) {
            const std::string_view indent = indent_of(bytes, inner.range().begin);
            if (begins_line(bytes, inner) && indent.size() > outer.size()) {
                return std::string(indent.substr(outer.size()));
            }
        }
    }
    return "    ";
}

/// Adds a directive behind the last one of a block, or of the file.
Edit add_directive(const Tree& tree, const std::optional<Directive>& parent, const Step& step,
                   const std::string& value)
{
    if (step.number > 1 || step.words) {
        refuse("the directive to add must have a name only");
    }
    const std::string_view bytes = tree.files().front()->bytes;
    const std::string text = step.written + (value.empty() ? "" : " " + value) + ";";
    const std::string newline = bytes.find("\r\n") != bytes.npos ? "\r\n" : "\n";
    const Range body = parent ? parent->body() : Range{0, static_cast<std::uint32_t>(bytes.size())};

    std::optional<Directive> last;
    for (const Directive& inner : parent ? parent->children() : tree.directives()) {
        if (inner.range().begin >= body.begin) {
            last = inner;
        }
    }
    if (last) {
        const std::uint32_t end = last->range().end;
        if (parent && !last->is_comment() && !begins_line(bytes, *last)) {
            return {{end, end}, " " + text, true};
        }
        const std::string indent(indent_of(bytes, last->range().begin));
        return {{end, end}, newline + indent + text, true};
    }
    if (!parent) {
        return {{body.end, body.end}, text + newline, true};
    }
    const std::string indent(indent_of(bytes, parent->range().begin));
    const bool one_line = bytes.substr(body.begin, body.end - body.begin).find('\n') == bytes.npos;
    return {{body.begin, body.begin},
            newline + indent + indent_step(tree) + text + (one_line ? newline + indent : ""),
            true};
}

/// Returns the first directive that a step means in the files that a level includes. `seen` has the
/// files that need no look.
std::optional<Directive> included(const Tree& tree, const Directives& level, const Step& step,
                                  std::vector<bool>& seen)
{
    for (const Directive& directive : level) {
        if (directive.kind() != Kind::simple || !directive.is("include")) {
            continue;
        }
        for (const std::uint32_t file : directive.included()) {
            if (seen[file]) {
                continue;
            }
            seen[file] = true;
            const Directives inner = tree.directives(file);
            const std::vector<Directive> found = matching(inner, step);
            const auto deeper =
                found.empty() ? included(tree, inner, step, seen) : std::optional(found.front());
            if (deeper) {
                return deeper;
            }
        }
    }
    return std::nullopt;
}

/// Refuses a directive that a level has in a file that it includes.
void refuse_included(const Tree& tree, const std::optional<Directive>& parent, const Step& step,
                     const CommandOptions& options)
{
    // The first file has the same nodes in both trees.
    Tree all;
    all.read_text(options.file, tree.files().front()->bytes);
    const Directives level =
        parent ? Directive(all, *all.files().front(), parent->node()).children() : all.directives();
    std::vector<bool> seen(all.files().size());
    const std::optional<Directive> found =
        included(all, level, {.name = step.name, .words = step.words}, seen);
    if (found) {
        const Place place = found->place();
        refuse(fmt::format("{} has no such \"{}\"{}: one is in line {} of {}", options.file,
                           step.name, parent ? " in " + parent->name() : "", place.line,
                           place.file));
    }
}

/// Refuses a path that leads to no directive of a level.
[[noreturn]] void refuse_missing(const Directives& level, const std::optional<Directive>& parent,
                                 const Step& step, bool may_add, const CommandOptions& options)
{
    const std::string where = parent ? " in " + parent->name() : "";
    const std::size_t count = matching(level, {.name = step.name}).size();
    if (count == 0) {
        const bool adds = may_add && step.number <= 1 && !step.words;
        refuse(fmt::format("{} has no \"{}\"{}{}", options.file, step.name, where,
                           adds ? "; --add adds it" : ""));
    }
    refuse(step.words
               ? fmt::format("{} has no \"{}\" with the words \"{}\"{}", options.file, step.name,
                             *step.words, where)
               : fmt::format("{} has only {} \"{}\"{}", options.file, count, step.name, where));
}

Edit find_edit(const Tree& tree, const CommandOptions& options)
{
    const std::vector<Step> path = parse_path(options.path);
    Directives level = tree.directives();
    std::optional<Directive> parent;
    for (const Step& step : path) {
        const bool is_last = &step == &path.back();
        const std::optional<Directive> found = only(level, step);
        if (is_last && found) {
            return replace_words(*found, options.value);
        }
        if (!found) {
            refuse_included(tree, parent, step, options);
        }
        if (is_last && options.add) {
            return add_directive(tree, parent, step, options.value);
        }
        if (!found) {
            refuse_missing(level, parent, step, is_last, options);
        }
        if (!found->is_block()) {
            refuse(fmt::format("\"{}\" in line {} is no block", step.name, found->place().line));
        }
        parent = found;
        level = found->children();
    }
    refuse("the path is empty");
}

/// Replaces the content of a file in one step: a reader sees the old content or the new one. The
/// file keeps its mode, and its owner if the process may set it.
void replace_file(const std::string& name, std::string_view content)
{
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(name.c_str(), nullptr),
                                                           std::free);
    struct stat info {};
    if (!real || ::stat(real.get(), &info) == -1) {
        fail_with_errno(name);
    }
    std::string temporary = std::string(real.get()) + ".XXXXXX";
    const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
    if (fd == -1) {
        fail_with_errno(temporary);
    }

    bool ok = ::fchmod(fd, info.st_mode & 07777) == 0;
    const bool owned = ::fchown(fd, info.st_uid, info.st_gid) == 0;
    ok = ok && (owned || ::geteuid() != 0);
    while (ok && !content.empty()) {
        const ssize_t n = ::write(fd, content.data(), content.size());
        ok = n > 0 || (n == -1 && errno == EINTR);
        content.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 0);
    }
    ok = ok && ::fsync(fd) == 0;
    ok = ::close(fd) == 0 && ok;
    if (!ok || ::rename(temporary.c_str(), real.get()) == -1) {
        const int err = errno;
        ::unlink(temporary.c_str());
        errno = err;
        fail_with_errno(name);
    }
}

}  // namespace

int set_command(const CommandOptions& options)
{
    Tree tree;
    read_valid(tree, options);
    check_value(options.value);

    const Edit edit = find_edit(tree, options);
    const std::string& before = tree.files().front()->bytes;
    std::string content = before;
    content.replace(edit.range.begin, edit.range.end - edit.range.begin, edit.text);
    Tree result;
    result.read_text(options.file, content, {.follow_includes = false});
    check_result(result, tree.files().front()->last + (edit.adds ? 1 : 0), tree.errors().size());
    print_errors(result);
    if (!options.out.empty() || options.file == "-") {
        Output out(options.out);
        out << content;
        out.finish();
    } else if (content != before) {
        replace_file(options.file, content);
    }
    return result.errors().empty() ? 0 : 1;
}

}  // namespace ngx::conf
