#pragma once

#include "core/core.hpp"
#include "event/event.hpp"

namespace ngx {

/// Watches a descriptor by which other processes, or this one's signal handlers, speak to the loop.
/// It takes a connection; the events block counts on one.
///
/// nginx: ngx_add_channel_event()
Rc add_channel_event(Cycle& cycle, int fd, EventType event, EventHandler handler);

}  // namespace ngx
