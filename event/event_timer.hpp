#pragma once

#include <boost/intrusive/set.hpp>

#include "core/log.hpp"
#include "core/times.hpp"
#include "event/event.hpp"

namespace ngx {

inline constexpr Msec timer_infinite = static_cast<Msec>(-1);

/// A timer that is set again to within this of its old time stays where it is in the tree.
inline constexpr MsecInt timer_lazy_delay = 300;

/// Earlier is by signed difference, so that the clock may wrap.
struct TimerBefore {
    bool operator()(const Event& a, const Event& b) const noexcept
    {
        return static_cast<MsecInt>(a.timer_key - b.timer_key) < 0;
    }
};

/// Every timer of this process. Equal times stay in the order in which they were set.
using TimerTree = boost::intrusive::multiset<
    Event,
    boost::intrusive::member_hook<
        Event, boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>>,
        &Event::timer>,
    boost::intrusive::compare<TimerBefore>, boost::intrusive::constant_time_size<false>>;

extern TimerTree event_timer_rbtree;

/// How long until the first timer, in ms: 0 if it is due, timer_infinite if there is none.
///
/// nginx: ngx_event_find_timer()
Msec event_find_timer() noexcept;

/// Runs the handler of each timer that is due, with `timedout` set, the earliest first. `staleness`
/// is by how many ms current_msec may have been behind when a timer was set: timer_resolution.
///
/// Differs from nginx: under timer_resolution no timer is early. There one of 1.5 s may fire after
/// 0.5 s with a resolution of 2 s. A timer is late by up to two resolutions, instead of one.
///
/// nginx: ngx_event_expire_timers()
void event_expire_timers(Msec staleness = 0) noexcept;

/// ok when no timer but cancelable ones is left, so that a worker may exit; else again.
///
/// nginx: ngx_event_no_timers_left()
Rc event_no_timers_left() noexcept;

/// Takes a timer that is set out of the tree.
///
/// nginx: ngx_event_del_timer()
inline void event_del_timer(Event& ev) noexcept
{
    log_debug(log_debug_event, ev.log, 0, "event timer del: {}: {}", event_ident(ev), ev.timer_key);
    event_timer_rbtree.erase(event_timer_rbtree.iterator_to(ev));
}

/// Sets the timer to `timer` ms from now. To set it again is cheap: a change of less than
/// timer_lazy_delay is not made at all.
///
/// nginx: ngx_event_add_timer()
inline void event_add_timer(Event& ev, Msec timer) noexcept
{
    const Msec key = current_msec + timer;

    if (ev.timer_set()) {
        const auto diff = static_cast<MsecInt>(key - ev.timer_key);
        if (diff < timer_lazy_delay && diff > -timer_lazy_delay) {
            log_debug(log_debug_event, ev.log, 0, "event timer: {}, old: {}, new: {}",
                      event_ident(ev), ev.timer_key, key);
            return;
        }
        event_del_timer(ev);
    }

    ev.timer_key = key;
    log_debug(log_debug_event, ev.log, 0, "event timer add: {}: {}:{}", event_ident(ev), timer,
              key);
    event_timer_rbtree.insert(ev);
}

/// nginx: ngx_add_timer()
inline void add_timer(Event& ev, Msec timer) noexcept
{
    event_add_timer(ev, timer);
}

/// nginx: ngx_del_timer()
inline void del_timer(Event& ev) noexcept
{
    event_del_timer(ev);
}

}  // namespace ngx
