#include "core/cycle.hpp"
#include "core/module.hpp"
#include "event/event.hpp"

/// \file
/// "whole" is epoll without use_epoll_event: an accepted connection is added by add_conn, with both
/// events. "alone" is the same for one worker only, and "in_turn" for workers with the accept
/// mutex.

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

constexpr EventModule alone_module_ctx = {
    .name = "alone",
    .actions = {.init = whole_init},
    .single_worker = true,
};

constexpr EventModule in_turn_module_ctx = {
    .name = "in_turn",
    .actions = {.init = whole_init},
    .needs_accept_mutex = true,
};

}  // namespace

constinit Module whole_module = {
    .ctx = &whole_module_ctx,
    .type = ModuleType::event,
};

constinit Module alone_module = {
    .ctx = &alone_module_ctx,
    .type = ModuleType::event,
};

constinit Module in_turn_module = {
    .ctx = &in_turn_module_ctx,
    .type = ModuleType::event,
};

}  // namespace ngx
