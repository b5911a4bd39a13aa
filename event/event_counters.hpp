#pragma once

#include "os/unix/atomic.hpp"

namespace ngx {

/// The counters that all workers share.
///
/// nginx: ngx_connection_counter, ngx_stat_accepted, ngx_stat_handled, ngx_stat_requests,
/// ngx_stat_active, ngx_stat_reading, ngx_stat_writing, ngx_stat_waiting
extern Atomic* connection_counter;
extern Atomic* stat_accepted;
extern Atomic* stat_handled;
extern Atomic* stat_requests;
extern Atomic* stat_active;
extern Atomic* stat_reading;
extern Atomic* stat_writing;
extern Atomic* stat_waiting;

}  // namespace ngx
