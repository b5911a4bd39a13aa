#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Whether accept() that fails with this errno makes ngxx stop watching its listeners for a
/// while. (nginx does so in two of the cases.)
bool stops_accepting([[maybe_unused]] int err)
{
    return false;
}

/// 2. Whether the listener is watched: at step 0, the start; 1, after accept() has failed for want
/// of a descriptor; 2, after it was tried again and failed again; 3, after it has succeeded.
bool is_watched([[maybe_unused]] int step)
{
    return true;
}

}  // namespace ngx::exercise
