#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. The timeout that a turn passes to process_events, in ms, -1 for ever. `resolution` is
/// timer_resolution, 0 if there is none; `next_timer` is how long until the first timer, -1 if
/// there is none.
long wait_of_turn([[maybe_unused]] long resolution, [[maybe_unused]] long next_timer)
{
    return -2;
}

/// 2. Whether the time is updated after the wait; `alarm_rang` is event_timer_alarm.
bool updates_the_time([[maybe_unused]] long resolution, [[maybe_unused]] bool alarm_rang)
{
    return false;
}

}  // namespace ngx::exercise
