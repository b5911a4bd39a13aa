#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

std::uint64_t key_after(std::uint64_t key, std::uint64_t now, std::uint64_t timer)
{
    const auto diff = static_cast<std::int64_t>(now + timer - key);
    return diff > -300 && diff < 300 ? key : now + timer;
}

bool is_earlier(std::uint64_t one, std::uint64_t other)
{
    return static_cast<std::int64_t>(one - other) < 0;
}

}  // namespace ngx::exercise
