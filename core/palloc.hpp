#pragma once

#include <cstring>
#include <memory_resource>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/core.hpp"

namespace ngx {

/// A memory pool of a cycle or a connection: its memory is freed all at once, and never in parts.
/// The standard library provides the blocks; this class adds clean-ups, so that objects with
/// destructors can live in a pool. A pool owns what it has allocated, and not its log. Only one
/// thread may use it.
///
/// nginx: ngx_pool_t
class Pool final : public std::pmr::monotonic_buffer_resource {
public:
    using Cleanup = void (*)(void* data);

    /// `buffer` is the first block, which the caller owns.
    Pool(void* buffer, std::size_t size, Log* pool_log) noexcept
        : monotonic_buffer_resource(buffer, size, std::pmr::new_delete_resource())
        , log(pool_log)
    {}

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// Runs the clean-ups in reverse order.
    ~Pool() override;

    /// Allocates uninitialised memory. The qualified call avoids the virtual call.
    ///
    /// Differs from nginx: every function that allocates throws std::bad_alloc when memory runs
    /// out, where nginx returns null. The owner of the connection or session catches it and closes
    /// that connection or session.
    ///
    /// nginx: ngx_palloc()
    void* palloc(std::size_t size, std::size_t align = alignof(std::max_align_t))
    {
        return monotonic_buffer_resource::do_allocate(size, align);
    }

    /// Allocates zeroed memory for `n` pointers or numbers.
    ///
    /// nginx: ngx_pcalloc()
    template <typename T>
    T* pcalloc(std::size_t n)
    {
        static_assert(std::is_trivial_v<T>);
        return static_cast<T*>(std::memset(palloc(n * sizeof(T), alignof(T)), 0, n * sizeof(T)));
    }

    /// Creates a T that lives as long as the pool. The pool runs its destructor.
    template <typename T, typename... Args>
    T* create(Args&&... args)
    {
        void* const memory = palloc(sizeof(T), alignof(T));
        if constexpr (std::is_trivially_destructible_v<T>) {
            return ::new (memory) T{std::forward<Args>(args)...};
        } else {
            void* const link = palloc(sizeof(CleanupLink), alignof(CleanupLink));
            T* object = ::new (memory) T{std::forward<Args>(args)...};
            // Both allocations are done, so nothing can fail between the object and its clean-up.
            cleanups_ = ::new (link)
                CleanupLink{[](void* data) { static_cast<T*>(data)->~T(); }, object, cleanups_};
            return object;
        }
    }

    /// Copies a text and appends a zero byte.
    ///
    /// nginx: ngx_pstrdup()
    std::string_view pstrdup(std::string_view text);

    /// Registers `handler(data)` to be called when the pool is destroyed. May throw, so call it
    /// before the resource that it releases exists.
    ///
    /// nginx: ngx_pool_cleanup_add()
    void cleanup_add(Cleanup handler, void* data);

    Log* log;
    Chain* chain = nullptr;  // released links, for reuse

private:
    struct CleanupLink {
        Cleanup handler;
        void* data;
        CleanupLink* next;
    };

    CleanupLink* cleanups_ = nullptr;
};

/// The size of a connection's pool in bytes. Blocks of this size are kept for reuse, so that
/// accepting a connection allocates nothing once a server has seen its peak.
inline constexpr std::size_t connection_pool_size = 1024;

/// Creates a pool whose first block has `size` bytes, the pool itself included. Never returns null;
/// throws std::bad_alloc. Release it with destroy_pool().
///
/// nginx: ngx_create_pool()
Pool* create_pool(std::size_t size, Log* log);

/// Runs the clean-ups and frees the pool with all memory that it has allocated.
///
/// nginx: ngx_destroy_pool()
void destroy_pool(Pool* pool) noexcept;

}  // namespace ngx
