#pragma once

#include <cstddef>
#include <sys/types.h>

#include "core/core.hpp"
#include "core/palloc.hpp"

namespace ngx {

/// A piece of memory or of a file that is to be sent or filled. In memory, [pos, last) is to be
/// sent and [last, end) is free for reading; in the file, [file_pos, file_last) is to be sent. The
/// size of a buffer that is both in memory and in a file is that of its memory, and it is sent from
/// the file. A buffer owns neither its memory nor its file.
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
    unsigned recycled : 1 = 0;  // the owner uses it again once it is sent
};

/// nginx: ngx_chain_t
struct Chain {
    Buf* buf = nullptr;
    Chain* next = nullptr;
};

/// The chain functions return it when the connection has failed. A null pointer means that all was
/// sent.
///
/// nginx: NGX_CHAIN_ERROR
inline Chain chain_error_;
inline constexpr Chain* chain_error = &chain_error_;

/// Tells whether the bytes of the buffer are in memory; they may be in a file as well.
///
/// nginx: ngx_buf_in_memory()
inline bool buf_in_memory(const Buf& b) noexcept
{
    return b.temporary || b.memory;
}

/// True for a buffer that carries only a flag and has nothing to send.
///
/// nginx: ngx_buf_special()
inline bool buf_special(const Buf& b) noexcept
{
    return (b.flush || b.last_buf || b.sync) && !buf_in_memory(b) && !b.in_file;
}

/// Returns the number of bytes to send: those in memory, or those of the file if none are in
/// memory.
///
/// nginx: ngx_buf_size()
inline std::size_t buf_size(const Buf& b) noexcept
{
    return static_cast<std::size_t>(buf_in_memory(b) ? b.last - b.pos : b.file_last - b.file_pos);
}

/// Creates a buffer with `size` bytes of memory; both come from the pool.
///
/// nginx: ngx_create_temp_buf()
Buf* create_temp_buf(Pool& pool, std::size_t size);

/// Returns a link that was released to the pool, or a new one.
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

/// Releases a link to its pool.
///
/// nginx: ngx_free_chain()
inline void free_chain(Pool& pool, Chain& cl) noexcept
{
    cl.next = pool.chain;
    pool.chain = &cl;
}

/// Returns how many bytes from the first buffer on are adjacent in its file, up to `limit`, or up
/// to the end of the page that the limit falls into. Moves `in` past the buffers that lie
/// completely within them.
///
/// nginx: ngx_chain_coalesce_file()
off_t chain_coalesce_file(Chain*& in, off_t limit) noexcept;

/// Appends `out` to the busy buffers, and moves the sent recycled buffers at the head of the busy
/// ones to `free`. The links of other sent buffers are released to the pool.
///
/// Differs from nginx: nginx has a tag that tells which module owns a buffer.
///
/// nginx: ngx_chain_update_chains()
void chain_update_chains(Pool& pool, Chain*& free, Chain*& busy, Chain*& out) noexcept;

/// Moves `pos` and `file_pos` of the first buffers past `sent` bytes. Returns the first link whose
/// buffer is not sent completely, or null.
///
/// nginx: ngx_chain_update_sent()
Chain* chain_update_sent(Chain* in, std::size_t sent) noexcept;

}  // namespace ngx
