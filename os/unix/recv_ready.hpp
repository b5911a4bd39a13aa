#pragma once

#include <cstddef>
#include <sys/types.h>

#include "core/connection.hpp"
#include "core/core.hpp"
#include "event/event.hpp"

/// The common part of recv() and readv(): they set the readiness of a read event from the result of
/// a call.
namespace ngx {

/// Tells whether the poller reports the end of the data, so that no read is needed to find it.
inline bool rdhup_known() noexcept
{
    return (event_flags & use_epoll_event) != 0 && use_epoll_rdhup;
}

/// Returns false if the poller has reported that there is nothing left to read; the caller then
/// returns io_again without a call.
inline bool recv_may_have_data(Event& rev) noexcept
{
    if (rdhup_known() && rev.available == 0 && !rev.pending_eof) {
        rev.ready = 0;
        return false;
    }
    return true;
}

/// Updates `available`, the number of bytes that the kernel is known to hold, after a read of `n`
/// bytes. If it is not known, it is read with FIONREAD. If it falls below zero, more data has
/// arrived since, which a new edge will report; so `ready` can be cleared, even with an
/// edge-triggered poller. Returns error after logging.
Rc recv_update_available(Connection& c, std::size_t n) noexcept;

/// Updates the read event after a call that requested `size` bytes and returned n >= 0. Returns n,
/// or io_error.
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
        // All data was read; only a pending end of the data remains.
        if (!rev.pending_eof) {
            rev.ready = 0;
        }
        rev.available = 0;
    } else if ((event_flags & use_greedy_event) == 0) {
        rev.ready = 0;
    }
    return n;
}

/// Updates the read event after a call that failed with `err`, which is not EINTR. Returns
/// io_again, io_error, or 0 for an error that is ignored. `text` is for the log.
ssize_t recv_failed(Connection& c, Err err, const char* text) noexcept;

}  // namespace ngx
