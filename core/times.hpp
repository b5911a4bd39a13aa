#pragma once

#include <atomic>
#include <ctime>
#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// The wall clock at the last update.
///
/// nginx: ngx_time_t
struct Time {
    std::time_t sec;
    unsigned msec;
    int gmtoff;  // minutes east of Greenwich
};

/// A pointer to the current value in the cache, which is static. The loop publishes the next value
/// while threads of a pool read the last one, which stays intact until 63 more are published.
template <typename T>
class Cached {
public:
    constexpr explicit Cached(const T* value) noexcept : value_(value) {}

    const T& operator*() const noexcept { return *value_.load(std::memory_order_acquire); }
    const T* operator->() const noexcept { return value_.load(std::memory_order_acquire); }
    void publish(const T& value) noexcept { value_.store(&value, std::memory_order_release); }

private:
    std::atomic<const T*> value_;
};

/// Milliseconds of the monotonic clock, and the formatted wall clock. All code reads the time from
/// them, so that it does not change within one turn of the loop. Only time_update() and
/// time_sigsafe_update() change them. Only the loop's thread may read the milliseconds.
///
/// nginx: ngx_current_msec, ngx_cached_time, ngx_cached_err_log_time, ngx_cached_http_log_time,
/// ngx_cached_http_log_iso8601, ngx_cached_syslog_time
extern Msec current_msec;
extern Cached<Time> cached_time;
extern Cached<std::string_view> cached_err_log_time;
extern Cached<std::string_view> cached_http_log_time;
extern Cached<std::string_view> cached_http_log_iso8601;
extern Cached<std::string_view> cached_syslog_time;

/// Returns the cached time in seconds since the epoch.
///
/// nginx: ngx_time()
inline std::time_t time() noexcept
{
    return cached_time->sec;
}

/// Returns the cached time. Valid until 63 more are published; see Cached.
///
/// nginx: ngx_timeofday()
inline const Time& timeofday() noexcept
{
    return *cached_time;
}

/// Fills the cache at the start.
///
/// nginx: ngx_time_init()
void time_init() noexcept;

/// Reads the clocks. Formats the strings only if the second has changed.
///
/// nginx: ngx_time_update()
void time_update() noexcept;

/// Makes the next time_update() read the time zone again and format the strings.
void time_force_update() noexcept;

/// Updates the two strings that a log line needs; safe in a signal handler. It uses the last known
/// offset from Greenwich, because localtime is not signal-safe.
///
/// nginx: ngx_time_sigsafe_update()
void time_sigsafe_update() noexcept;

/// Reads the monotonic clock. Returns ms. Any thread may call it.
///
/// nginx: ngx_monotonic_time()
Msec monotonic_time() noexcept;

}  // namespace ngx
