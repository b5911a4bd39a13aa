#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Returns the timeout that a turn passes to process_events, in ms; -1 is no limit. `resolution`
/// is timer_resolution, 0 if it is off; `next_timer` is the time until the first timer expires, -1
/// if none is set.
long wait_of_turn([[maybe_unused]] long resolution, [[maybe_unused]] long next_timer)
{
    return -2;
}

/// 2. Returns whether the time is updated after the wait; `alarm_rang` is event_timer_alarm.
bool updates_the_time([[maybe_unused]] long resolution, [[maybe_unused]] bool alarm_rang)
{
    return false;
}

}  // namespace ngx::exercise
