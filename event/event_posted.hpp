#pragma once

#include <boost/intrusive/list.hpp>

#include "core/log.hpp"
#include "event/event.hpp"

namespace ngx {

/// Events whose handlers run later in the turn, in the order in which they were posted.
using PostedQueue = boost::intrusive::list<
    Event,
    boost::intrusive::member_hook<Event, boost::intrusive::list_member_hook<>, &Event::queue>,
    boost::intrusive::constant_time_size<false>>;

extern PostedQueue posted_accept_events;
extern PostedQueue posted_next_events;  // for the next turn
extern PostedQueue posted_events;

/// Posts an event; one that is posted already stays where it is.
///
/// nginx: ngx_post_event()
inline void post_event(Event& ev, PostedQueue& queue) noexcept
{
    if (ev.posted()) {
        log_debug(log_debug_core, ev.log, 0, "update posted event {}",
                  static_cast<const void*>(&ev));
        return;
    }
    queue.push_back(ev);
    log_debug(log_debug_core, ev.log, 0, "post event {}", static_cast<const void*>(&ev));
}

/// Takes a posted event out of whichever queue it is in.
///
/// nginx: ngx_delete_posted_event()
inline void delete_posted_event(Event& ev) noexcept
{
    posted_events.erase(posted_events.iterator_to(ev));
    log_debug(log_debug_core, ev.log, 0, "delete posted event {}", static_cast<const void*>(&ev));
}

/// Runs the queue until it is empty: a handler may post more, or take others out.
///
/// nginx: ngx_event_process_posted()
void event_process_posted(Cycle& cycle, PostedQueue& posted) noexcept;

/// The end: empties the posted queues and the timer tree. What is linked may be static, and must
/// not be when it is destroyed.
void event_unlink_all() noexcept;

/// Moves the events posted for this turn to the posted ones, as ready.
///
/// nginx: ngx_event_move_posted_next()
void event_move_posted_next(Cycle& cycle) noexcept;

}  // namespace ngx
