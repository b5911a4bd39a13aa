#pragma once

#include <cstddef>
#include <sys/types.h>

#include "core/connection.hpp"
#include "core/core.hpp"
#include "event/event.hpp"

/// What recv() and readv() have in common: how a read event's readiness follows from what a call
/// has returned.
namespace ngx {

/// Whether the poller tells of the end of the data, so that a read need not find it.
inline bool rdhup_known() noexcept
{
    return (event_flags & use_epoll_event) != 0 && use_epoll_rdhup;
}

/// False when the poller has already reported all there is to read: io_again without a call.
inline bool recv_may_have_data(Event& rev) noexcept
{
    if (rdhup_known() && rev.available == 0 && !rev.pending_eof) {
        rev.ready = 0;
        return false;
    }
    return true;
}

/// `available` counts what the kernel was seen to hold; it is asked when a read has filled all that
/// there was room for. Less than nothing means that more has come since, and that a new edge will
/// tell: then `ready` may go, even with a clear poller.
Rc recv_update_available(Connection& c, std::size_t n) noexcept;

/// After a call that wanted `size` bytes and got n >= 0. Returns n, or io_error.
inline ssize_t recv_got(Connection& c, ssize_t n, std::size_t size) noexcept
{
    Event& rev = *c.read;
    const auto got = static_cast<std::size_t>(n);

    if (got == 0) {
        rev.ready = 0;
        rev.eof = 1;
        return 0;
    }
    if ((rev.available >= 0 || got == size) && recv_update_available(c, got) != Rc::ok) {
        return io_error;
    }
    if (got == size) {
        return n;
    }
    if (rdhup_known()) {
        // All was read; only a pending end of data is left to be seen.
        if (!rev.pending_eof) {
            rev.ready = 0;
        }
        rev.available = 0;
    } else if ((event_flags & use_greedy_event) == 0) {
        rev.ready = 0;
    }
    return n;
}

/// After a call that failed with `err`, not EINTR: io_again or io_error; `text` is for the log.
ssize_t recv_failed(Connection& c, Err err, const char* text) noexcept;

}  // namespace ngx
