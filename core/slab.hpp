#pragma once

#include <cstddef>

#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>

#include "core/shmtx.hpp"

namespace ngx {

/// An allocator in memory that processes share: it stands at the beginning of that memory, at the
/// same address in each of them. The blocks are Boost.Interprocess's to keep. The mutex is ours,
/// because its holder may die, and the master then has to release it.
///
/// nginx: ngx_slab_pool_t
class SlabPool {
public:
    /// The least memory for a pool.
    static constexpr std::size_t min_size = 4096;

    /// Lays a pool out in `size` zeroed bytes.
    ///
    /// nginx: ngx_slab_init()
    static SlabPool* create(void* addr, std::size_t size);

    SlabPool(const SlabPool&) = delete;
    SlabPool& operator=(const SlabPool&) = delete;

    /// Null when there is no room. The caller holds the mutex.
    ///
    /// nginx: ngx_slab_alloc_locked()
    void* alloc_locked(std::size_t size) noexcept { return blocks_->allocate(size); }

    /// nginx: ngx_slab_free_locked()
    void free_locked(void* p) noexcept { blocks_->deallocate(p); }

    /// nginx: ngx_slab_alloc()
    void* alloc(std::size_t size) noexcept;

    /// nginx: ngx_slab_free()
    void free(void* p) noexcept;

    Shmtx mutex{};
    void* data = nullptr;  // where the data of the zone's owner begin

private:
    using Blocks = boost::interprocess::rbtree_best_fit<boost::interprocess::null_mutex_family>;

    SlabPool() = default;

    ShmtxSh lock_{};
    Blocks* blocks_ = nullptr;
};

}  // namespace ngx
