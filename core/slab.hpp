#pragma once

#include <cstddef>

#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>

#include "core/shmtx.hpp"

namespace ngx {

/// An allocator in memory that processes share. It lies at the beginning of that memory, at the
/// same address in each process. Boost.Interprocess manages the blocks; the mutex is an Shmtx,
/// because the master has to release it if its holder dies. The zone owns the memory.
///
/// nginx: ngx_slab_pool_t
class SlabPool {
public:
    /// The minimum size of a pool in bytes.
    static constexpr std::size_t min_size = 4096;

    /// Creates a pool in `size` zeroed bytes.
    ///
    /// nginx: ngx_slab_init()
    static SlabPool* create(void* addr, std::size_t size);

    SlabPool(const SlabPool&) = delete;
    SlabPool& operator=(const SlabPool&) = delete;

    /// Allocates `size` bytes; null if there is not enough memory. The caller holds the mutex.
    ///
    /// nginx: ngx_slab_alloc_locked()
    void* alloc_locked(std::size_t size) noexcept { return blocks_->allocate(size); }

    /// Frees what alloc() or alloc_locked() has returned. The caller holds the mutex.
    ///
    /// nginx: ngx_slab_free_locked()
    void free_locked(void* p) noexcept { blocks_->deallocate(p); }

    /// Locks the mutex and allocates `size` bytes; null if there is not enough memory.
    ///
    /// nginx: ngx_slab_alloc()
    void* alloc(std::size_t size) noexcept;

    /// Locks the mutex and frees what alloc() or alloc_locked() has returned.
    ///
    /// nginx: ngx_slab_free()
    void free(void* p) noexcept;

    Shmtx mutex{};
    void* data = nullptr;  // the root of the data of the zone's owner

private:
    using Blocks = boost::interprocess::rbtree_best_fit<boost::interprocess::null_mutex_family>;

    SlabPool() = default;

    ShmtxSh lock_{};
    Blocks* blocks_ = nullptr;
};

}  // namespace ngx
