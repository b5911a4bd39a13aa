#include "docs/lessons/exercises.hpp"

#include "event/event_accept.hpp"

namespace ngx::exercise {

long accept_disabled_at(long connections, long free)
{
    return connections / 8 - free;
}

int turns_without_the_mutex(long accept_disabled)
{
    return accept_disabled > 0 ? static_cast<int>(accept_disabled) : 0;
}

}  // namespace ngx::exercise
