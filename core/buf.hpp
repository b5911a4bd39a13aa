#pragma once

#include <cstddef>
#include <sys/types.h>

#include "core/core.hpp"
#include "core/palloc.hpp"

namespace ngx {

/// A piece of memory or of a file on its way. In memory [pos, last) is to be written, [last, end)
/// is free to be read into; of the file it is [file_pos, file_last). A piece that is both in memory
/// and in a file counts as memory. Neither is the buffer's own.
///
/// nginx: ngx_buf_t
struct Buf {
    char* pos = nullptr;
    char* last = nullptr;
    off_t file_pos = 0;
    off_t file_last = 0;

    char* start = nullptr;
    char* end = nullptr;
    File* file = nullptr;

    unsigned temporary : 1 = 0;  // may be changed
    unsigned memory : 1 = 0;     // may not be changed
    unsigned in_file : 1 = 0;
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
    return (b.flush || b.last_buf || b.sync) && !buf_in_memory(b) && !b.in_file;
}

/// nginx: ngx_buf_size()
inline std::size_t buf_size(const Buf& b) noexcept
{
    return static_cast<std::size_t>(buf_in_memory(b) ? b.last - b.pos : b.file_last - b.file_pos);
}

/// A buffer with `size` bytes of memory behind it.
///
/// nginx: ngx_create_temp_buf()
Buf* create_temp_buf(Pool& pool, std::size_t size);

/// Moves `pos` and `file_pos` of the first buffers past `sent` bytes; returns the first that is not
/// all sent.
///
/// nginx: ngx_chain_update_sent()
Chain* chain_update_sent(Chain* in, std::size_t sent) noexcept;

}  // namespace ngx
