#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. A peer has sent so many times before the first of its signals is taken. A handler reads all
/// that there is with each signal: how many of its reads find nothing?
int signals_in_vain([[maybe_unused]] int sends)
{
    return -1;
}

/// 2. All signals of the queue were taken. How many descriptors have to be looked at, so that
/// nothing is missed? `overflow` says that SIGIO was among the signals, `named` how many
/// descriptors the others name, and `open` how many are watched.
int descriptors_to_look_at([[maybe_unused]] bool overflow, int named, [[maybe_unused]] int open)
{
    return named;
}

}  // namespace ngx::exercise
