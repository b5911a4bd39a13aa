#pragma once

#include "core/core.hpp"

namespace ngx {

/// Wakes the loop from another thread or from a signal handler: event_wake() ends the wait, and the
/// loop's thread calls `handler`. Works with every poller, including those without notify; a module
/// may have several. The waker owns its eventfd and its connection. Its owner must not move it
/// while it is open.
///
/// Differs from nginx: nginx's modules have only notify, which thread pools use.
struct EventWaker {
    EventWaker() = default;
    EventWaker(const EventWaker&) = delete;
    EventWaker& operator=(const EventWaker&) = delete;

    void (*handler)(EventWaker& waker) noexcept = nullptr;
    void* data = nullptr;  // for the owner

    int fd = invalid_file;  // an eventfd
    Connection* connection = nullptr;
};

/// Opens the waker, which uses one connection of this worker. Called in init_process, on the loop's
/// thread. A waker that is open is closed first and then opened for the new cycle of a reload.
/// Returns error, after a log line, if there is no descriptor or connection, or the poller fails.
Rc event_waker_init(EventWaker& waker, Cycle& cycle) noexcept;

/// Wakes the loop. May be called from any thread and from a signal handler. Several calls during a
/// wait result in one call of the handler; a call after the wait and before the handler may result
/// in one more. The handler sees all that the caller wrote before the call.
void event_wake(const EventWaker& waker) noexcept;

/// Closes the waker if it is open. Called in exit_process, on the loop's thread, when no thread and
/// no signal handler calls event_wake() any more.
void event_waker_done(EventWaker& waker) noexcept;

}  // namespace ngx
