#pragma once

#include "core/core.hpp"

namespace ngx {

/// How another thread, or the handler of a signal, reaches the loop: event_wake() ends the wait,
/// and `handler` runs on the loop's thread. It works with every poller, also with one that has
/// no notify, and there may be any number. Its owner keeps it where it is while it is open.
///
/// Differs from nginx: there modules have only notify, which pools of threads use.
struct EventWaker {
    EventWaker() = default;
    EventWaker(const EventWaker&) = delete;
    EventWaker& operator=(const EventWaker&) = delete;

    void (*handler)(EventWaker& waker) noexcept = nullptr;
    void* data = nullptr;  // the owner's

    int fd = invalid_file;  // an eventfd
    Connection* connection = nullptr;
};

/// Opens the waker, which takes one of the worker's connections: to be called in init_process. One
/// that is open is opened anew, for the cycle of a reload. error after a log line.
Rc event_waker_init(EventWaker& waker, Cycle& cycle) noexcept;

/// From any thread, and from the handler of a signal. Calls before the handler runs come to one.
/// What the caller has written before, the handler sees.
void event_wake(const EventWaker& waker) noexcept;

/// Closes the waker: in exit_process, once nobody can call event_wake() any more.
void event_waker_done(EventWaker& waker) noexcept;

}  // namespace ngx
