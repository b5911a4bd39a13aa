#pragma once

#include <cstddef>

namespace ngx::contract {

/// While it exists, counts the heap allocations of the calling thread, by malloc() and new. Only
/// one may exist at a time. With a sanitizer, which replaces the heap functions, nothing is
/// counted.
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
