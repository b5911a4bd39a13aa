#include "stream/stream_script.hpp"

#include <algorithm>
#include <cstring>

#include "core/palloc.hpp"
#include "core/parse.hpp"

namespace ngx {

namespace {

constexpr std::string_view name_characters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

/// Parses the name of a variable, `name` or `{name}`, after its "$", and removes it from `text`.
Rc parse_variable(Conf& cf, std::string_view& text, StreamComplexValue& value)
{
    // Differs from nginx: there are no regular expressions, so that $1 to $9 are always rejected.
    if (!text.empty() && text.front() >= '1' && text.front() <= '9') {
        conf_log_error(log_emerg, cf, 0, "using variable \"${}\" requires PCRE library",
                       text.front());
        return Rc::error;
    }

    const bool bracket = text.starts_with('{');
    text.remove_prefix(bracket);
    const std::string_view name =
        text.substr(0, std::min(text.find_first_not_of(name_characters), text.size()));
    const bool empty = text.empty();
    text.remove_prefix(name.size());

    if (bracket && !empty && !text.starts_with('}')) {
        conf_log_error(log_emerg, cf, 0, "the closing bracket in \"{}\" variable is missing", name);
        return Rc::error;
    }
    if (name.empty()) {
        conf_log_error(log_emerg, cf, 0, "invalid variable name");
        return Rc::error;
    }
    text.remove_prefix(bracket);
    value.parts.push_back({.use = stream_use_variable(cf, name)});
    return Rc::ok;
}

}  // namespace

Rc stream_compile_complex_value(Conf& cf, std::string_view text, StreamComplexValue& value)
{
    while (!text.empty()) {
        const std::size_t dollar = std::min(text.find('$'), text.size());
        if (dollar != 0) {
            value.parts.push_back({.literal = text.substr(0, dollar)});
            text.remove_prefix(dollar);
            continue;
        }
        text.remove_prefix(1);
        if (parse_variable(cf, text, value) != Rc::ok) {
            return Rc::error;
        }
    }
    return Rc::ok;
}

std::string_view stream_complex_value(StreamSession& s, const StreamComplexValue& value)
{
    const std::size_t n = value.parts.size();
    if (n == 0) {
        return {};
    }
    if (n == 1 && !value.parts.front().use) {
        return value.parts.front().literal;
    }

    Pool& pool = *s.connection->pool;
    auto* const pieces = static_cast<std::string_view*>(
        pool.palloc(n * sizeof(std::string_view), alignof(std::string_view)));
    std::size_t len = 0;
    for (std::size_t i = 0; i < n; i++) {
        const StreamComplexValue::Part& part = value.parts[i];
        pieces[i] = part.use ? stream_get_indexed_variable(s, *part.use) : part.literal;
        len += pieces[i].size();
    }

    char* const text = static_cast<char*>(pool.palloc(len, 1));
    char* p = text;
    for (std::size_t i = 0; i < n; i++) {
        p = std::ranges::copy(pieces[i], p).out;
    }
    return {text, len};
}

std::size_t stream_complex_value_size(StreamSession& s,
                                      const std::optional<StreamComplexSize>& size,
                                      std::size_t fallback)
{
    if (!size) {
        return fallback;
    }
    if (!size->value.has_variables()) {
        return size->constant;
    }
    const std::string_view text = stream_complex_value(s, size->value);
    const auto parsed = parse_size(text);
    if (!parsed) {
        log_error(log_err, s.connection->log, 0, "invalid size \"{}\"", text);
    }
    return parsed.value_or(fallback);
}

Rc stream_compile_complex_size(Conf& cf, std::string_view text, StreamComplexSize& size)
{
    if (stream_compile_complex_value(cf, text, size.value) != Rc::ok) {
        return Rc::error;
    }
    if (size.value.has_variables()) {
        return Rc::ok;
    }
    const auto parsed = parse_size(text);
    size.constant = parsed.value_or(0);
    return parsed ? Rc::ok : Rc::declined;
}

}  // namespace ngx
