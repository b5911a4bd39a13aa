#include "core/embed.hpp"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <span>
#include <sys/time.h>
#include <unistd.h>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/log.hpp"
#include "core/module.hpp"
#include "core/palloc.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"

namespace ngx {

namespace {

/// Closes the open connections except listeners, and destroys their pools.
void close_connections(Cycle& cycle) noexcept
{
    for (Connection& c : connections_of(cycle)) {
        if (c.fd == invalid_socket || c.read->accept) {
            continue;
        }
        Pool* const pool = c.pool;
        close_connection(c);
        if (pool) {
            destroy_pool(pool);
        }
    }
}

/// Stops the timer of timer_resolution, whose signal handler writes to the cycle's log.
void stop_alarm() noexcept
{
    constexpr itimerval none{};
    ::setitimer(ITIMER_REAL, &none, nullptr);
    event_timer_alarm = 0;
}

}  // namespace

Cycle* init_library()
{
    time_init();
    pid = ::getpid();
    log_pid = pid;
    parent = ::getppid();

    Log* const log = log_init(nullptr, "");
    if (os_init(log) != Rc::ok) {
        return nullptr;
    }
    preinit_modules();
    ngx_cycle = create_cycle(log);
    return ngx_cycle;
}

Cycle* start_cycle(Cycle& old)
{
    Cycle* const cycle = init_cycle(&old);
    if (!cycle) {
        return nullptr;
    }
    ngx_cycle = cycle;
    use_stderr = false;
    if (no_throw(cycle->log, [&] { return init_process_modules(*cycle); }) != Rc::ok) {
        event_unlink_all();
        std::exit(exit_fatal);
    }
    return cycle;
}

bool process_events_without_waiting(Cycle& cycle) noexcept
{
    TurnHook no_wait;
    no_wait.before = [](TurnHook&, Msec) noexcept { return Msec{0}; };
    add_turn_hook(no_wait);
    process_events_and_timers(cycle);
    del_turn_hook(no_wait);
    return cycle_is_alive(cycle);
}

bool cycle_is_alive(const Cycle& cycle) noexcept
{
    return has_connections(cycle) || !event_no_timers_left() || !posted_next_events.empty() ||
           std::ranges::any_of(old_cycles, [](const Cycle* c) { return has_connections(*c); });
}

void stop_cycle(Cycle& cycle)
{
    const bool started = cycle.connections != nullptr;
    stop_alarm();
    if (started) {
        exit_process_modules(cycle);
    }
    close_connections(cycle);
    for (Cycle* const old : old_cycles) {
        close_connections(*old);
    }
    close_listening_sockets(cycle);
    event_unlink_all();

    if (started) {
        event_actions.done(cycle);
    }
    for (Cycle* const old : old_cycles) {
        destroy_cycle_pools(old);
    }
    old_cycles.clear();
    destroy_cycle_pools(&cycle);
    ngx_cycle = nullptr;
    set_loop_thread(false);
    event_actions = {};
    event_flags = 0;
    accept_disabled = 0;
}

}  // namespace ngx
