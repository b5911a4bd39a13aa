#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. A peer has sent this many times before the first of its signals is read. A handler reads all
/// data for each signal. Returns how many of the signals lead to a read without data.
int useless_signals([[maybe_unused]] int sends)
{
    return -1;
}

/// 2. All signals of the queue were read. Returns the number of descriptors that must be passed to
/// poll(), so that no change is missed. `overflow`: SIGIO was among the signals. `named` is the
/// number of descriptors in the other signals, and `open` the number of watched descriptors.
int descriptors_to_poll([[maybe_unused]] bool overflow, int named, [[maybe_unused]] int open)
{
    return named;
}

}  // namespace ngx::exercise
