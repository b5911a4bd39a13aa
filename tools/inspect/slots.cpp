#include "tools/inspect/slots.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/parse.hpp"
#include "core/string.hpp"

namespace ngx::inspect {

namespace {

/// A row of the table. `words` has the words of an enum or a bitmask, or the bounds of a number:
/// "1-9", "0-".
struct ValueRow {
    std::string_view name;
    std::string_view module;
    std::string_view kind;
    std::string_view words;
};

#include "nginx_values.inc"

const ValueRow* find_values(const DirectiveRow& row)
{
    const ValueRow* const first =
        std::ranges::lower_bound(value_rows, row.name, {}, &ValueRow::name);
    const ValueRow* const end = std::ranges::upper_bound(value_rows, row.name, {}, &ValueRow::name);
    const ValueRow* const found = std::ranges::find(first, end, row.module, &ValueRow::module);
    return found == end ? nullptr : found;
}

bool has_word(std::string_view words, std::string_view word)
{
    for (;;) {
        const std::size_t end = words.find(',');
        if (strcaseeq(words.substr(0, end), word)) {
            return true;
        }
        if (end == std::string_view::npos) {
            return false;
        }
        words.remove_prefix(end + 1);
    }
}

std::optional<std::string> wrong_number(const ValueRow& row, std::string_view value)
{
    const auto n = ngx::atoi(value);
    if (!n) {
        return fmt::format("\"{}\" directive invalid number", row.name);
    }
    if (row.words.empty()) {
        return std::nullopt;
    }
    const std::size_t dash = row.words.find('-');
    const std::string_view low = row.words.substr(0, dash);
    const std::string_view high = row.words.substr(dash + 1);
    if (high.empty()) {
        return *n >= *ngx::atoi(low)
                   ? std::nullopt
                   : std::optional(fmt::format("value must be equal to or greater than {}", low));
    }
    return *n >= *ngx::atoi(low) && *n <= *ngx::atoi(high)
               ? std::nullopt
               : std::optional(fmt::format("value must be between {} and {}", low, high));
}

bool is_positive(auto parsed)
{
    return parsed && *parsed > 0;
}

/// Returns whether the values are right for a kind without words.
bool is_right(std::string_view kind, const std::vector<std::string>& args)
{
    const std::string_view value = args[0];
    if (kind == "size") {
        return parse_size(value).has_value();
    }
    if (kind == "offset") {
        return parse_offset(value).has_value();
    }
    if (kind == "msec") {
        return parse_msec(value).has_value();
    }
    if (kind == "sec") {
        return parse_sec(value).has_value();
    }
    return kind != "bufs" || args.size() < 2 ||
           (is_positive(ngx::atoi(value)) && is_positive(parse_size(args[1])));
}

std::optional<std::string> wrong_slot(const DirectiveRow& row, const std::vector<std::string>& args)
{
    const ValueRow* const values = find_values(row);
    if (!values || args.empty()) {
        return std::nullopt;
    }
    if (values->kind == "number") {
        return wrong_number(*values, args[0]);
    }
    if (values->kind != "enum" && values->kind != "bitmask") {
        return is_right(values->kind, args)
                   ? std::nullopt
                   : std::optional(fmt::format("\"{}\" directive invalid value", row.name));
    }
    const auto wrong = std::ranges::find_if(
        args, [&](const std::string& word) { return !has_word(values->words, word); });
    return wrong == args.end() ? std::nullopt
                               : std::optional(fmt::format("invalid value \"{}\"", *wrong));
}

}  // namespace

std::optional<std::string> wrong_slots(std::span<const DirectiveRow* const> rows,
                                       const std::vector<std::string>& args)
{
    std::optional<std::string> wrong;
    for (const DirectiveRow* row : rows) {
        wrong = wrong_slot(*row, args);
        if (!wrong) {
            break;
        }
    }
    return wrong;
}

}  // namespace ngx::inspect
