#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. The key of a timer that is in the tree with `key` and is set again at `now`, to `timer` ms.
std::uint64_t key_after([[maybe_unused]] std::uint64_t key, std::uint64_t now, std::uint64_t timer)
{
    return now + timer;
}

/// 2. Whether a timer with the key `one` fires before one with the key `other`. The clock may have
/// wrapped between them.
bool is_earlier(std::uint64_t one, std::uint64_t other)
{
    return one < other;
}

}  // namespace ngx::exercise
