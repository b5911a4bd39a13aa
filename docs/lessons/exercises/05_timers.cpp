#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Returns the key of a timer after it is set again. It is in the tree with `key`; at `now` it
/// is set to `timer` ms.
std::uint64_t key_after([[maybe_unused]] std::uint64_t key, std::uint64_t now, std::uint64_t timer)
{
    return now + timer;
}

/// 2. Returns whether a timer with the key `one` expires before one with the key `other`. The clock
/// may have wrapped around between them.
bool is_earlier(std::uint64_t one, std::uint64_t other)
{
    return one < other;
}

}  // namespace ngx::exercise
