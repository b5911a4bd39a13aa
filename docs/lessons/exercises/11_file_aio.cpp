#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Returns the number of bytes that a read returns.
long bytes_read([[maybe_unused]] long file_size, [[maybe_unused]] long offset, long size)
{
    return size;
}

/// 2. This number of reads is complete, and the eventfd was not read yet. Returns the sum of the
/// numbers that are then read from it.
std::uint64_t sum_of_eventfd([[maybe_unused]] int reads)
{
    return 0;
}

}  // namespace ngx::exercise
