#include "tools/trace/lines.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fmt/format.h>
#include <span>
#include <unistd.h>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/log.hpp"

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

/// Appends the text of the line that was added last, for which there is room. The caller holds the
/// lock.
void add_text(std::string_view text) noexcept
{
    std::copy(text.begin(), text.end(), state.text.data() + state.text_n);
    state.text_n += text.size();
}

/// Writes "accept on 127.0.0.1:8007: *1 127.0.0.1:53282 fd:11" for an accepted connection. Returns
/// the number of bytes.
std::size_t write_accepted(const Connection& c, std::span<char> text) noexcept
{
    const auto result = fmt::format_to_n(text.data(), text.size(), "accept on {}: *{} {} fd:{}",
                                         c.listening->addr_text, c.number,
                                         SockaddrText(c.sockaddr, c.socklen, true).view(), c.fd);
    return std::min(result.size, text.size());
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

ConnectionInfo connection_info(const Connection& c) noexcept
{
    const Connection* const first = ngx_cycle->connections.get();
    const bool in_array =
        !std::less<>()(&c, first) && std::less<>()(&c, first + ngx_cycle->connection_n);
    return {.fd = c.fd,
            .slot = in_array ? std::optional(static_cast<std::size_t>(&c - first)) : std::nullopt,
            .instance = c.read && c.read->instance != 0};
}

void add_line(unsigned level, std::string_view line) noexcept
{
    const std::string_view text = text_of(line);
    const Lock lock;
    if (Line* const added = new_line(text.size())) {
        added->level = level;
        add_text(text);
    }
}

void add_fact(const EventFact& fact) noexcept
{
    std::array<char, 2 * sockaddr_strlen> buffer;
    std::string_view text;
    if (fact.type == EventFactType::accepted) {
        text = {buffer.data(), write_accepted(*fact.connection, buffer)};
    }

    const Lock lock;
    if (Line* const added = new_line(text.size())) {
        added->kind = LineKind::fact;
        added->fact = fact;
        added->event = fact.event ? event_info(*fact.event) : EventInfo{};
        added->connection = fact.connection ? connection_info(*fact.connection) : ConnectionInfo{};
        add_text(text);
    }
}

void add_timeout(const Timeout& timeout) noexcept
{
    const Lock lock;
    if (Line* const line = new_line(0)) {
        line->kind = LineKind::timeout;
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
