#pragma once

#include <cstddef>
#include <sys/types.h>

#include "core/core.hpp"
#include "core/palloc.hpp"

namespace ngx {

/// A piece of memory or of a file on its way. In memory [pos, last) is to be written, [last, end)
/// is free to be read into; of the file it is [file_pos, file_last). A piece that is both in memory
/// and in a file has the size of its memory, and is sent from the file. Neither is the buffer's
/// own.
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
    unsigned recycled : 1 = 0;  // once it is sent, its owner uses it again
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

/// A link from those that were given back, or a new one.
///
/// nginx: ngx_alloc_chain_link()
inline Chain* alloc_chain_link(Pool& pool)
{
    Chain* const cl = pool.chain;
    if (!cl) {
        return pool.create<Chain>();
    }
    pool.chain = cl->next;
    return cl;
}

/// Gives a link back to its pool.
///
/// nginx: ngx_free_chain()
inline void free_chain(Pool& pool, Chain& cl) noexcept
{
    cl.next = pool.chain;
    pool.chain = &cl;
}

/// How many bytes from the first buffer on lie side by side in its file, up to `limit`, or up to
/// the end of the page that the limit falls into. Moves `in` past the buffers that are all in.
///
/// nginx: ngx_chain_coalesce_file()
off_t chain_coalesce_file(Chain*& in, off_t limit) noexcept;

/// Adds `out` to the busy buffers, and moves to `free` those at the head of them that are sent and
/// recycled. The links of the others that are sent go back to the pool.
///
/// Differs from nginx: there a tag tells whose a buffer is.
///
/// nginx: ngx_chain_update_chains()
void chain_update_chains(Pool& pool, Chain*& free, Chain*& busy, Chain*& out) noexcept;

/// Moves `pos` and `file_pos` of the first buffers past `sent` bytes; returns the first that is not
/// all sent.
///
/// nginx: ngx_chain_update_sent()
Chain* chain_update_sent(Chain* in, std::size_t sent) noexcept;

}  // namespace ngx
