#pragma once

#include <cstring>
#include <memory_resource>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/core.hpp"

namespace ngx {

/// Memory that is freed all at once: a cycle's, or a connection's. What it hands out is never
/// freed singly. The blocks behind it are the standard library's; this class adds the clean-ups,
/// so that an object with a destructor may live in a pool.
///
/// nginx: ngx_pool_t
class Pool final : public std::pmr::monotonic_buffer_resource {
public:
    using Cleanup = void (*)(void* data);

    /// `buffer` is the first block; it stays its owner's.
    Pool(void* buffer, std::size_t size, Log* pool_log) noexcept
        : monotonic_buffer_resource(buffer, size, std::pmr::new_delete_resource())
        , log(pool_log)
    {}

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// Runs the clean-ups, the last added first.
    ~Pool() override;

    /// Uninitialised memory. The qualified call keeps the virtual table out of the loop's path.
    ///
    /// Differs from nginx: every function that allocates throws std::bad_alloc when memory runs
    /// out, where nginx returns null. The owner of the connection or session catches it, and closes
    /// that one.
    ///
    /// nginx: ngx_palloc()
    void* palloc(std::size_t size, std::size_t align = alignof(std::max_align_t))
    {
        return monotonic_buffer_resource::do_allocate(size, align);
    }

    /// Zeroed memory for `n` pointers or numbers.
    ///
    /// nginx: ngx_pcalloc()
    template <typename T>
    T* pcalloc(std::size_t n)
    {
        static_assert(std::is_trivial_v<T>);
        return static_cast<T*>(std::memset(palloc(n * sizeof(T), alignof(T)), 0, n * sizeof(T)));
    }

    /// A T that lives as long as the pool; its destructor runs with the clean-ups.
    template <typename T, typename... Args>
    T* create(Args&&... args)
    {
        void* const memory = palloc(sizeof(T), alignof(T));
        if constexpr (std::is_trivially_destructible_v<T>) {
            return ::new (memory) T{std::forward<Args>(args)...};
        } else {
            void* const link = palloc(sizeof(CleanupLink), alignof(CleanupLink));
            T* object = ::new (memory) T{std::forward<Args>(args)...};
            // Nothing can fail between the object and its clean-up.
            cleanups_ = ::new (link)
                CleanupLink{[](void* data) { static_cast<T*>(data)->~T(); }, object, cleanups_};
            return object;
        }
    }

    /// A copy with a zero byte behind it.
    ///
    /// nginx: ngx_pstrdup()
    std::string_view pstrdup(std::string_view text);

    /// Has `handler` called with `data` when the pool goes. May throw, hence is called before what
    /// is to be cleaned up is there.
    ///
    /// nginx: ngx_pool_cleanup_add()
    void cleanup_add(Cleanup handler, void* data);

    Log* log;
    Chain* chain = nullptr;  // links that were given back

private:
    struct CleanupLink {
        Cleanup handler;
        void* data;
        CleanupLink* next;
    };

    CleanupLink* cleanups_ = nullptr;
};

/// The size that connections use. Blocks of this size are kept for the next connection, so
/// that a server that has seen its peak allocates nothing when it accepts.
inline constexpr std::size_t connection_pool_size = 1024;

/// A pool whose first block has `size` bytes, the pool itself included. Never null: throws
/// std::bad_alloc.
///
/// nginx: ngx_create_pool()
Pool* create_pool(std::size_t size, Log* log);

/// Frees everything that `pool` handed out, and the pool.
///
/// nginx: ngx_destroy_pool()
void destroy_pool(Pool* pool) noexcept;

}  // namespace ngx
