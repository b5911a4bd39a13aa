#include "tools/inspect/directive_table.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <stdexcept>

namespace ngx::inspect {

namespace {

#include "nginx_directives.inc"

/// Calls `function` for each part of a list with separators; returns true as soon as it does.
template <typename Function>
bool any_part(std::string_view list, char separator, Function function)
{
    for (;;) {
        const std::size_t end = list.find(separator);
        if (function(list.substr(0, end))) {
            return true;
        }
        if (end == std::string_view::npos) {
            return false;
        }
        list.remove_prefix(end + 1);
    }
}

std::size_t digit(char c)
{
    return static_cast<std::size_t>(c - '0');
}

unsigned number(std::string_view text)
{
    constexpr std::size_t longest = 3;
    if (text.empty() || text.size() > longest ||
        text.find_first_not_of("0123456789") != std::string_view::npos) {
        throw std::runtime_error(fmt::format("\"{}\" is not a number of a version", text));
    }
    unsigned n = 0;
    for (const char c : text) {
        n = n * 10 + static_cast<unsigned>(digit(c));
    }
    return n;
}

std::array<unsigned, 3> version(std::string_view text)
{
    std::array<unsigned, 3> parts{};
    std::size_t n = 0;
    any_part(text, '.', [&](std::string_view part) {
        if (n == parts.size()) {
            throw std::runtime_error(fmt::format("\"{}\" is not a version", text));
        }
        parts[n++] = number(part);
        return false;
    });
    return parts;
}

/// Returns the newest release of "1.24"; another text unchanged.
std::string_view release(std::string_view text)
{
    std::string_view result = text;
    for (const std::string_view candidate : releases) {
        if (candidate.starts_with(text) && candidate.substr(text.size()).starts_with('.')) {
            result = candidate;
        }
    }
    return result;
}

bool is_release(std::string_view text)
{
    return std::ranges::find(releases, text) != std::end(releases);
}

bool is_known(std::string_view package)
{
    return std::ranges::find(directive_rows, package, &DirectiveRow::package) !=
           std::end(directive_rows);
}

bool is_server(std::string_view package)
{
    return package == "nginx" || package == "angie" || package == "tengine";
}

}  // namespace

bool DirectiveRow::allows(std::string_view context) const
{
    return any_part(contexts, ',',
                    [&](std::string_view part) { return part == context || part == "any"; });
}

bool DirectiveRow::takes(std::size_t arguments_n) const
{
    if (arguments == "any") {
        return true;
    }
    if (arguments == "flag") {
        return arguments_n == 1;
    }
    if (arguments.ends_with('+')) {
        return arguments_n >= digit(arguments[0]);
    }
    if (arguments.find('-') == 1) {
        return digit(arguments[0]) <= arguments_n && arguments_n <= digit(arguments[2]);
    }
    return any_part(arguments, ',',
                    [&](std::string_view part) { return digit(part[0]) == arguments_n; });
}

std::string_view DirectiveRow::opens(std::string_view context) const
{
    std::string_view result;
    any_part(block, ',', [&](std::string_view part) {
        result = part;
        return part.starts_with(context);
    });
    return result;
}

std::string DirectiveRow::arguments_text() const
{
    if (arguments == "flag") {
        return "\"on\" or \"off\"";
    }
    if (arguments.ends_with('+')) {
        return fmt::format("{} or more", arguments[0]);
    }
    if (arguments.find('-') == 1) {
        return fmt::format("{} to {}", arguments[0], arguments[2]);
    }
    return arguments == "0" ? "none" : std::string(arguments);
}

std::span<const DirectiveRow> find_directive(std::string_view name)
{
    return {std::ranges::lower_bound(directive_rows, name, {}, &DirectiveRow::name),
            std::ranges::upper_bound(directive_rows, name, {}, &DirectiveRow::name)};
}

std::string_view newest_version()
{
    return std::end(releases)[-1];
}

Program::Program() : version_text_(newest_version()), version_(version(version_text_)) {}

Program::Program(std::string_view text) : stated_(true)
{
    const std::string_view server = text.substr(0, text.find('+'));
    package_ = server.substr(0, server.find('-'));
    if (!is_server(package_)) {
        constexpr std::string_view hint =
            "; it is nginx with packages: nginx-VERSION+lua+stream-lua+echo+headers-more+set-misc";
        throw std::runtime_error(fmt::format("\"{}\" is not nginx, angie or tengine{}", package_,
                                             package_ == "openresty" ? hint : ""));
    }
    const bool has_version = server.size() > package_.size();
    if (has_version && package_ != "nginx") {
        throw std::runtime_error(fmt::format("the versions of {} are not known", package_));
    }
    version_text_ = has_version ? release(server.substr(package_.size() + 1)) : newest_version();
    version_ = version(version_text_);
    if (!is_release(version_text_)) {
        throw std::runtime_error(fmt::format("nginx {} is not in the table, which has {} to {}",
                                             version_text_, releases[0], newest_version()));
    }

    any_part(text.substr(server.size()), '+', [&](std::string_view name) {
        if (name.empty()) {
            return false;
        }
        if (name != "file-aio" && (!is_known(name) || is_server(name))) {
            throw std::runtime_error(fmt::format("\"{}\" is not a package of the table", name));
        }
        words_.emplace_back(name);
        return false;
    });
}

std::string Program::name() const
{
    return package_ == "nginx" ? "nginx " + version_text_ : package_;
}

bool Program::is_since(std::string_view since) const
{
    return version_ >= version(since);
}

bool Program::with(std::string_view word) const
{
    return std::ranges::find(words_, word) != words_.end();
}

bool Program::has(std::string_view package) const
{
    return !stated_ || package == "nginx" || package == package_ || with(package);
}

bool Program::has(const DirectiveRow& row) const
{
    if (row.package != "nginx") {
        return has(row.package);
    }
    return (row.since == "-" || version_ >= version(row.since)) &&
           (row.until == "-" || version_ <= version(row.until));
}

}  // namespace ngx::inspect
