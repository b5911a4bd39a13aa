#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "core/core.hpp"
#include "core/file.hpp"
#include "core/log.hpp"
#include "core/module.hpp"

namespace ngx {

/// The type of a command: the number of arguments (low byte), the kind of command, the blocks that
/// allow it.
///
/// nginx: NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_CONF_TAKE2, NGX_CONF_TAKE3, NGX_CONF_TAKE4,
/// NGX_CONF_TAKE5, NGX_CONF_TAKE6, NGX_CONF_TAKE7, NGX_CONF_TAKE12, NGX_CONF_TAKE13,
/// NGX_CONF_TAKE23, NGX_CONF_TAKE123, NGX_CONF_TAKE1234, NGX_CONF_BLOCK, NGX_CONF_FLAG,
/// NGX_CONF_ANY, NGX_CONF_1MORE, NGX_CONF_2MORE, NGX_DIRECT_CONF, NGX_MAIN_CONF, NGX_ANY_CONF
inline constexpr std::uint32_t conf_noargs = 0x00000001;
inline constexpr std::uint32_t conf_take1 = 0x00000002;
inline constexpr std::uint32_t conf_take2 = 0x00000004;
inline constexpr std::uint32_t conf_take3 = 0x00000008;
inline constexpr std::uint32_t conf_take4 = 0x00000010;
inline constexpr std::uint32_t conf_take5 = 0x00000020;
inline constexpr std::uint32_t conf_take6 = 0x00000040;
inline constexpr std::uint32_t conf_take7 = 0x00000080;
inline constexpr std::uint32_t conf_take12 = conf_take1 | conf_take2;
inline constexpr std::uint32_t conf_take13 = conf_take1 | conf_take3;
inline constexpr std::uint32_t conf_take23 = conf_take2 | conf_take3;
inline constexpr std::uint32_t conf_take123 = conf_take12 | conf_take3;
inline constexpr std::uint32_t conf_take1234 = conf_take123 | conf_take4;
inline constexpr std::uint32_t conf_block = 0x00000100;
inline constexpr std::uint32_t conf_flag = 0x00000200;
inline constexpr std::uint32_t conf_any = 0x00000400;
inline constexpr std::uint32_t conf_1more = 0x00000800;
inline constexpr std::uint32_t conf_2more = 0x00001000;
inline constexpr std::uint32_t direct_conf = 0x00010000;
inline constexpr std::uint32_t main_conf = 0x01000000;
inline constexpr std::uint32_t any_conf = 0xFF000000;

/// The maximum number of words, the name included, of a directive that takes a fixed number of
/// arguments.
///
/// nginx: NGX_CONF_MAX_ARGS
inline constexpr std::size_t conf_max_args = 8;

/// The longest message of conf_log_error(), without the place.
///
/// nginx: NGX_MAX_CONF_ERRSTR
inline constexpr std::size_t max_conf_errstr = 1024;

/// The result of a directive's function: conf_ok; conf_error if the function has logged the error;
/// or a text, which the parser logs with the directive's name and place.
///
/// nginx: NGX_CONF_OK, NGX_CONF_ERROR
inline constexpr const char* conf_ok = nullptr;
inline constexpr char conf_error[] = "";

/// A directive: its name, its type (above) and its function. `conf` is the level of the enclosing
/// block's context whose configuration the function gets; nginx has an offset in its place.
///
/// nginx: ngx_command_t
struct Command {
    std::string_view name;
    std::uint32_t type;
    const char* (*set)(Conf& cf, const Command& cmd, void* conf);
    std::size_t conf = 0;

