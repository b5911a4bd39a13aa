#include "core/cycle.hpp"
#include "core/module.hpp"
#include "event/event.hpp"

/// \file
/// "whole" is epoll that does not say so: what is accepted is added as a whole, with both events.

namespace ngx {

extern Module epoll_module;

namespace {

Rc whole_init(Cycle& cycle, Msec timer)
{
    const Rc rc = static_cast<const EventModule*>(epoll_module.ctx)->actions.init(cycle, timer);
    event_flags &= ~use_epoll_event;
    return rc;
}

constexpr EventModule whole_module_ctx = {
    .name = "whole",
    .actions = {.init = whole_init},
};

}  // namespace

constinit Module whole_module = {
    .ctx = &whole_module_ctx,
    .type = ModuleType::event,
};

}  // namespace ngx
