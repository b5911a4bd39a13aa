#pragma once

#include <ctime>
#include <string_view>

#include <fmt/core.h>

#include "core/core.hpp"

namespace ngx {

/// The level of a log is one of these numbers, or any of the debug masks below them.
///
/// nginx: NGX_LOG_STDERR, NGX_LOG_EMERG, NGX_LOG_ALERT, NGX_LOG_CRIT, NGX_LOG_ERR, NGX_LOG_WARN,
/// NGX_LOG_NOTICE, NGX_LOG_INFO, NGX_LOG_DEBUG
inline constexpr unsigned log_stderr_level = 0;
inline constexpr unsigned log_emerg = 1;
inline constexpr unsigned log_alert = 2;
inline constexpr unsigned log_crit = 3;
inline constexpr unsigned log_err = 4;
inline constexpr unsigned log_warn = 5;
inline constexpr unsigned log_notice = 6;
inline constexpr unsigned log_info = 7;
inline constexpr unsigned log_debug_level = 8;

/// The debug masks.
///
/// nginx: NGX_LOG_DEBUG_CORE, NGX_LOG_DEBUG_ALLOC, NGX_LOG_DEBUG_MUTEX, NGX_LOG_DEBUG_EVENT,
/// NGX_LOG_DEBUG_HTTP, NGX_LOG_DEBUG_MAIL, NGX_LOG_DEBUG_STREAM, NGX_LOG_DEBUG_FIRST,
/// NGX_LOG_DEBUG_LAST, NGX_LOG_DEBUG_CONNECTION, NGX_LOG_DEBUG_ALL
inline constexpr unsigned log_debug_core = 0x010;
inline constexpr unsigned log_debug_alloc = 0x020;
inline constexpr unsigned log_debug_mutex = 0x040;
inline constexpr unsigned log_debug_event = 0x080;
inline constexpr unsigned log_debug_http = 0x100;
inline constexpr unsigned log_debug_mail = 0x200;
inline constexpr unsigned log_debug_stream = 0x400;
inline constexpr unsigned log_debug_first = log_debug_core;
inline constexpr unsigned log_debug_last = log_debug_stream;
inline constexpr unsigned log_debug_connection = 0x80000000;
inline constexpr unsigned log_debug_all = 0x7ffffff0;

/// The size of the longest line in bytes, with its line feed. Longer lines are cut.
///
/// nginx: NGX_MAX_ERROR_STR
inline constexpr std::size_t max_error_str = 2048;

/// Appends what the log's owner is doing (", client: ..."). Returns the new end, at most buf + len.
///
/// nginx: ngx_log_handler_pt
using LogHandler = char* (*)(Log& log, char* buf, std::size_t len);

/// Writes a whole line, its line feed included, to a destination other than a file.
///
/// nginx: ngx_log_writer_pt
using LogWriter = void (*)(Log& log, unsigned level, char* buf, std::size_t len);

/// One destination of log lines, and a link to the next. A chain is ordered by falling level, so
/// that a walk can stop at the first log that does not accept the line. The head of a chain never
/// moves. A log owns neither its file nor the next log. Its members change only in the loop's
/// thread; threads of a pool may write lines.
///
/// nginx: ngx_log_t
struct Log {
    unsigned log_level = 0;
    OpenFile* file = nullptr;
    std::uint64_t connection = 0;
    std::time_t disk_full_time = 0;
    LogHandler handler = nullptr;
    void* data = nullptr;
    LogWriter writer = nullptr;
    void* wdata = nullptr;
    const char* action = nullptr;
    Log* next = nullptr;
};

/// True until the first cycle has its own logs: lines of level warn and worse then also go to
/// stderr.
///
/// nginx: ngx_use_stderr
extern bool use_stderr;

/// The process id in log lines, updated at the start and after each fork.
///
/// nginx: ngx_log_pid
extern pid_t log_pid;

/// Writes one line to every log of the chain that accepts `level`. Preserves errno.
///
/// nginx: ngx_log_error_core()
void log_error_core(unsigned level, Log* log, Err err, fmt::string_view format,
                    fmt::format_args args) noexcept;

/// Logs at a level from emerg to info. `err` is an errno to append, or 0. Any thread may call it.
///
/// nginx: ngx_log_error()
template <typename... Args>
void log_error(unsigned level, Log* log, Err err, fmt::format_string<Args...> format,
               const Args&... args) noexcept
{
    if (log->log_level >= level) {
        log_error_core(level, log, err, format, fmt::make_format_args(args...));
    }
}

/// Logs if `mask` is on in the log's level. It compiles to nothing without debug support; with it,
/// a mask that is off costs one test.
///
/// nginx: ngx_log_debug0()
template <typename... Args>
void log_debug([[maybe_unused]] unsigned mask, [[maybe_unused]] Log* log, [[maybe_unused]] Err err,
               [[maybe_unused]] fmt::format_string<Args...> format,
               [[maybe_unused]] const Args&... args) noexcept
{
    if constexpr (have_debug) {
        if ((log->log_level & mask) != 0) {
            log_error_core(log_debug_level, log, err, format, fmt::make_format_args(args...));
        }
    }
}

/// Writes "ngxx: MESSAGE (errno: text)" to stderr. Used when no log is available.
///
/// nginx: ngx_log_stderr()
void log_stderr_core(Err err, fmt::string_view format, fmt::format_args args) noexcept;

/// Does the same for arguments; the compiler checks the format.
///
/// nginx: ngx_log_stderr()
template <typename... Args>
void log_stderr(Err err, fmt::format_string<Args...> format, const Args&... args) noexcept
{
    log_stderr_core(err, format, fmt::make_format_args(args...));
}

/// Appends " (2: No such file or directory)", and shortens the text before it if there is not
/// enough space. Returns the new end.
///
/// nginx: ngx_log_errno()
char* log_errno(char* buf, char* last, Err err) noexcept;

/// Opens the log that is used until the first cycle has its own: `error_log` if it is not null
/// (empty means stderr), else the built-in path, relative to `prefix` or to the built-in prefix. If
/// the file cannot be opened, that is reported on stderr, and stderr is used instead. The log is a
/// static object.
///
/// nginx: ngx_log_init()
Log* log_init(const char* prefix, const char* error_log);

/// Returns the first log of the chain that writes to a file, or null.
///
/// nginx: ngx_log_get_file_log()
Log* log_get_file_log(Log* head) noexcept;

/// Inserts a log at its place in the chain. Other objects point to the head, so a log that belongs
/// first swaps its contents with the head.
///
/// nginx: ngx_log_insert()
void log_insert(Log& head, Log& added) noexcept;

/// Returns the number of a level that may follow the file in `error_log`; 0 if it is unknown.
unsigned find_err_level(std::string_view word) noexcept;

/// Returns the mask of debug lines that `error_log` calls `word`; 0 if it is unknown.
unsigned find_debug_level(std::string_view word) noexcept;

}  // namespace ngx
