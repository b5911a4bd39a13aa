#include "core/conf_hint.hpp"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "auto_absent.hpp"
#include "auto_build.hpp"
#include "core/conf_file.hpp"
#include "core/cycle.hpp"
#include "core/module.hpp"
#include "core/string.hpp"

namespace ngx {

namespace {

bool is_absent(std::string_view name) noexcept
{
    return std::ranges::any_of(absent_directives, [name](std::string_view entry) {
        return entry.ends_with('*') ? name.starts_with(entry.substr(0, entry.size() - 1))
                                    : name == entry;
    });
}

/// Returns the edit distance: how many letters to insert, delete or change to turn one word into
/// the other. Ignores case.
std::size_t distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> row(b.size() + 1);  // distances of a's letters so far to prefixes of b
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); i++) {
        std::size_t before = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); j++) {
            const std::size_t changed = before + (ngx::tolower(a[i]) != ngx::tolower(b[j]));
            before = row[j + 1];
            row[j + 1] = std::min({changed, before + 1, row[j] + 1});
        }
    }
    return row.back();
}

/// Tells whether `typed` may be a misspelling of `name`. The first letter must match, as it is
/// seldom wrong.
bool is_near(std::string_view typed, std::string_view name)
{
    const std::size_t allowed = typed.size() < 5 ? 1 : 2;
    return !typed.empty() && !name.empty() && ngx::tolower(typed[0]) == ngx::tolower(name[0]) &&
           distance(typed, name) <= allowed;
}

/// Returns the most similar directive among those that are allowed in this block; empty if none is
/// similar.
std::string_view nearest(const Conf& cf, std::string_view typed)
{
    std::string_view found;
    for (const Module* module : modules_of(*cf.cycle)) {
        if (module->type != ModuleType::conf && module->type != cf.module_type) {
            continue;
        }
        for (const Command& cmd : module->commands) {
            if ((cmd.type & cf.cmd_type) != 0 && is_near(typed, cmd.name) &&
                (found.empty() || distance(typed, cmd.name) < distance(typed, found))) {
                found = cmd.name;
            }
        }
    }
    return found;
}

}  // namespace

std::string conf_hint(const Conf& cf, std::string_view name)
{
    if (is_absent(name)) {
        return fmt::format(" (nginx has it, {} has not)", server_name);
    }
    if (const std::string_view near = nearest(cf, name); !near.empty()) {
        return fmt::format(" (did you mean {}?)", near);
    }
    const auto near = std::ranges::find_if(
        absent_directives, [name](std::string_view entry) { return is_near(name, entry); });
    if (near != std::ranges::end(absent_directives)) {
        return fmt::format(" (did you mean {}? nginx has it, {} has not)", *near, server_name);
    }
    return {};
}

}  // namespace ngx
