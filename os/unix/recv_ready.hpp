#pragma once

#include <cstddef>
#include <sys/types.h>

#include "core/core.hpp"

/// What recv() and readv() have in common: how a read event's readiness follows from what a call
/// has returned.
namespace ngx {

/// False when the poller has already reported all there is to read: io_again without a call.
bool recv_may_have_data(Event& rev) noexcept;

/// After a call that wanted `size` bytes and got n >= 0. Returns n, or io_error.
ssize_t recv_got(Connection& c, ssize_t n, std::size_t size) noexcept;

/// After a call that failed with `err`, not EINTR: io_again or io_error; `text` is for the log.
ssize_t recv_failed(Connection& c, Err err, const char* text) noexcept;

}  // namespace ngx
