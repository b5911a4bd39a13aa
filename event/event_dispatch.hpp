#pragma once

#include <limits>

#include "core/core.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"

/// What every poller does alike around its wait. In nginx each has a copy of its own.
namespace ngx {

/// The timeout for epoll_wait() and poll(): -1 waits for ever. More than an int holds, some 24
/// days, is cut.
inline int wait_timeout(Msec timer) noexcept
{
    constexpr Msec max = std::numeric_limits<int>::max();
    if (timer == static_cast<Msec>(-1)) {
        return -1;
    }
    return static_cast<int>(timer < max ? timer : max);
}

/// To be called right after the wait, with errno untouched: updates the time if `flags` or the
/// alarm ask for it, and tells whether the wait went well. A signal is no alert, and the alarm not
/// even an error; no events are one only if the wait was for ever.
///
/// Differs from nginx: a wait that fails, but for a signal, is followed by a pause of 10 ms. There
/// one that fails for ever takes a processor, and fills the disk with alerts.
Rc after_wait(Cycle& cycle, int events, Msec timer, unsigned flags, const char* what) noexcept;

/// Posts an event that is ready: listeners first.
inline void post_ready_event(Event& ev) noexcept
{
    ev.ready = 1;
    post_event(ev, ev.accept ? posted_accept_events : posted_events);
}

/// Runs the handler of an event that is ready, or posts it if `flags` has post_events.
inline void dispatch_event(Event& ev, unsigned flags) noexcept
{
    if ((flags & post_events) != 0) {
        post_ready_event(ev);
        return;
    }
    log_debug(log_debug_event, ev.log, 0, "dispatch event {}", static_cast<const void*>(&ev));
    ev.ready = 1;
    ev.handler(ev);
}

}  // namespace ngx
