#include "event/event_timer.hpp"

#include <algorithm>
#include <cassert>

#include <fmt/format.h>

namespace ngx {

TimerTree event_timer_rbtree;

Msec event_find_timer() noexcept
{
    if (event_timer_rbtree.empty()) {
        return timer_infinite;
    }
    const Msec key = event_timer_rbtree.begin()->timer_key;
    return static_cast<Msec>(std::max(static_cast<MsecInt>(key - current_msec), MsecInt{0}));
}

void event_expire_timers(Msec staleness) noexcept
{
    assert(in_loop_thread());
    while (!event_timer_rbtree.empty()) {
        Event& ev = *event_timer_rbtree.begin();
        if (static_cast<MsecInt>(ev.timer_key - (current_msec - staleness)) > 0) {
            return;
        }

        log_debug(log_debug_event, ev.log, 0, "expired event {}", fmt::ptr(&ev));
        event_observed(EventFactType::call_expired, ev);
        event_del_timer(ev);
        ev.timedout = 1;
        assert(ev.handler);
        ev.handler(ev);
        event_observed(EventFactType::call_done);
    }
}

namespace {

/// Returns the last timer of a tree that is not empty. The iterators of Boost would go down the
/// tree to it, but the header of the tree has its address.
const Event& last_timer() noexcept
{
    using Traits = TimerTree::value_traits;
    const auto header = event_timer_rbtree.cend().pointed_node();
    return *Traits::to_value_ptr(Traits::node_traits::get_right(header));
}

}  // namespace

void event_move_timer(Event& ev, Msec key, Msec timer) noexcept
{
    if (ev.timer_set()) {
        event_del_timer(ev);
    }
    ev.timer_key = key;
    log_debug(log_debug_event, ev.log, 0, "event timer add: {}: {}:{}", event_ident(ev), timer,
              key);
    // Most timers of a server have the same length, so that a new one is the last one.
    TimerTree& tree = event_timer_rbtree;
    if (tree.empty() || !TimerBefore()(ev, last_timer())) {
        tree.push_back(ev);
    } else {
        tree.insert(ev);
    }
    event_observed(EventFactType::timer_set, ev, static_cast<std::int64_t>(timer));
}

bool event_no_timers_left() noexcept
{
    return std::ranges::all_of(event_timer_rbtree, [](const Event& ev) { return ev.cancelable; });
}

}  // namespace ngx
