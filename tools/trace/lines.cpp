#include "tools/trace/lines.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <unistd.h>

namespace ngx::trace {

namespace {

constexpr std::size_t max_lines = 32768;
constexpr std::size_t max_text = 4 * 1024 * 1024;

struct {
    std::array<Line, max_lines> lines;
    std::array<char, max_text> text;
    std::size_t lines_n = 0;
    std::size_t text_n = 0;
    std::size_t lost = 0;
    std::atomic_flag locked = ATOMIC_FLAG_INIT;
} state;

/// Locks the lines against other threads and against signal handlers of this thread.
class Lock {
public:
    Lock() noexcept
    {
        while (state.locked.test_and_set(std::memory_order_acquire)) {}
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() { state.locked.clear(std::memory_order_release); }

private:
    SignalsBlocked blocked_{};
};

/// Returns the text of a line, without time, level and process.
std::string_view text_of(std::string_view line) noexcept
{
    const std::size_t level_end = line.find("] ");
    const std::size_t start = line.find(": ", level_end == line.npos ? 0 : level_end);
    if (start != line.npos) {
        line.remove_prefix(start + 2);
    }
    if (line.ends_with('\n')) {
        line.remove_suffix(1);
    }
    return line;
}

/// Returns the event whose address is at the end of the text. The event exists, because this
/// function is called while its line is being logged.
EventInfo event_of(std::string_view text) noexcept
{
    constexpr std::string_view mark = " event 0x";
    const std::size_t at = text.find(mark);
    if (at == text.npos || text.starts_with("epoll: stale")) {
        return {};
    }
    std::uintptr_t address = 0;
    for (const char ch : text.substr(at + mark.size())) {
        const int digit = ch >= 'a' ? ch - 'a' + 10 : ch - '0';
        if (digit < 0 || digit > 15) {
            return {};
        }
        address = address * 16 + static_cast<unsigned>(digit);
    }
    return event_info(*reinterpret_cast<const Event*>(address));
}

/// Returns null if there is no room. The caller holds the lock.
Line* new_line(std::size_t size) noexcept
{
    if (state.lines_n == max_lines || max_text - state.text_n < size) {
        state.lost++;
        return nullptr;
    }
    Line& line = state.lines[state.lines_n++];
    line = {.time = now(), .thread = ::gettid(), .start = state.text_n, .size = size};
    return &line;
}

}  // namespace

SignalsBlocked::SignalsBlocked() noexcept
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked()
{
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

std::int64_t now() noexcept
{
    timespec ts{};
    ::clock_gettime(CLOCK_MONOTONIC, &ts);
    return std::int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

/// An event's data is a connection or an object whose descriptor has the same offset; the debug
/// lines of timers depend on that as well.
EventInfo event_info(const Event& ev) noexcept
{
    return {.handler = ev.handler,
            .event = &ev,
            .fd = ev.data ? event_ident(ev) : invalid_socket,
            .write = ev.write != 0,
            .accept = ev.accept != 0};
}

void add_line(unsigned level, std::string_view line) noexcept
{
    const std::string_view text = text_of(line);
    const Lock lock;
    if (Line* const added = new_line(text.size())) {
        added->level = level;
        added->event = level == log_debug_level ? event_of(text) : EventInfo{};
        std::memcpy(state.text.data() + state.text_n, text.data(), text.size());
        state.text_n += text.size();
    }
}

void add_timeout(const Timeout& timeout) noexcept
{
    const Lock lock;
    if (Line* const line = new_line(0)) {
        line->is_timeout = true;
        line->timeout = timeout;
    }
}

void take_lines(Lines& lines)
{
    const Lock lock;
    lines.lines.assign(state.lines.begin(), state.lines.begin() + std::ptrdiff_t(state.lines_n));
    lines.buffer.assign(state.text.begin(), state.text.begin() + std::ptrdiff_t(state.text_n));
    lines.lost = state.lost;
    state.lines_n = 0;
    state.text_n = 0;
    state.lost = 0;
}

}  // namespace ngx::trace
