#pragma once

#include <cassert>

#include <boost/intrusive/set.hpp>

#include "core/log.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_observer.hpp"

namespace ngx {

/// No timer is set, or a wait has no limit.
///
/// nginx: NGX_TIMER_INFINITE
inline constexpr Msec timer_infinite = static_cast<Msec>(-1);

/// A timer that is set again to a time within this many ms of its old time is not moved in the
/// tree.
///
/// nginx: NGX_TIMER_LAZY_DELAY
inline constexpr MsecInt timer_lazy_delay = 300;

/// Orders timers by the signed difference of their times, because the clock may wrap around.
struct TimerBefore {
    bool operator()(const Event& a, const Event& b) const noexcept
    {
        return static_cast<MsecInt>(a.timer_key - b.timer_key) < 0;
    }
};

/// All timers of this process. Timers with equal times stay in the order in which they were set.
/// The tree owns no events, and only the loop's thread uses it.
///
/// nginx: ngx_rbtree_t
using TimerTree = boost::intrusive::multiset<
    Event,
    boost::intrusive::member_hook<
        Event, boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>>,
        &Event::timer>,
    boost::intrusive::compare<TimerBefore>, boost::intrusive::constant_time_size<false>>;

/// nginx: ngx_event_timer_rbtree
extern TimerTree event_timer_rbtree;

/// Returns the time until the first timer, in ms: 0 if it is due, timer_infinite if there is none.
///
/// nginx: ngx_event_find_timer()
Msec event_find_timer() noexcept;

/// Removes each timer that is due and calls its handler with `timedout` set, the earliest timer
/// first. `staleness` is the number of ms by which current_msec may have been behind when a timer
/// was set: timer_resolution.
///
/// Differs from nginx: under timer_resolution no timer fires early. In nginx a timer of 1.5 s may
/// fire after 0.5 s if the resolution is 2 s. A timer is late by up to two resolutions instead of
/// one.
///
/// nginx: ngx_event_expire_timers()
void event_expire_timers(Msec staleness = 0) noexcept;

/// Whether every timer that is set is cancelable, so that a worker may exit.
///
/// nginx: ngx_event_no_timers_left()
bool event_no_timers_left() noexcept;

/// Removes a timer, which must be set, from the tree.
///
/// nginx: ngx_event_del_timer()
inline void event_del_timer(Event& ev) noexcept
{
    assert(in_loop_thread());
    assert(ev.timer_set());
    log_debug(log_debug_event, ev.log, 0, "event timer del: {}: {}", event_ident(ev), ev.timer_key);
    event_timer_rbtree.erase(event_timer_rbtree.iterator_to(ev));
    event_observed(EventFactType::timer_deleted, ev);
}

/// Puts a timer into the tree, or moves it if it is set: the part of event_add_timer() that is not
/// inline. `key` is the time of its expiry, `timer` the ms from now until then.
void event_move_timer(Event& ev, Msec key, Msec timer) noexcept;

/// Sets the timer to `timer` ms from now. Setting it again is cheap: a change of less than
/// timer_lazy_delay is ignored.
///
/// nginx: ngx_event_add_timer()
inline void event_add_timer(Event& ev, Msec timer) noexcept
{
    assert(in_loop_thread());
    assert(static_cast<MsecInt>(timer) >= 0);  // the order of the tree wraps around
    const Msec key = current_msec + timer;

    if (ev.timer_set()) {
        const auto diff = static_cast<MsecInt>(key - ev.timer_key);
        if (diff < timer_lazy_delay && diff > -timer_lazy_delay) {
            log_debug(log_debug_event, ev.log, 0, "event timer: {}, old: {}, new: {}",
                      event_ident(ev), ev.timer_key, key);
            event_observed(EventFactType::timer_kept, ev, diff);
            return;
        }
    }
    event_move_timer(ev, key, timer);
}

/// Sets a timer, as event_add_timer() does.
///
/// nginx: ngx_add_timer()
inline void add_timer(Event& ev, Msec timer) noexcept
{
    event_add_timer(ev, timer);
}

/// Removes a timer, as event_del_timer() does.
///
/// nginx: ngx_del_timer()
inline void del_timer(Event& ev) noexcept
{
    event_del_timer(ev);
}

}  // namespace ngx
