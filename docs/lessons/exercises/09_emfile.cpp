#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Returns whether ngxx stops watching its listeners for a while when accept() fails with this
/// errno. (nginx does so in two of the cases.)
bool stops_accepting([[maybe_unused]] int err)
{
    return false;
}

/// 2. Returns whether the listener is watched: at step 0, the start; 1, after accept() has failed
/// because no descriptor was free; 2, after the next try has failed as well; 3, after a success.
bool is_watched([[maybe_unused]] int step)
{
    return true;
}

}  // namespace ngx::exercise
