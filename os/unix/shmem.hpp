#pragma once

#include <cstddef>
#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// Memory that a process shares with the processes that it forks. The owner of the Shm maps and
/// unmaps it.
///
/// nginx: ngx_shm_t
struct Shm {
    void* addr = nullptr;
    std::size_t size = 0;
    std::string_view name{};
    Log* log = nullptr;
};

/// Maps `size` zeroed bytes and sets `addr`. Returns error after logging.
///
/// nginx: ngx_shm_alloc()
Rc shm_alloc(Shm& shm);

/// Unmaps the memory. A failure is logged.
///
/// nginx: ngx_shm_free()
void shm_free(Shm& shm);

}  // namespace ngx
