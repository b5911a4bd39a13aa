#pragma once

#include <cstddef>
#include <sys/types.h>

#include "core/core.hpp"
#include "core/palloc.hpp"

namespace ngx {

/// A piece of memory on its way: [pos, last) is to be written, [last, end) is free to be read
/// into. The memory is not the buffer's own.
///
/// nginx: ngx_buf_t
struct Buf {
    char* pos = nullptr;
    char* last = nullptr;
    char* start = nullptr;
    char* end = nullptr;

    unsigned temporary : 1 = 0;  // may be changed
    unsigned memory : 1 = 0;     // may not be changed
    unsigned flush : 1 = 0;
    unsigned sync : 1 = 0;
    unsigned last_buf : 1 = 0;
};

/// nginx: ngx_chain_t
struct Chain {
    Buf* buf = nullptr;
    Chain* next = nullptr;
};

/// What the chain functions answer when the connection has failed; null means all was sent.
///
/// nginx: NGX_CHAIN_ERROR
inline Chain chain_error_;
inline constexpr Chain* chain_error = &chain_error_;

/// nginx: ngx_buf_in_memory()
inline bool buf_in_memory(const Buf& b) noexcept
{
    return b.temporary || b.memory;
}

/// Only a mark in the chain, with nothing to send.
///
/// nginx: ngx_buf_special()
inline bool buf_special(const Buf& b) noexcept
{
    return (b.flush || b.last_buf || b.sync) && !buf_in_memory(b);
}

/// nginx: ngx_buf_size()
inline std::size_t buf_size(const Buf& b) noexcept
{
    return static_cast<std::size_t>(b.last - b.pos);
}

/// A buffer with `size` bytes of memory behind it.
///
/// nginx: ngx_create_temp_buf()
Buf* create_temp_buf(Pool& pool, std::size_t size);

/// Moves `pos` of the first buffers past `sent` bytes; returns the first that is not all sent.
///
/// nginx: ngx_chain_update_sent()
Chain* chain_update_sent(Chain* in, std::size_t sent) noexcept;

}  // namespace ngx
