#include "event/event_posted.hpp"

#include <cassert>

#include <fmt/format.h>

#include "core/cycle.hpp"
#include "event/event_timer.hpp"

namespace ngx {

PostedQueue posted_accept_events;
PostedQueue posted_next_events;
PostedQueue posted_events;

void event_process_posted(Cycle& cycle, PostedQueue& posted) noexcept
{
    assert(in_loop_thread());
    while (!posted.empty()) {
        Event& ev = posted.front();
        log_debug(log_debug_event, cycle.log, 0, "posted event {}", fmt::ptr(&ev));

        event_observed(EventFactType::call_posted, ev);

        // Removed before its handler runs: the handler may post it again or close its connection.
        delete_posted_event(ev);
        assert(ev.handler);
        ev.handler(ev);
        event_observed(EventFactType::call_done);
    }
}

void event_unlink_all() noexcept
{
    event_timer_rbtree.clear();
    posted_accept_events.clear();
    posted_next_events.clear();
    posted_events.clear();
}

void event_move_posted_next(Cycle& cycle) noexcept
{
    assert(in_loop_thread());
    for (Event& ev : posted_next_events) {
        log_debug(log_debug_event, cycle.log, 0, "posted next event {}", fmt::ptr(&ev));
        ev.ready = 1;
        ev.available = -1;
        event_observed(EventFactType::next_moved, ev);
    }
    posted_events.splice(posted_events.end(), posted_next_events);
}

}  // namespace ngx
