#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Returns the slot that the next get_connection() takes. The slots below `never_used` were
/// taken in order; then the slots `closed[0]` to `closed[closed_n - 1]` were closed, in this order.
int next_slot([[maybe_unused]] const int* closed, [[maybe_unused]] int closed_n,
              [[maybe_unused]] int never_used)
{
    return -1;
}

/// 2. Returns the instance bit in a slot's first, second, ... use (`use` is 1, 2, ...).
bool instance_of_use([[maybe_unused]] int use)
{
    return true;
}

}  // namespace ngx::exercise
