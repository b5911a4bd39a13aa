#pragma once

#include <cassert>
#include <csignal>

#include <boost/intrusive/list.hpp>

#include "core/core.hpp"

namespace ngx {

/// The value of `timer_resolution`, in ms; 0 without it.
extern Msec timer_resolution;

/// Set by SIGALRM under timer_resolution: the time must be updated.
///
/// nginx: ngx_event_timer_alarm
extern volatile std::sig_atomic_t event_timer_alarm;

/// Functions that a module wants called before and after the wait, in each turn of the loop, on the
/// loop's thread; either may be null. The module owns the hook and must not move it from
/// add_turn_hook(), in init_process, until del_turn_hook(), in exit_process.
///
/// Differs from nginx: in nginx a module puts its own function into the table of actions.
struct TurnHook {
    TurnHook() = default;
    TurnHook(const TurnHook&) = delete;
    TurnHook& operator=(const TurnHook&) = delete;

    /// Called before the wait. Returns the maximum time to wait, in ms: `timer` or less; 0 for no
    /// wait.
    Msec (*before)(TurnHook& hook, Msec timer) noexcept = nullptr;

    /// Called after the wait, when the handlers have run or are posted, and before posted events
    /// run.
    void (*after)(TurnHook& hook) noexcept = nullptr;

    void* data = nullptr;  // for the owner

    /// A hook that is destroyed removes itself: a worker that cannot start does not call
    /// exit_process.
    boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>
        queue{};
};

/// Adds the hook behind those added earlier. While it is being called a hook may remove itself, but
/// no other hook.
void add_turn_hook(TurnHook& hook) noexcept;

/// Removes the hook; does nothing if it was not added.
void del_turn_hook(TurnHook& hook) noexcept;

/// One turn of a worker's loop:
///
///  1. how long to wait: until the next timer; for ever under timer_resolution
///  2. the accept mutex: try for it, unless this worker is nearly full. With it, events are
///     posted; without it, wait no longer than accept_mutex_delay
///  3. move the events posted for this turn in the last one; then do not wait at all
///  4. wait, and dispatch or post what is ready; the hooks of modules before and after that
///  5. run posted accept events
///  6. release the accept mutex
///  7. run expired timers
///  8. run posted events
///
/// nginx: ngx_process_events_and_timers()
void process_events_and_timers(Cycle& cycle) noexcept;

/// Makes the calling thread the one that runs the loop; false: no thread does. Only asserts use it.
void set_loop_thread(bool runs_loop = true) noexcept;

}  // namespace ngx
