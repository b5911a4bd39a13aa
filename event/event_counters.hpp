#pragma once

#include "os/unix/atomic.hpp"

namespace ngx {

/// The counters that all workers share.
extern Atomic* connection_counter;
extern Atomic* stat_accepted;
extern Atomic* stat_handled;
extern Atomic* stat_requests;
extern Atomic* stat_active;
extern Atomic* stat_reading;
extern Atomic* stat_writing;
extern Atomic* stat_waiting;

}  // namespace ngx
