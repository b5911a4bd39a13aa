#pragma once

#include <sched.h>

#include "core/core.hpp"

namespace ngx {

/// Binds this process to the processors of the mask. A failure is logged and ignored.
///
/// nginx: ngx_setaffinity()
void setaffinity(const cpu_set_t& cpu_affinity, Log* log) noexcept;

}  // namespace ngx
