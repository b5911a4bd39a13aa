#include "core/times.hpp"

#include <array>
#include <atomic>
#include <cstdlib>

#include "core/string.hpp"

namespace ngx {

namespace {

/// A signal handler may read a string while the next is written: 64 slots in turn make sure
/// that what it reads stays whole.
constexpr std::size_t time_slots = 64;

struct Slot {
    Time time{};
    std::array<char, 20> err_log_time{};
    std::array<char, 27> http_log_time{};
    std::array<char, 26> http_log_iso8601{};
    std::array<char, 16> syslog_time{};
};

struct {
    std::array<Slot, time_slots> slots{};
    std::size_t slot = 0;
    int gmtoff = 0;  // minutes, as of the last time_update()
    std::atomic_flag lock{};
} state;

constexpr std::array<std::string_view, 12> months = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

template <std::size_t N, typename... Args>
std::string_view print(std::array<char, N>& to, fmt::format_string<Args...> format,
                       const Args&... args)
{
    const char* end = slprintf(to.data(), to.data() + N, format, args...);
    return {to.data(), static_cast<std::size_t>(end - to.data())};
}

std::string_view print_err_log_time(Slot& s, const std::tm& tm)
{
    return print(s.err_log_time, "{:4d}/{:02d}/{:02d} {:02d}:{:02d}:{:02d}", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

std::string_view print_syslog_time(Slot& s, const std::tm& tm)
{
    return print(s.syslog_time, "{} {:2d} {:02d}:{:02d}:{:02d}",
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

    const std::string_view err_log = print_err_log_time(s, tm);
    const std::string_view http_log =
        print(s.http_log_time, "{:02d}/{}/{:d}:{:02d}:{:02d}:{:02d} {}{:02d}{:02d}", tm.tm_mday,
              months[static_cast<std::size_t>(tm.tm_mon)], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
              tm.tm_sec, sign, hours, minutes);
    const std::string_view iso8601 =
        print(s.http_log_iso8601, "{:4d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}{}{:02d}:{:02d}",
              tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, sign,
              hours, minutes);
    const std::string_view syslog = print_syslog_time(s, tm);

    std::atomic_signal_fence(std::memory_order_seq_cst);

    cached_time = &s.time;
    cached_err_log_time = err_log;
    cached_http_log_time = http_log;
    cached_http_log_iso8601 = iso8601;
    cached_syslog_time = syslog;
}

}  // namespace

Msec current_msec;
const Time* cached_time = &state.slots[0].time;
std::string_view cached_err_log_time;
std::string_view cached_http_log_time;
std::string_view cached_http_log_iso8601;
std::string_view cached_syslog_time;

void time_init() noexcept
{
    time_force_update();
    time_update();
}

void time_force_update() noexcept
{
    tzset();
    state.slots[state.slot].time.sec = 0;
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

    if (Time& current = state.slots[state.slot].time; current.sec == now.tv_sec) {
        current.msec = msec;
    } else {
        Slot& s = next_slot();
        s.time.sec = now.tv_sec;
        s.time.msec = msec;
        update_strings(s, now.tv_sec);
    }

    state.lock.clear(std::memory_order_release);
}

void time_sigsafe_update() noexcept
{
    // Held: the signal came in the middle of an update, whose strings are as good.
    if (state.lock.test_and_set(std::memory_order_acquire)) {
        return;
    }

    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);

    if (state.slots[state.slot].time.sec != now.tv_sec) {
        Slot& s = next_slot();
        s.time.sec = 0;  // not whole: the next time_update() makes the rest

        const std::time_t local = now.tv_sec + std::time_t{state.gmtoff} * 60;
        std::tm tm{};
        gmtime_r(&local, &tm);
        const std::string_view err_log = print_err_log_time(s, tm);
        const std::string_view syslog = print_syslog_time(s, tm);

        std::atomic_signal_fence(std::memory_order_seq_cst);

        cached_err_log_time = err_log;
        cached_syslog_time = syslog;
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
