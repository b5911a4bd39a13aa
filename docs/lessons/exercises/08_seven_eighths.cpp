#include "docs/lessons/exercises.hpp"

#include "event/event_accept.hpp"

namespace ngx::exercise {

/// 1. Returns the value of accept_disabled when a worker with this number of connections accepts a
/// client. `free` is the number of free slots before the client gets its own.
long accept_disabled_at([[maybe_unused]] long connections, [[maybe_unused]] long free)
{
    return 0;
}

/// 2. Returns the number of turns in which the worker then does not try to acquire the mutex.
int turns_without_the_mutex([[maybe_unused]] long accept_disabled)
{
    return 0;
}

}  // namespace ngx::exercise
