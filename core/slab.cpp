#include "core/slab.hpp"

#include <cassert>
#include <new>

namespace ngx {

SlabPool* SlabPool::create(void* addr, std::size_t size)
{
    assert(addr && size >= min_size);
    // The blocks begin after the pool, at the next aligned address.
    constexpr std::size_t align = Blocks::Alignment;
    constexpr std::size_t offset = (sizeof(SlabPool) + align - 1) / align * align;

    auto* const pool = ::new (addr) SlabPool;
    shmtx_create(pool->mutex, pool->lock_);
    pool->blocks_ = ::new (static_cast<char*>(addr) + offset) Blocks(size - offset, 0);
    return pool;
}

void* SlabPool::alloc(std::size_t size) noexcept
{
    shmtx_lock(mutex);
    void* const p = alloc_locked(size);
    shmtx_unlock(mutex);
    return p;
}

void SlabPool::free(void* p) noexcept
{
    shmtx_lock(mutex);
    free_locked(p);
    shmtx_unlock(mutex);
}

}  // namespace ngx
