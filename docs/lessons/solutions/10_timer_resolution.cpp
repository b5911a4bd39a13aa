#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

long wait_of_turn(long resolution, long next_timer)
{
    return resolution != 0 ? -1 : next_timer;
}

bool updates_the_time(long resolution, bool alarm_rang)
{
    return resolution == 0 || alarm_rang;
}

}  // namespace ngx::exercise
