#pragma once

#include <atomic>
#include <cstdint>

namespace ngx {

/// A number in shared memory.
///
/// nginx: ngx_atomic_t
using Atomic = std::atomic<std::int64_t>;

static_assert(Atomic::is_always_lock_free, "it has to work between processes");

}  // namespace ngx
