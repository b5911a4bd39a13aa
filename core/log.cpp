#include "core/log.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <poll.h>
#include <string>
#include <unistd.h>

#include "auto_build.hpp"
#include "core/file.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "os/unix/files.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process_state.hpp"

namespace ngx {

namespace {

using std::string_view_literals::operator""sv;

/// The names of the levels; 0 has none.
constexpr std::array<std::string_view, 9> err_levels = {
    "", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
};

/// The names of the debug bits, from log_debug_first on.
constexpr std::array<std::string_view, 7> debug_levels = {
    "debug_core", "debug_alloc", "debug_mutex",  "debug_event",
    "debug_http", "debug_mail",  "debug_stream",
};
static_assert(log_debug_first << (debug_levels.size() - 1) == log_debug_last);

struct {
    Log log{};
    OpenFile file{};
} state;

/// Whether a line of the master to stderr would wait for a reader.
///
/// Differs from nginx: with nginx, a pipe as stderr that is full blocks the master, which obeys no
/// signal and replaces no worker until the pipe is read. With ngxx the master's lines are lost; its
/// workers wait as in nginx. A line of the master to stderr costs a call of poll().
bool has_no_room(int fd) noexcept
{
    if (fd != STDERR_FILENO || process != Process::master) {
        return false;
    }
    pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
    return ::poll(&entry, 1, 0) == 0;
}

/// Writes a line to a log's file. After ENOSPC it skips the log for the rest of the second, as a
/// write may block. Threads of a pool may write to the same log.
bool write_file(Log& log, std::string_view line) noexcept
{
    if (has_no_room(log.file->fd)) {
        return true;
    }
    const std::atomic_ref<std::time_t> disk_full_time(log.disk_full_time);
    if (time() == disk_full_time.load(std::memory_order_relaxed)) {
        return false;
    }
    if (::write(log.file->fd, line.data(), line.size()) == -1 && errno == ENOSPC) {
        disk_full_time.store(time(), std::memory_order_relaxed);
    }
    return log.file->fd == STDERR_FILENO;
}

/// Writes to every log of the chain that accepts the level. Returns whether stderr was one of them.
bool write_chain(Log* log, unsigned level, char* buf, std::size_t len) noexcept
{
    const bool debug_connection = (log->log_level & log_debug_connection) != 0;
    bool wrote_stderr = false;

    for (; log && (log->log_level >= level || debug_connection); log = log->next) {
        if (log->writer) {
            log->writer(*log, level, buf, len);
        } else {
            wrote_stderr |= write_file(*log, {buf, len});
        }
    }
    return wrote_stderr;
}

/// nginx: ngx_write_stderr()
void write_stderr(std::string_view line) noexcept
{
    // stderr is the last resort; its own failure cannot be reported.
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
}

char* format_to(char* p, char* last, fmt::string_view format, fmt::format_args args)
{
    return fmt::vformat_to_n(p, static_cast<std::size_t>(last - p), format, args).out;
}

/// Writes the control characters of [msg, end) as \xNN, as they come from foreign data. Returns the
/// new end.
///
/// Differs from nginx: with nginx a client can put escape sequences and line feeds into the log.
char* escape_control(char* msg, const char* end, const char* last) noexcept
{
    const auto is_control = [](char ch) {
        return static_cast<unsigned char>(ch) < 0x20 || ch == 0x7f;
    };
    if (std::none_of(static_cast<const char*>(msg), end, is_control)) {
        return msg + (end - msg);
    }
    std::array<char, max_error_str> text;
    const std::string_view raw(
        text.data(),
        static_cast<std::size_t>(std::copy_n(msg, end - msg, text.data()) - text.data()));
    constexpr std::string_view digits = "0123456789ABCDEF";
    char* p = msg;
    for (const char ch : raw) {
        if (last - p < 4) {
            break;
        }
        if (is_control(ch)) {
            const auto code = static_cast<unsigned char>(ch);
            p = std::ranges::copy("\\x"sv, p).out;
            *p++ = digits[code >> 4];
            *p++ = digits[code & 0xf];
        } else {
            *p++ = ch;
        }
    }
    return p;
}

/// Returns the path of the built-in log; a relative one gets the prefix.
std::string built_in_log_path(const char* prefix, std::string_view name)
{
    if (name.starts_with('/')) {
        return std::string(name);
    }
    std::string path = prefix ? prefix : std::string(default_prefix);
    if (!path.empty() && path.back() != '/') {
        path += '/';
    }
    return path.append(name);
}

}  // namespace

bool use_stderr = true;
pid_t log_pid;

void log_error_core(unsigned level, Log* log, Err err, fmt::string_view format,
                    fmt::format_args args) noexcept
{
    assert(level < err_levels.size());
    const int saved_errno = errno;
    std::array<char, max_error_str> errstr;
    char* const last = errstr.data() + errstr.size() - 1;  // leaves space for the line feed

    char* p = slprintf(errstr.data(), last, "{} [{}] {}#{}: ", *cached_err_log_time,
                       err_levels[level], log_pid, log_pid);
    if (log->connection != 0) {
        p = slprintf(p, last, "*{} ", log->connection);
    }
    const char* const msg = p;

    p = format_to(p, last, format, args);
    if (err != 0) {
        p = log_errno(p, last, err);
    }
    if (level != log_debug_level && log->handler) {
        p = log->handler(*log, p, static_cast<std::size_t>(last - p));
    }
    p = escape_control(errstr.data() + (msg - errstr.data()), p, last);
    *p++ = '\n';

    const bool wrote_stderr =
        write_chain(log, level, errstr.data(), static_cast<std::size_t>(p - errstr.data()));

    if (use_stderr && level <= log_warn && !wrote_stderr) {
        std::array<char, max_error_str + 32> line;
        const char* end =
            slprintf(line.data(), line.data() + line.size(), "{}: [{}] {}", server_name,
                     err_levels[level], std::string_view(msg, static_cast<std::size_t>(p - msg)));
        write_stderr({line.data(), static_cast<std::size_t>(end - line.data())});
    }
    errno = saved_errno;
}

void log_stderr_core(Err err, fmt::string_view format, fmt::format_args args) noexcept
{
    std::array<char, max_error_str> errstr;
    char* const last = errstr.data() + errstr.size() - 1;

    char* p = slprintf(errstr.data(), last, "{}: ", server_name);
    p = format_to(p, last, format, args);
    if (err != 0) {
        p = log_errno(p, last, err);
    }
    *p++ = '\n';
    write_stderr({errstr.data(), static_cast<std::size_t>(p - errstr.data())});
}

char* log_errno(char* buf, char* last, Err err) noexcept
{
    constexpr std::ptrdiff_t room = 50;  // enough for the number and most texts
    if (last - buf < room) {
        buf = std::fill_n(last - room, 3, '.');
    }
    return slprintf(buf, last, " ({}: {})", err, strerror(err));
}

Log* log_init(const char* prefix, const char* error_log_name)
{
    const std::string_view name = error_log_name ? error_log_name : default_error_log_path;

    state.log = {.log_level = log_notice, .file = &state.file};
    state.file.fd = STDERR_FILENO;

    if (!name.empty()) {
        const std::string path = built_in_log_path(prefix, name);
        state.file.fd = open_append(path.c_str());
        if (state.file.fd == invalid_file) {
            // Differs from nginx: the message says how to set another file. It costs a longer
            // message.
            log_stderr(errno,
                       "[alert] could not open error log file: open() \"{}\" failed "
                       "(set another by -e FILE)",
                       path);
            state.file.fd = STDERR_FILENO;
        }
    }
    return &state.log;
}

Log* log_get_file_log(Log* head) noexcept
{
    while (head && !head->file) {
        head = head->next;
    }
    return head;
}

void log_insert(Log& head, Log& added) noexcept
{
    assert(&head != &added && !added.next);
    if (added.log_level > head.log_level) {
        std::swap(head, added);
        head.next = &added;
        return;
    }

    Log* before = &head;
    while (before->next && added.log_level <= before->next->log_level) {
        before = before->next;
    }
    added.next = before->next;
    before->next = &added;
}

unsigned find_err_level(std::string_view word) noexcept
{
    const auto found = std::find(err_levels.begin() + 1, err_levels.end(), word);
    return found == err_levels.end() ? 0 : static_cast<unsigned>(found - err_levels.begin());
}

unsigned find_debug_level(std::string_view word) noexcept
{
    const auto found = std::ranges::find(debug_levels, word);
    return found == debug_levels.end() ? 0 : log_debug_first << (found - debug_levels.begin());
}

}  // namespace ngx
