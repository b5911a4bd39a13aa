#include "event/event.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <string>
#include <sys/socket.h>
#include <thread>

#include <fmt/format.h>

#include "core/cycle.hpp"
#include "core/palloc.hpp"
#include "core/times.hpp"
#include "event/event_accept.hpp"
#include "event/event_core_module.hpp"
#include "event/event_observer.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"

namespace ngx {

namespace {

using TurnHooks = boost::intrusive::list<
    TurnHook, boost::intrusive::member_hook<TurnHook, decltype(TurnHook::queue), &TurnHook::queue>,
    boost::intrusive::constant_time_size<false>>;

struct {
    TurnHooks turn_hooks{};
    std::thread::id loop_thread{};
} state;

}  // namespace

EventActions event_actions;
unsigned event_flags;
bool use_epoll_rdhup;
Msec timer_resolution;
volatile std::sig_atomic_t event_timer_alarm;

namespace {

Msec call_before_hooks(Msec timer) noexcept
{
    for (auto it = state.turn_hooks.begin(); it != state.turn_hooks.end();) {
        TurnHook& hook = *it++;
        if (hook.before) {
            timer = std::min(timer, hook.before(hook, timer));  // timer_infinite is the maximum
        }
    }
    return timer;
}

void call_after_hooks() noexcept
{
    for (auto it = state.turn_hooks.begin(); it != state.turn_hooks.end();) {
        TurnHook& hook = *it++;
        if (hook.after) {
            hook.after(hook);
        }
    }
}

/// Step 2 of the turn. May lower `timer` and add post_events to `flags`.
///
/// Differs from nginx: a poller failure, which has been logged, counts as a mutex that another
/// worker holds. nginx ends the turn, so that the worker spins for as long as the poller fails.
void try_accept_mutex(Cycle& cycle, Msec& timer, unsigned& flags) noexcept
{
    if (accept_disabled > 0) {
        log_debug(log_debug_event, cycle.log, 0, "accept mutex not tried: {}", accept_disabled);
        event_observed(EventFactType::mutex_not_tried, accept_disabled);
        accept_disabled--;
        return;
    }
    if (trylock_accept_mutex(cycle) == Rc::ok && accept_mutex_held) {
        flags |= post_events;
    } else {
        timer = std::min(timer, accept_mutex_delay);  // timer_infinite is the maximum
    }
}

}  // namespace

void add_turn_hook(TurnHook& hook) noexcept
{
    assert(in_loop_thread());
    assert(hook.before || hook.after);
    del_turn_hook(hook);
    state.turn_hooks.push_back(hook);
}

void del_turn_hook(TurnHook& hook) noexcept
{
    assert(in_loop_thread());
    if (hook.queue.is_linked()) {
        state.turn_hooks.erase(state.turn_hooks.iterator_to(hook));
    }
}

namespace {

[[gnu::noinline]] void turn(Cycle& cycle) noexcept
{
    assert(in_loop_thread());
    assert(event_actions.process_events);
    const bool by_alarm = timer_resolution != 0;
    Msec timer = by_alarm ? timer_infinite : event_find_timer();
    unsigned flags = by_alarm ? 0 : update_time;

    if (use_accept_mutex) {
        assert(accept_mutex_ptr);
        try_accept_mutex(cycle, timer, flags);
    }

    if (!posted_next_events.empty()) {
        event_move_posted_next(cycle);
        timer = 0;
    }

    timer = call_before_hooks(timer);
    const Msec before = current_msec;
    // An error has been logged, and the loop continues.
    (void)event_actions.process_events(cycle, timer, flags);
    log_debug(log_debug_event, cycle.log, 0, "timer delta: {}", current_msec - before);
    call_after_hooks();

    if (!posted_accept_events.empty()) {
        event_process_posted(cycle, posted_accept_events);
    }
    if (accept_mutex_held) {
        shmtx_unlock(accept_mutex);
        log_debug(log_debug_event, cycle.log, 0, "accept mutex unlocked");
        event_observed(EventFactType::mutex_unlocked);
    }

    event_expire_timers(timer_resolution);
    if (!posted_events.empty()) {
        event_process_posted(cycle, posted_events);
    }
    log_debug(log_debug_event, cycle.log, 0, "worker cycle done");
}

[[gnu::cold, gnu::noinline]] void observed_turn(Cycle& cycle) noexcept
{
    event_observed(EventFactType::turn_begin);
    turn(cycle);
    event_observed(EventFactType::turn_end);
}

}  // namespace

void process_events_and_timers(Cycle& cycle) noexcept
{
    if (event_observer) [[unlikely]] {
        observed_turn(cycle);
    } else {
        turn(cycle);
    }
}

Rc send_lowat(Connection& c, std::size_t lowat) noexcept
{
    assert(c.fd != invalid_socket);
    if (lowat == 0 || c.sndlowat) {
        return Rc::ok;
    }

    const int sndlowat = static_cast<int>(lowat);
    if (::setsockopt(c.fd, SOL_SOCKET, SO_SNDLOWAT, &sndlowat, sizeof(sndlowat)) == -1) {
        connection_error(c, errno, "setsockopt(SO_SNDLOWAT) failed");
        return Rc::error;
    }
    c.sndlowat = 1;
    return Rc::ok;
}

void set_loop_thread(bool runs_loop) noexcept
{
    state.loop_thread = runs_loop ? std::this_thread::get_id() : std::thread::id();
}

bool in_loop_thread() noexcept
{
    return state.loop_thread == std::thread::id() ||
           state.loop_thread == std::this_thread::get_id();
}

bool event_shared(const Event& ev) noexcept
{
    return connection_of(ev).shared;
}

// Debug lines take the descriptor of an asynchronous read of a file, too: its data is an EventAio.
static_assert(offsetof(EventAio, fd) == offsetof(Connection, fd));

int event_ident(const Event& ev) noexcept
{
    return connection_of(ev).fd;
}

namespace {

/// Clones the reuseport listeners, so that each worker has its own socket. Only with a master
/// process.
void clone_listeners(Cycle& cycle)
{
    if (test_config || !*get_conf<CoreConf>(cycle.conf_ctx)->master) {
        return;
    }
    // Reserves all the memory first: a number of workers that is too large fails at once.
    const std::size_t listeners = cycle.listening.size();
    const auto shared = std::ranges::count_if(
        cycle.listening, [](const Listening& ls) { return ls.reuseport == 1; });
    const auto n = *get_conf<CoreConf>(cycle.conf_ctx)->worker_processes;
    cycle.listening.reserve(listeners + static_cast<std::size_t>(shared * n));
    for (std::size_t i = 0; i < listeners; i++) {
        clone_listening(cycle, cycle.listening[i]);
    }
}

/// Returns the reason why the chosen event method cannot serve this configuration; empty if it can.
std::string unfit_method(const Cycle& cycle)
{
    const CoreConf& ccf = *get_conf<CoreConf>(cycle.conf_ctx);
    const EventConf& ecf = *event_get_conf<EventConf>(cycle.conf_ctx);
    const EventModule& method = event_method(cycle);
    if (!*ccf.master || *ccf.worker_processes <= 1) {
        return {};
    }
    if (method.single_worker) {
        return fmt::format("event method \"{}\" works with one worker only, and "
                           "\"worker_processes\" is {}",
                           method.name, *ccf.worker_processes);
    }
    if (method.needs_accept_mutex && !*ecf.accept_mutex) {
        return fmt::format("event method \"{}\" needs \"accept_mutex\" with {} workers, and it "
                           "is off",
                           method.name, *ccf.worker_processes);
    }
    return {};
}

/// Checks that there is an events block, that each listener and the channel to the master get a
/// connection, and that the event method can serve this configuration. Then clones the listeners.
///
/// nginx: ngx_event_init_conf()
const char* event_init_conf(Cycle& cycle, void* conf)
{
    const std::size_t listeners = cycle.listening.size();

    if (!conf) {
        conf_log_error(log_emerg, cycle.log, {}, 0, "no \"events\" section in configuration");
    } else if (cycle.connection_n < listeners + 1) {
        conf_log_error(log_emerg, cycle.log, {}, 0,
                       "{} worker_connections are not enough for {} listening sockets",
                       cycle.connection_n, listeners);
    } else if (const std::string why = unfit_method(cycle); !why.empty()) {
        const EventConf& ecf = *event_get_conf<EventConf>(cycle.conf_ctx);
        conf_log_error(log_emerg, cycle.log, {ecf.use_file, ecf.use_line}, 0, "{}", why);
    } else {
        clone_listeners(cycle);
        return conf_ok;
    }
    return conf_error;
}

/// Calls `function(module)` for each event module, until a result is not conf_ok. Returns that
/// result.
template <typename Function>
const char* for_event_modules(Conf& cf, Function function)
{
    for (Module* module : modules_of(*cf.cycle)) {
        if (module->type != ModuleType::event) {
            continue;
        }
        if (const char* rv = function(*module); rv != conf_ok) {
            return rv;
        }
    }
    return conf_ok;
}

const char* create_event_confs(Conf& cf, BlockCtx& ctx)
{
    return for_event_modules(cf, [&](const Module& module) -> const char* {
        if (!event_ctx(module).create_conf) {
            return conf_ok;
        }
        void*& conf = ctx.conf[0][module.ctx_index];
        conf = event_ctx(module).create_conf(*cf.cycle);
        return conf ? conf_ok : conf_error;
    });
}

const char* parse_events(Conf& cf, BlockCtx& ctx)
{
    const ConfScope scope(cf);
    cf.ctx = &ctx;
    cf.module_type = ModuleType::event;
    cf.cmd_type = event_conf;
    return conf_parse(cf);
}

const char* init_event_confs(Conf& cf, BlockCtx& ctx)
{
    return for_event_modules(cf, [&](const Module& module) -> const char* {
        if (!event_ctx(module).init_conf) {
            return conf_ok;
        }
        return event_ctx(module).init_conf(*cf.cycle, ctx.conf[0][module.ctx_index]);
    });
}

/// Handles `events { }`. `conf` points to the variable that stores the block's context.
///
/// nginx: ngx_events_block()
const char* events_block(Conf& cf, const Command&, void* conf)
{
    void*& slot = *static_cast<void**>(conf);
    if (slot) {
        return "is duplicate";
    }

    const std::size_t modules_n = count_modules(*cf.cycle, ModuleType::event);
    auto* ctx = cf.pool->create<BlockCtx>();
    ctx->conf[0] = cf.pool->pcalloc<void*>(modules_n);
    slot = ctx;

    const char* rv = create_event_confs(cf, *ctx);
    if (rv == conf_ok) {
        rv = parse_events(cf, *ctx);
    }
    if (rv == conf_ok) {
        rv = init_event_confs(cf, *ctx);
    }
    return rv;
}

constexpr Command events_commands[] = {
    {
        .name = "events",
        .type = main_conf | conf_block | conf_noargs,
        .set = events_block,
    },
};

constexpr CoreModule events_module_ctx = {
    .name = "events",
    .init_conf = event_init_conf,
};

}  // namespace

constinit Module events_module = {
    .ctx = &events_module_ctx,
    .commands = events_commands,
    .type = ModuleType::core,
};

}  // namespace ngx
