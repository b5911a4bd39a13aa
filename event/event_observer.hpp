#pragma once

#include "core/core.hpp"

/// \file
/// An observer of the loop: a tool such as ngxx-trace receives each change of the loop's state as a
/// value, in every build.
///
/// Differs from nginx: nginx has debug lines only. Without an observer each place costs the test of
/// a pointer; the functions of the poller and of connections cost nothing, because an observer
/// replaces them in their tables.
namespace ngx {

/// The kinds of facts. A comment names the members of EventFact that have a value.
enum class EventFactType : unsigned char {
    turn_begin,
    turn_end,

    mutex_not_tried,  // value: accept_disabled
    mutex_locked,
    mutex_busy,  // another worker has it
    mutex_unlocked,

    wait,        // value: the timeout in ms, -1 without a limit
    dispatched,  // the poller has called the handlers or posted the events; value: its Rc;
                 // size: the number of events that the wait has returned
    stale,       // connection: a reported event is for an earlier connection of this slot

    call_ready,    // event: its handler is called now, because the poller has reported it
    call_expired,  // event: ..., because its timer has expired
    call_posted,   // event: ..., because it was posted
    call_done,     // the handler has returned; its event may be gone

    posted,        // event, queue
    posted_again,  // event: it was posted already and keeps its place
    unposted,      // event
    next_moved,    // event: moved from posted_next_events to posted_events

    timer_set,      // event, value: ms from now
    timer_kept,     // event, value: new time - old time in ms; the timer keeps the old time
    timer_deleted,  // event

    connection_taken,  // connection: its slot has a new instance
    connection_freed,  // connection: it still has its descriptor
    accepted,          // connection

    event_added,         // event, flags: those of EventActions::add
    event_deleted,       // event, flags
    connection_added,    // connection
    connection_deleted,  // connection, flags

    received,  // connection, value: the result of the call; size: of the buffer, 0 if not known
    sent,      // connection, value: the number of bytes or an error; size
};

/// One change. The event or connection has its new state, except that the three kinds of calls come
/// before the event leaves its queue or the timer tree. Pointers are valid during the report.
struct EventFact {
    EventFactType type{};
    unsigned flags = 0;
    const Event* event = nullptr;
    const Connection* connection = nullptr;
    const void* queue = nullptr;  // the address of a PostedQueue
    std::int64_t value = 0;
    std::size_t size = 0;
};

/// The function that receives the facts, on the loop's thread. It must not change what it observes.
struct EventObserver {
    void (*report)(const EventFact& fact, void* data) noexcept = nullptr;
    void* data = nullptr;
};

/// The observer, null if there is none. Set by event_observe() only.
extern const EventObserver* event_observer;

/// A flag of process_events: dispatch_event() reports the handlers that it calls.
inline constexpr unsigned observe_calls = 4;

/// Sets the observer, which the caller owns, or removes it (null). Called on the loop's thread. A
/// connection that was accepted or made before does not report what it receives and sends, so an
/// observer that wants all facts is set before the modules' init_process.
void event_observe(const EventObserver* observer) noexcept;

/// If there is an observer, puts its functions into event_actions and io. Called after a poller's
/// init, which sets both.
void event_observe_poller() noexcept;

/// Adds the number of events that a wait has returned to that of the next fact `dispatched`. Called
/// by after_wait() if its flags have observe_calls.
[[gnu::cold]] void event_observe_wait(int events) noexcept;

/// Passes a fact to the observer, which must exist.
[[gnu::cold]] void event_report(const EventFact& fact) noexcept;
[[gnu::cold]] void event_report(EventFactType type, std::int64_t value = 0) noexcept;
[[gnu::cold]] void event_report(EventFactType type, const Event& ev,
                                std::int64_t value = 0) noexcept;
[[gnu::cold]] void event_report(EventFactType type, const Event& ev, const void* queue) noexcept;
[[gnu::cold]] void event_report(EventFactType type, const Connection& c) noexcept;

/// Reports a fact if there is an observer.
template <typename... Args>
inline void event_observed(EventFactType type, const Args&... args) noexcept
{
    if (event_observer) [[unlikely]] {
        event_report(type, args...);
    }
}

}  // namespace ngx
