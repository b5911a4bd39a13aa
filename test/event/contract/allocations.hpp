#pragma once

#include <cstddef>

namespace ngx::contract {

/// Counts what the calling thread takes from the heap while this lives, by malloc() or by new. One
/// at a time. In a program with a sanitizer, which has a heap of its own, nothing is counted.
class Allocations {
public:
    Allocations() noexcept;
    Allocations(const Allocations&) = delete;
    Allocations& operator=(const Allocations&) = delete;
    ~Allocations();

    [[nodiscard]] static bool are_counted() noexcept;
    [[nodiscard]] std::size_t count() const noexcept;
};

}  // namespace ngx::contract
