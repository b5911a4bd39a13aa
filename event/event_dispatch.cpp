#include "event/event_dispatch.hpp"

#include <cassert>
#include <cerrno>
#include <chrono>
#include <thread>

#include "core/cycle.hpp"
#include "core/log_limit.hpp"
#include "core/times.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"

namespace ngx {

namespace {

/// The pause after a failed wait: it delays timers and signals by no more than this.
constexpr std::chrono::milliseconds pause_without_wait{10};

LogLimit failed_waits{};

void update_clock(unsigned flags) noexcept
{
    if ((flags & update_time) != 0 || event_timer_alarm) {
        time_update();
    }
}

/// Handles a wait that has failed or has returned no events. Not inline, so that after_wait() saves
/// few registers.
[[gnu::noinline]] Rc after_wait_without_events(Cycle& cycle, int events, Msec timer, unsigned flags,
                                               const char* what) noexcept
{
    const Err err = events == -1 ? errno : 0;
    update_clock(flags);

    if (err == EINTR && event_timer_alarm) {
        event_timer_alarm = 0;
        return Rc::ok;
    }
    if (err == EINTR) {
        log_limited(failed_waits, log_info, cycle.log, err, "{}() failed", what);
        return Rc::error;
    }
    if (err != 0) {
        log_limited(failed_waits, log_alert, cycle.log, err, "{}() failed", what);
        std::this_thread::sleep_for(pause_without_wait);
        return Rc::error;
    }
    if (timer == timer_infinite) {
        log_limited(failed_waits, log_alert, cycle.log, 0,
                    "{}() returned no events without timeout", what);
        std::this_thread::sleep_for(pause_without_wait);
        return Rc::error;
    }
    return Rc::ok;
}

}  // namespace

Rc after_wait(Cycle& cycle, int events, Msec timer, unsigned flags, const char* what) noexcept
{
    assert(events >= -1);
    if (events <= 0) {
        return after_wait_without_events(cycle, events, timer, flags, what);
    }
    update_clock(flags);
    if ((flags & observe_calls) != 0) {
        event_observe_wait(events);
    }
    return Rc::ok;
}

void dispatch_observed(Event& ev) noexcept
{
    log_debug(log_debug_event, ev.log, 0, "dispatch event {}", static_cast<const void*>(&ev));
    ev.ready = 1;
    event_observed(EventFactType::call_ready, ev);
    ev.handler(ev);
    event_observed(EventFactType::call_done);
}

}  // namespace ngx
