#pragma once

#include <cassert>

#include <boost/intrusive/list.hpp>

#include "core/log.hpp"
#include "event/event.hpp"
#include "event/event_observer.hpp"

namespace ngx {

/// Events whose handlers run later in the turn, in the order in which they were posted. A queue
/// owns no events, and only the loop's thread uses it.
///
/// nginx: ngx_queue_t
using PostedQueue = boost::intrusive::list<
    Event,
    boost::intrusive::member_hook<Event, boost::intrusive::list_member_hook<>, &Event::queue>,
    boost::intrusive::constant_time_size<false>>;

/// nginx: ngx_posted_accept_events, ngx_posted_next_events, ngx_posted_events
extern PostedQueue posted_accept_events;
extern PostedQueue posted_next_events;  // for the next turn
extern PostedQueue posted_events;

/// Adds an event to the queue. An event that is posted already keeps its place.
///
/// nginx: ngx_post_event()
inline void post_event(Event& ev, PostedQueue& queue) noexcept
{
    assert(in_loop_thread());
    if (ev.posted()) {
        log_debug(log_debug_core, ev.log, 0, "update posted event {}",
                  static_cast<const void*>(&ev));
        event_observed(EventFactType::posted_again, ev);
        return;
    }
    queue.push_back(ev);
    log_debug(log_debug_core, ev.log, 0, "post event {}", static_cast<const void*>(&ev));
    event_observed(EventFactType::posted, ev, &queue);
}

/// Removes a posted event from the queue that it is in.
///
/// nginx: ngx_delete_posted_event()
inline void delete_posted_event(Event& ev) noexcept
{
    assert(in_loop_thread());
    assert(ev.posted());
    posted_events.erase(posted_events.iterator_to(ev));
    log_debug(log_debug_core, ev.log, 0, "delete posted event {}", static_cast<const void*>(&ev));
    event_observed(EventFactType::unposted, ev);
}

/// Removes each event from the queue and calls its handler, until the queue is empty. A handler may
/// post more events or remove others.
///
/// nginx: ngx_event_process_posted()
void event_process_posted(Cycle& cycle, PostedQueue& posted) noexcept;

/// Empties the posted queues and the timer tree, at the end of the process. Events may be static,
/// and destroying an event that is still linked fails an assert.
void event_unlink_all() noexcept;

/// Moves the events of posted_next_events to posted_events and marks them as ready.
///
/// nginx: ngx_event_move_posted_next()
void event_move_posted_next(Cycle& cycle) noexcept;

}  // namespace ngx
