#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "core/core.hpp"
#include "core/log.hpp"
#include "core/module.hpp"

namespace ngx {

/// A command's type: how many arguments (low byte), what kind of command, where it may stand.
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

/// The most words of a command whose arguments are counted, its name included.
inline constexpr std::size_t conf_max_args = 8;

/// The longest message of conf_log_error(), before the place is added.
inline constexpr std::size_t max_conf_errstr = 1024;

/// What a directive's function answers: conf_ok; conf_error when it has logged the error itself;
/// or a text, to which the parser adds the directive's name and the place.
inline constexpr const char* conf_ok = nullptr;
inline constexpr char conf_error[] = "";

/// A directive: its name, its type (above) and the function that takes it. `conf` says which
/// level of the enclosing block's context the function gets: nginx's offset, as an index.
///
/// nginx: ngx_command_t
struct Command {
    std::string_view name;
    std::uint32_t type;
    const char* (*set)(Conf& cf, const Command& cmd, void* conf);
    std::size_t conf = 0;

    /// The value in a configuration that was read, as the directive would have it; empty if there
    /// is none. For tools; may be null.
    std::string (*show)(const void* conf) = nullptr;
};

/// What an events, stream or other block leaves in `conf_ctx`: for each of its levels an array
/// of the configurations of the block's modules, by their ctx_index. An events block has one
/// level; in stream, level 0 is the main one, level 1 the server's.
struct BlockCtx {
    void** conf[3] = {};
};

/// A file that the process keeps open for writing, such as a log: one of its name in a cycle.
///
/// nginx: ngx_open_file_t
struct OpenFile {
    int fd = invalid_file;
    std::string name{};  // empty means stderr
    void (*flush)(OpenFile& file, Log* log) = nullptr;
    void* data = nullptr;
};

/// A file's text as it was read, for -T.
///
/// nginx: ngx_conf_dump_t
struct ConfDump {
    std::string name;
    std::string buffer;
};

/// Where the parser stands: a file, a text with a name, or the -g option (both fd -1). The window
/// [pos, last) of `buffer` is what was read and not yet parsed.
///
/// nginx: ngx_conf_file_t
struct ConfFile {
    int fd = invalid_file;
    std::string_view name{};
    off_t offset = 0;  // of the next read
    off_t size = 0;
    std::size_t line = 1;
    std::string buffer{};
    std::size_t pos = 0;
    std::size_t last = 0;
    std::size_t base = 0;        // of the buffer, in the file
    std::size_t line_start = 0;  // in the file
    ConfDump* dump = nullptr;
};

/// In place of the directives of a block, for blocks such as http's `types`.
///
/// nginx: ngx_conf_handler_pt
using ConfHandler = const char* (*)(Conf& cf, void* conf);

/// The state of a parse. `args` are the words of the directive at hand, its name first; each
/// ends in a zero byte, and they live as long as the cycle.
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
    std::size_t line = 0;    // where the directive at hand begins, from 1
    std::size_t column = 0;  // in bytes, from 1
};

/// Is told of each file before it is read, and of each directive before its function is called,
/// and after. For tools.
struct ConfObserver {
    void (*file)(std::string_view name, void* data);
    void (*begin)(const Conf& cf, const Module& module, const Command& cmd, void* data);
    void (*end)(const Conf& cf, void* data);
    void* data;
};

/// Null if nobody wants to know.
extern const ConfObserver* conf_observer;

extern Module conf_module;

/// Parses the directives of the -g option, if there was one.
///
/// nginx: ngx_conf_param()
const char* conf_param(Conf& cf);

/// Parses a file; or without a name, what `cf.conf_file` holds: the rest of a block up to its
/// "}", or the -g option. Every error has been logged when conf_error comes back.
///
/// nginx: ngx_conf_parse()
const char* conf_parse(Conf& cf, std::optional<std::string_view> filename = std::nullopt);

/// Parses a text as if a file of that name held it. `name`, which must not be empty and has to live
/// as long as the cycle, is the place in messages.
const char* conf_parse_text(Conf& cf, std::string_view name, std::string_view text);

/// `include FILE|GLOB;`. A glob that matches nothing is no error, a missing file is.
///
/// nginx: ngx_conf_include()
const char* conf_include(Conf& cf, const Command& cmd, void* conf);

/// The path itself if it is absolute, else put behind the prefix, or behind the directory of the
/// configuration file. Ends in a zero byte and lives as long as the cycle.
///
/// nginx: ngx_conf_full_name()
std::string_view conf_full_name(Cycle& cycle, std::string_view name, bool conf_prefix);

/// The cycle's file of this name, added to it if it is new; an empty name means stderr. It is
/// opened when the configuration has been read.
///
/// nginx: ngx_conf_open_file()
OpenFile* conf_open_file(Cycle& cycle, std::string_view name);

/// nginx: ngx_conf_log_error()
void conf_log_error_core(unsigned level, Conf& cf, Err err, fmt::string_view format,
                         fmt::format_args args) noexcept;

/// Logs a message with the place in the configuration behind it.
///
/// nginx: ngx_conf_log_error()
template <typename... Args>
void conf_log_error(unsigned level, Conf& cf, Err err, fmt::format_string<Args...> format,
                    const Args&... args) noexcept
{
    conf_log_error_core(level, cf, err, format, fmt::make_format_args(args...));
}

/// The configuration of a core module. T names its module in `T::module`.
///
/// nginx: ngx_get_conf()
template <typename T>
T* get_conf(void* const* conf_ctx) noexcept
{
    return static_cast<T*>(conf_ctx[T::module->index]);
}

/// Gives an unset value its default.
///
/// nginx: ngx_conf_init_value()
template <typename T, typename Default>
void conf_init_value(std::optional<T>& value, const Default& fallback)
{
    if (!value) {
        value = fallback;
    }
}

/// Gives a server's unset value that of the level above, or else the default.
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
