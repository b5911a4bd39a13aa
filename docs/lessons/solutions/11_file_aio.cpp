#include "docs/lessons/exercises.hpp"

#include <algorithm>

namespace ngx::exercise {

long bytes_read(long file_size, long offset, long size)
{
    return std::clamp(file_size - offset, 0L, size);
}

std::uint64_t sum_of_eventfd(int reads)
{
    return static_cast<std::uint64_t>(reads);
}

}  // namespace ngx::exercise
