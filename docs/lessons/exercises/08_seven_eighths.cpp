#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. What accept_disabled becomes when a worker of so many connections accepts a client while so
/// many slots are free, the client's not yet taken.
long accept_disabled_at([[maybe_unused]] long connections, [[maybe_unused]] long free)
{
    return 0;
}

/// 2. For how many turns the worker then does not try for the mutex.
int turns_without_the_mutex([[maybe_unused]] long accept_disabled)
{
    return 0;
}

}  // namespace ngx::exercise
