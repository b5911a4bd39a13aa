#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/conf_file.hpp"
#include "core/parse.hpp"
#include "core/string.hpp"

/// The directive functions for plain values: `.set = conf_set_num_slot<&EpollConf::events>`. They
/// take a pointer to a member where nginx has an offset and a cast, so that a member of the wrong
/// type does not compile. An unset value is an empty optional; a second value is an error, "is
/// duplicate".
///
/// A second template argument may point to a post check: a ConfNumBounds or a ConfDeprecated.
namespace ngx {

/// The range of a number. Without `high` there is no upper bound.
///
/// nginx: ngx_conf_num_bounds_t
struct ConfNumBounds {
    std::int64_t low;
    std::optional<std::int64_t> high = std::nullopt;
};

/// nginx: ngx_conf_deprecated_t
struct ConfDeprecated {
    std::string_view old_name;
    std::string_view new_name;
};

/// A word and the value that it represents.
///
/// nginx: ngx_conf_enum_t
template <typename T>
struct ConfEnum {
    std::string_view name;
    T value;
};

/// nginx: ngx_conf_bitmask_t
struct ConfBitmask {
    std::string_view name;
    std::uint64_t mask;
};

/// nginx: ngx_keyval_t
struct Keyval {
    std::string_view key;
    std::string_view value;
};

/// A number of buffers and their size in bytes.
///
/// nginx: ngx_bufs_t
struct Bufs {
    std::int64_t num;
    std::size_t size;
};

/// A number of seconds, as a separate type that cannot be confused with other numbers.
struct Seconds {
    std::int64_t count;
};

/// Warns that the directive is deprecated, and names the new one.
///
/// nginx: ngx_conf_deprecated()
const char* conf_deprecated(Conf& cf, const ConfDeprecated& post);

/// Returns conf_ok if the number is within its bounds, else conf_error after logging.
///
/// nginx: ngx_conf_check_num_bounds()
const char* conf_check_num_bounds(Conf& cf, const ConfNumBounds& bounds, std::int64_t value);

/// Parses "on" or "off", ignoring case. Returns an empty value after logging for any other word.
std::optional<bool> conf_parse_flag(Conf& cf);

/// Logs `invalid value "..."` for the word at `arg`, and returns conf_error.
const char* conf_invalid_value(Conf& cf, std::size_t arg = 1);

namespace slot {

template <typename>
struct MemberOf;

template <typename C, typename T>
struct MemberOf<T C::*> {
    using Class = C;
    using Type = T;
};

template <auto Member>
using Type = typename MemberOf<decltype(Member)>::Type;

/// The only place that casts a void pointer to a configuration's type.
template <auto Member>
Type<Member>& field(void* conf) noexcept
{
    return static_cast<typename MemberOf<decltype(Member)>::Class*>(conf)->*Member;
}

template <auto Post, typename T>
const char* post(Conf& cf, [[maybe_unused]] const T& value)
{
    using P = std::remove_cvref_t<std::remove_pointer_t<decltype(Post)>>;
    if constexpr (std::is_same_v<P, ConfNumBounds>) {
        return conf_check_num_bounds(cf, *Post, value);
    } else if constexpr (std::is_same_v<P, ConfDeprecated>) {
        return conf_deprecated(cf, *Post);
    } else {
        static_assert(std::is_null_pointer_v<P>, "no such post check");
        return conf_ok;
    }
}

/// Sets a value; shared by all slots of one value. Refuses a duplicate, reports a bad value with
/// `complaint`, runs the post check.
template <auto Member, typename T, auto Post, typename Parsed>
const char* set(Conf& cf, void* conf, const Parsed& parsed, const char* complaint)
{
    static_assert(std::is_same_v<Type<Member>, std::optional<T>>, "the slot is of another type");

    std::optional<T>& value = field<Member>(conf);
    if (value) {
        return "is duplicate";
    }
    const auto got = parsed();
    if (!got) {
        return complaint;
    }
    value = T{*got};
    return post<Post>(cf, *got);
}

inline std::string show(bool value)
{
    return value ? "on" : "off";
}

inline std::string show(std::int64_t value)
{
    return std::to_string(value);
}

inline std::string show(Msec value)
{
    return std::to_string(value) + "ms";
}

inline std::string show(std::string_view value)
{
    return std::string(value);
}

}  // namespace slot

/// Formats the value of a slot: `.show = conf_show_slot<&EpollConf::events>`.
template <auto Member>
std::string conf_show_slot(const void* conf)
{
    const auto& value =
        static_cast<const typename slot::MemberOf<decltype(Member)>::Class*>(conf)->*Member;
    return value ? slot::show(*value) : std::string();
}

/// Sets a bool from `on` or `off`, in any case of letters.
///
/// nginx: ngx_conf_set_flag_slot()
template <auto Member, auto Post = nullptr>
const char* conf_set_flag_slot(Conf& cf, const Command&, void* conf)
{
    return slot::set<Member, bool, Post>(
        cf, conf, [&] { return conf_parse_flag(cf); }, conf_error);
}

/// Sets a text, which lives as long as the cycle.
///
/// nginx: ngx_conf_set_str_slot()
template <auto Member, auto Post = nullptr>
const char* conf_set_str_slot(Conf& cf, const Command&, void* conf)
{
    return slot::set<Member, std::string_view, Post>(
        cf, conf, [&] { return std::optional{cf.args[1]}; }, conf_error);
}

/// Sets a decimal number.
///
/// nginx: ngx_conf_set_num_slot()
template <auto Member, auto Post = nullptr>
const char* conf_set_num_slot(Conf& cf, const Command&, void* conf)
{
    return slot::set<Member, std::int64_t, Post>(
        cf, conf, [&] { return atoi(cf.args[1]); }, "invalid number");
}

/// Sets a size in bytes, with the units k and m.
///
/// nginx: ngx_conf_set_size_slot()
template <auto Member, auto Post = nullptr>
const char* conf_set_size_slot(Conf& cf, const Command&, void* conf)
{
    return slot::set<Member, std::size_t, Post>(
        cf, conf, [&] { return parse_size(cf.args[1]); }, "invalid value");
}

/// Sets an offset in bytes, with the units k, m and g.
///
/// nginx: ngx_conf_set_off_slot()
template <auto Member, auto Post = nullptr>
const char* conf_set_off_slot(Conf& cf, const Command&, void* conf)
{
    return slot::set<Member, off_t, Post>(
        cf, conf, [&] { return parse_offset(cf.args[1]); }, "invalid value");
}

/// Sets a time in ms. A number without a unit is in seconds.
///
/// nginx: ngx_conf_set_msec_slot()
template <auto Member, auto Post = nullptr>
const char* conf_set_msec_slot(Conf& cf, const Command&, void* conf)
{
    return slot::set<Member, Msec, Post>(
        cf, conf, [&] { return parse_msec(cf.args[1]); }, "invalid value");
}

/// Sets a time in seconds.
///
/// nginx: ngx_conf_set_sec_slot()
template <auto Member, auto Post = nullptr>
const char* conf_set_sec_slot(Conf& cf, const Command&, void* conf)
{
    return slot::set<Member, Seconds, Post>(
        cf, conf, [&] { return parse_sec(cf.args[1]); }, "invalid value");
}

/// Sets a number of buffers and their size in bytes; neither may be 0.
///
/// nginx: ngx_conf_set_bufs_slot()
template <auto Member>
const char* conf_set_bufs_slot(Conf& cf, const Command&, void* conf)
{
    const auto parsed = [&]() -> std::optional<Bufs> {
        const auto num = atoi(cf.args[1]);
        const auto size = parse_size(cf.args[2]);
        if (!num || *num == 0 || !size || *size == 0) {
            return std::nullopt;
        }
        return Bufs{*num, *size};
    };
    return slot::set<Member, Bufs, nullptr>(cf, conf, parsed, "invalid value");
}

/// Appends one string each time the directive occurs.
///
/// nginx: ngx_conf_set_str_array_slot()
template <auto Member>
const char* conf_set_str_array_slot(Conf& cf, const Command&, void* conf)
{
    static_assert(std::is_same_v<slot::Type<Member>, std::vector<std::string_view>>);
    slot::field<Member>(conf).push_back(cf.args[1]);
    return conf_ok;
}

/// Appends one pair each time the directive occurs.
///
/// nginx: ngx_conf_set_keyval_slot()
template <auto Member>
const char* conf_set_keyval_slot(Conf& cf, const Command&, void* conf)
{
    static_assert(std::is_same_v<slot::Type<Member>, std::vector<Keyval>>);
    slot::field<Member>(conf).push_back({cf.args[1], cf.args[2]});
    return conf_ok;
}

/// Sets the value of a word in `Table`, an array of ConfEnum. Ignores case.
///
/// nginx: ngx_conf_set_enum_slot()
template <auto Member, const auto& Table>
const char* conf_set_enum_slot(Conf& cf, const Command&, void* conf)
{
    auto& value = slot::field<Member>(conf);
    if (value) {
        return "is duplicate";
    }
    for (const auto& e : Table) {
        if (strcaseeq(e.name, cf.args[1])) {
            value = e.value;
            return conf_ok;
        }
    }
    return conf_invalid_value(cf);
}

/// Sets the bits of the words in `Table`, an array of ConfBitmask. Unset is 0.
///
/// nginx: ngx_conf_set_bitmask_slot()
template <auto Member, const auto& Table>
const char* conf_set_bitmask_slot(Conf& cf, const Command&, void* conf)
{
    static_assert(std::is_same_v<slot::Type<Member>, std::uint64_t>);

    std::uint64_t& value = slot::field<Member>(conf);
    for (std::size_t i = 1; i < cf.args.size(); i++) {
        const ConfBitmask* found = nullptr;
        for (const ConfBitmask& bit : Table) {
            found = strcaseeq(bit.name, cf.args[i]) ? &bit : found;
        }
        if (!found) {
            return conf_invalid_value(cf, i);
        }
        if ((value & found->mask) != 0) {
            conf_log_error(log_warn, cf, 0, "duplicate value \"{}\"", cf.args[i]);
        }
        value |= found->mask;
    }
    return conf_ok;
}

}  // namespace ngx
