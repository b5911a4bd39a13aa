#include <algorithm>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/module.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"

/// \file
/// A loadable module that limits the wait of each turn to 20 ms, and has a timer with its own
/// handler.

namespace ngx {

namespace {

constexpr Msec longest_wait = 20;
constexpr Msec interval = 50;

struct {
    TurnHook hook{};
    Connection connection{};
    Event timer{};
} state;

Msec no_longer(TurnHook&, Msec timer) noexcept
{
    return std::min(timer, longest_wait);
}

void hook_timer_handler(Event& ev) noexcept
{
    ev.timedout = 0;
    add_timer(ev, interval);
}

Rc hook_init_process(Cycle& cycle)
{
    state.hook.before = no_longer;
    add_turn_hook(state.hook);

    state.timer.data = &state.connection;
    state.timer.log = cycle.log;
    state.timer.handler = hook_timer_handler;
    add_timer(state.timer, interval);
    return Rc::ok;
}

void hook_exit_process(Cycle&)
{
    del_turn_hook(state.hook);
    if (state.timer.timer_set()) {
        del_timer(state.timer);
    }
}

constexpr CoreModule hook_module_ctx = {
    .name = "hook",
};

}  // namespace

extern Module hook_module;

constinit Module hook_module = {
    .ctx = &hook_module_ctx,
    .type = ModuleType::core,
    .init_process = hook_init_process,
    .exit_process = hook_exit_process,
};

}  // namespace ngx
