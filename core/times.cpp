#include "core/times.hpp"

#include <array>
#include <atomic>
#include <cstdlib>

#include "core/string.hpp"

namespace ngx {

namespace {

/// A signal handler or a thread may read a string while the next one is written. Rotating through
/// 64 slots keeps what it reads intact.
constexpr std::size_t time_slots = 64;

template <std::size_t N>
struct Text {
    std::array<char, N> room{};
    std::string_view view{};
};

struct Slot {
    Time time{};
    Text<20> err_log_time{};
    Text<27> http_log_time{};
    Text<26> http_log_iso8601{};
    Text<16> syslog_time{};
};

struct {
    std::array<Slot, time_slots> slots{};
    std::size_t slot = 0;
    std::time_t sec = 0;  // the second of the slot; 0 makes the next time_update() write a new one
    int gmtoff = 0;       // minutes, from the last full update
    std::atomic_flag lock{};
} state;

constexpr std::array<std::string_view, 12> months = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

template <std::size_t N, typename... Args>
void print(Text<N>& to, fmt::format_string<Args...> format, const Args&... args)
{
    const char* end = slprintf(to.room.data(), to.room.data() + N, format, args...);
    to.view = {to.room.data(), static_cast<std::size_t>(end - to.room.data())};
}

void print_err_log_time(Slot& s, const std::tm& tm)
{
    print(s.err_log_time, "{:4d}/{:02d}/{:02d} {:02d}:{:02d}:{:02d}", tm.tm_year + 1900,
          tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void print_syslog_time(Slot& s, const std::tm& tm)
{
    print(s.syslog_time, "{} {:2d} {:02d}:{:02d}:{:02d}",
          months[static_cast<std::size_t>(tm.tm_mon)], tm.tm_mday, tm.tm_hour, tm.tm_min,
          tm.tm_sec);
}

Slot& next_slot() noexcept
{
    state.slot = (state.slot + 1) % time_slots;
    return state.slots[state.slot];
}

void update_strings(Slot& s, std::time_t sec)
{
    std::tm tm{};
    localtime_r(&sec, &tm);
    state.gmtoff = static_cast<int>(tm.tm_gmtoff / 60);
    s.time.gmtoff = state.gmtoff;

    const char sign = state.gmtoff < 0 ? '-' : '+';
    const auto [hours, minutes] = std::div(std::abs(state.gmtoff), 60);

    print_err_log_time(s, tm);
    print(s.http_log_time, "{:02d}/{}/{:d}:{:02d}:{:02d}:{:02d} {}{:02d}{:02d}", tm.tm_mday,
          months[static_cast<std::size_t>(tm.tm_mon)], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
          tm.tm_sec, sign, hours, minutes);
    print(s.http_log_iso8601, "{:4d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}{}{:02d}:{:02d}",
          tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, sign,
          hours, minutes);
    print_syslog_time(s, tm);

    cached_time.publish(s.time);
    cached_err_log_time.publish(s.err_log_time.view);
    cached_http_log_time.publish(s.http_log_time.view);
    cached_http_log_iso8601.publish(s.http_log_iso8601.view);
    cached_syslog_time.publish(s.syslog_time.view);
}

}  // namespace

Msec current_msec;
constinit Cached<Time> cached_time{&state.slots[0].time};
constinit Cached<std::string_view> cached_err_log_time{&state.slots[0].err_log_time.view};
constinit Cached<std::string_view> cached_http_log_time{&state.slots[0].http_log_time.view};
constinit Cached<std::string_view> cached_http_log_iso8601{&state.slots[0].http_log_iso8601.view};
constinit Cached<std::string_view> cached_syslog_time{&state.slots[0].syslog_time.view};

void time_init() noexcept
{
    time_force_update();
    time_update();
}

void time_force_update() noexcept
{
    tzset();
    state.sec = 0;
}

void time_update() noexcept
{
    if (state.lock.test_and_set(std::memory_order_acquire)) {
        return;
    }

    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    const auto msec = static_cast<unsigned>(now.tv_nsec / 1'000'000);
    current_msec = monotonic_time();

    if (state.sec == now.tv_sec) {
        state.slots[state.slot].time.msec = msec;
    } else {
        state.sec = now.tv_sec;
        Slot& s = next_slot();
        s.time.sec = now.tv_sec;
        s.time.msec = msec;
        update_strings(s, now.tv_sec);
    }

    state.lock.clear(std::memory_order_release);
}

void time_sigsafe_update() noexcept
{
    // The lock is held if the signal has interrupted an update, whose strings are as recent.
    if (state.lock.test_and_set(std::memory_order_acquire)) {
        return;
    }

    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);

    if (state.sec != now.tv_sec) {
        Slot& s = next_slot();
        state.sec = 0;  // incomplete slot: the next time_update() writes all of it

        const std::time_t local = now.tv_sec + std::time_t{state.gmtoff} * 60;
        std::tm tm{};
        gmtime_r(&local, &tm);
        print_err_log_time(s, tm);
        print_syslog_time(s, tm);

        cached_err_log_time.publish(s.err_log_time.view);
        cached_syslog_time.publish(s.syslog_time.view);
    }

    state.lock.clear(std::memory_order_release);
}

Msec monotonic_time() noexcept
{
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<Msec>(now.tv_sec) * 1000 + static_cast<Msec>(now.tv_nsec / 1'000'000);
}

}  // namespace ngx
