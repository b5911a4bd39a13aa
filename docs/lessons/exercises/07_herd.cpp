#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Returns how many workers wake up for one client; all of them sleep. `how` is "poll",
/// "exclusive" (epoll) or "mutex" (epoll and accept_mutex).
int woken([[maybe_unused]] const std::string& how, [[maybe_unused]] int workers)
{
    return -1;
}

/// 2. Returns how many calls of accept() fail for this number of clients, one after the other.
int failed_accepts([[maybe_unused]] const std::string& how, [[maybe_unused]] int workers,
                   [[maybe_unused]] int clients)
{
    return -1;
}

}  // namespace ngx::exercise
