#pragma once

#include <atomic>
#include <ctime>
#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// The wall clock as it was at the last update.
///
/// nginx: ngx_time_t
struct Time {
    std::time_t sec;
    unsigned msec;
    int gmtoff;  // minutes east of Greenwich
};

/// A pointer to a value of the cache. The loop publishes the next value while threads of a pool
/// read the last one, which stays whole while 63 others are made.
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

/// Milliseconds of the monotonic clock, and the formatted wall clock. Everything that asks for
/// the time reads these, so that one turn of the loop sees one time. Only time_update() and
/// time_sigsafe_update() change them. The milliseconds are for the loop's thread alone.
extern Msec current_msec;
extern Cached<Time> cached_time;
extern Cached<std::string_view> cached_err_log_time;
extern Cached<std::string_view> cached_http_log_time;
extern Cached<std::string_view> cached_http_log_iso8601;
extern Cached<std::string_view> cached_syslog_time;

/// nginx: ngx_time()
inline std::time_t time() noexcept
{
    return cached_time->sec;
}

/// nginx: ngx_timeofday()
inline const Time& timeofday() noexcept
{
    return *cached_time;
}

/// Fills the cache for the first time.
///
/// nginx: ngx_time_init()
void time_init() noexcept;

/// Reads the clocks. The strings are made anew only when the second has changed.
///
/// nginx: ngx_time_update()
void time_update() noexcept;

/// Makes time_update() take the time zone and the strings anew, whatever the second.
void time_force_update() noexcept;

/// What a signal handler may update: the two strings that a log line needs, by the last known
/// offset from Greenwich, because localtime is not safe there.
///
/// nginx: ngx_time_sigsafe_update()
void time_sigsafe_update() noexcept;

/// nginx: ngx_monotonic_time()
Msec monotonic_time() noexcept;

}  // namespace ngx