    /// Formats the value in a configuration as the directive would have it; empty if the value is
    /// not set. Used by tools; may be null.
    std::string (*show)(const void* conf) = nullptr;
};

/// The value that an events, stream or other block stores in `conf_ctx`: for each of its levels an
/// array of the configurations of the block's modules, indexed by ctx_index. An events block has
/// one level; a stream block has two: level 0 is main, level 1 is the server. The third level is
/// not used; nginx's http has three. The cycle's pool owns all of it.
struct BlockCtx {
    void** conf[3] = {};
};

/// The text of a file, stored for -T.
///
/// nginx: ngx_conf_dump_t
struct ConfDump {
    std::string name;
    std::string buffer;
};

/// The input of the parser and its position: a file, a named text, or the -g option (the latter two
/// have fd -1). [pos, last) of `buffer` has been read and not yet parsed.
///
/// nginx: ngx_conf_file_t
struct ConfFile {
    int fd = invalid_file;
    std::string_view name{};
    off_t offset = 0;  // where the next read begins
    off_t size = 0;
    std::size_t line = 1;
    std::string buffer{};
    std::size_t pos = 0;
    std::size_t last = 0;
    std::size_t base = 0;        // offset of the buffer in the file
    std::size_t line_start = 0;  // offset of the line in the file
    ConfDump* dump = nullptr;
};

/// Handles the lines of a block in place of directives, for blocks such as http's `types`.
///
/// nginx: ngx_conf_handler_pt
using ConfHandler = const char* (*)(Conf& cf, void* conf);

/// The state of a parse. `args` holds the words of the current directive, its name first. Each word
/// ends in a zero byte and lives as long as the cycle. A Conf owns nothing but the vector of words.
///
/// nginx: ngx_conf_t
struct Conf {
    std::vector<std::string_view> args{};
    Cycle* cycle = nullptr;
    Pool* pool = nullptr;
    ConfFile* conf_file = nullptr;
    Log* log = nullptr;
    BlockCtx* ctx = nullptr;  // null at the main level
    ModuleType module_type = ModuleType::core;
    std::uint32_t cmd_type = main_conf;
    ConfHandler handler = nullptr;
    void* handler_conf = nullptr;
    std::size_t line = 0;    // where the current directive begins, from 1
    std::size_t column = 0;  // in bytes, from 1
};

/// Restores the state of the parser at the end of a scope, such as that of a block's directive.
class ConfScope {
public:
    explicit ConfScope(Conf& cf) : cf_(cf), before_(cf) {}
    ConfScope(const ConfScope&) = delete;
    ConfScope& operator=(const ConfScope&) = delete;
    ~ConfScope() { cf_ = std::move(before_); }

private:
    Conf& cf_;
    Conf before_;
};

/// A line of a configuration, from 1. `file` is empty for the -g option. A line of 0 means that an
/// error has no place.
struct ConfPlace {
    std::string_view file{};
    std::size_t line = 0;
};

/// Functions that are called before each file is read, before and after each directive's function,
/// and for each error: what conf_log_error() logs at the level emerg. `text` is the message without
/// its place, and valid during the call. Each function may be null. Used by tools.
struct ConfObserver {
    void (*file)(std::string_view name, void* data) = nullptr;
    void (*begin)(const Conf& cf, const Module& module, const Command& cmd, void* data) = nullptr;
    void (*end)(const Conf& cf, void* data) = nullptr;
    void (*error)(const ConfPlace& place, std::string_view text, void* data) = nullptr;
    void* data = nullptr;
};

/// Null if there is no observer. The observer belongs to the code that sets it.
extern const ConfObserver* conf_observer;

/// False if a tool reads the configuration of another machine: users, groups and hosts are then not
/// looked up, `load_module` loads nothing, and processors are not counted. The results are those of
/// a machine on which each exists.
extern bool conf_looks_up;

extern Module conf_module;

/// Parses the directives of the -g option, if there are any. Returns conf_ok, or conf_error after
/// logging.
///
/// nginx: ngx_conf_param()
const char* conf_param(Conf& cf);

/// Parses a file, or without a name what `cf.conf_file` holds: the rest of a block up to its "}",
/// or the -g option. Returns conf_ok, or conf_error after logging.
///
/// nginx: ngx_conf_parse()
const char* conf_parse(Conf& cf, std::optional<std::string_view> filename = std::nullopt);

/// Parses a text as if it were in a file of that name. `name` stands for the file in messages; it
/// must not be empty, and must live as long as the cycle.
const char* conf_parse_text(Conf& cf, std::string_view name, std::string_view text);

/// The directive `include FILE|GLOB;`. A glob without a match is not an error, a missing file is.
///
/// nginx: ngx_conf_include()
const char* conf_include(Conf& cf, const Command& cmd, void* conf);

/// Returns an absolute path as it is, and others with the prefix in front, or with the directory of
/// the configuration file if `conf_prefix` is true. The result ends in a zero byte and lives as
/// long as the cycle.
///
/// nginx: ngx_conf_full_name()
std::string_view conf_full_name(Cycle& cycle, std::string_view name, bool conf_prefix);

/// Returns the cycle's file of this name, and adds it if necessary. An empty name means stderr. The
/// cycle owns the file, and opens it after the configuration has been read.
///
/// nginx: ngx_conf_open_file()
OpenFile* conf_open_file(Cycle& cycle, std::string_view name);

/// Returns the place at which the parser is.
ConfPlace conf_place(const Conf& cf) noexcept;

/// Logs a message with the text of `err`, if it is not 0, and the place.
///
/// nginx: ngx_conf_log_error()
void conf_log_error_core(unsigned level, Log* log, const ConfPlace& place, Err err,
                         fmt::string_view format, fmt::format_args args) noexcept;

/// Logs a message about a place that the parser has left, or about the whole configuration if
/// `place` is empty. The place is appended to the message.
///
/// nginx: ngx_conf_log_error()
template <typename... Args>
void conf_log_error(unsigned level, Log* log, const ConfPlace& place, Err err,
                    fmt::format_string<Args...> format, const Args&... args) noexcept
{
    conf_log_error_core(level, log, place, err, format, fmt::make_format_args(args...));
}

/// Logs a message with the parser's place appended.
///
/// nginx: ngx_conf_log_error()
template <typename... Args>
void conf_log_error(unsigned level, Conf& cf, Err err, fmt::format_string<Args...> format,
                    const Args&... args) noexcept
{
    conf_log_error_core(level, cf.log, conf_place(cf), err, format, fmt::make_format_args(args...));
}

/// Returns the configuration of a core module. `T::module` names its module.
///
/// nginx: ngx_get_conf()
template <typename T>
T* get_conf(void* const* conf_ctx) noexcept
{
    return static_cast<T*>(conf_ctx[T::module->index]);
}

/// Sets an unset value to its default.
///
/// nginx: ngx_conf_init_value()
template <typename T, typename Default>
void conf_init_value(std::optional<T>& value, const Default& fallback)
{
    if (!value) {
        value = fallback;
    }
}

/// Sets an unset value to that of the level above, or to the default if that is unset, too.
///
/// nginx: ngx_conf_merge_value()
template <typename T, typename Default>
void conf_merge_value(std::optional<T>& value, const std::optional<T>& prev,
                      const Default& fallback)
{
    if (!value) {
        value = prev ? *prev : T(fallback);
    }
}

}  // namespace ngx
