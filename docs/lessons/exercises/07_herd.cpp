#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. How many of the workers, who all sleep, wake up for one client. `how` is "poll",
/// "exclusive" (epoll) or "mutex" (epoll and accept_mutex).
int woken([[maybe_unused]] const std::string& how, [[maybe_unused]] int workers)
{
    return -1;
}

/// 2. How many calls of accept() find nothing, for so many clients, one after the other.
int accepts_in_vain([[maybe_unused]] const std::string& how, [[maybe_unused]] int workers,
                    [[maybe_unused]] int clients)
{
    return -1;
}

}  // namespace ngx::exercise
