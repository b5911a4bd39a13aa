#pragma once

#include <cassert>
#include <limits>

#include "core/core.hpp"
#include "event/event.hpp"
#include "event/event_observer.hpp"
#include "event/event_posted.hpp"

/// The code that all pollers share around their wait. In nginx each poller has a copy of it.
namespace ngx {

/// Converts the timer, in ms, to the timeout of epoll_wait() and poll(): -1 for timer_infinite. A
/// value that does not fit into an int, about 24 days, is limited to the maximum.
inline int wait_timeout(Msec timer) noexcept
{
    constexpr Msec max = std::numeric_limits<int>::max();
    if (timer == static_cast<Msec>(-1)) {
        return -1;
    }
    return static_cast<int>(timer < max ? timer : max);
}

/// Handles the result of a wait. Called right after it, before errno changes. Updates the time if
/// `flags` has update_time or the timer alarm has occurred. `events` is the result of the wait,
/// `timer` its timeout in ms, `what` the name of the call for log lines.
///
/// Returns ok if the wait succeeded. EINTR is logged at info, and is not an error if the timer
/// alarm caused it; other errors are logged as alerts. An empty result is an alert only after an
/// infinite wait.
///
/// Differs from nginx: a wait that fails, except by a signal, is followed by a pause of 10 ms, and
/// so is an infinite wait that returns nothing; a second has one line for each error. In nginx a
/// wait that always fails uses a whole processor and fills the disk with alerts.
Rc after_wait(Cycle& cycle, int events, Msec timer, unsigned flags, const char* what) noexcept;

/// Marks the event as ready and posts it: to posted_accept_events if it is a listener's, otherwise
/// to posted_events.
inline void post_ready_event(Event& ev) noexcept
{
    ev.ready = 1;
    post_event(ev, ev.accept ? posted_accept_events : posted_events);
}

/// Calls the handler of a ready event between two reports to the observer.
[[gnu::cold]] void dispatch_observed(Event& ev) noexcept;

/// Marks the event as ready and calls its handler, or posts the event if `flags` has post_events.
inline void dispatch_event(Event& ev, unsigned flags) noexcept
{
    assert(ev.handler);
    // One test for both flags, so that an observer costs nothing here while there is none.
    if ((flags & (post_events | observe_calls)) != 0) {
        return (flags & post_events) != 0 ? post_ready_event(ev) : dispatch_observed(ev);
    }
    log_debug(log_debug_event, ev.log, 0, "dispatch event {}", static_cast<const void*>(&ev));
    ev.ready = 1;
    ev.handler(ev);
}

}  // namespace ngx
