#include "core/buf.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/file.hpp"
#include "os/unix/os.hpp"

namespace ngx {

Buf* create_temp_buf(Pool& pool, std::size_t size)
{
    Buf* b = pool.create<Buf>();
    b->start = static_cast<char*>(pool.palloc(size, 1));
    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + size;
    b->temporary = 1;
    return b;
}

off_t chain_coalesce_file(Chain*& in, off_t limit) noexcept
{
    assert(in && in->buf->in_file && in->buf->file);
    assert(limit > 0);
    const int fd = in->buf->file->fd;
    const off_t start = in->buf->file_pos;
    off_t end = start;

    for (; in && in->buf->in_file && in->buf->file->fd == fd && in->buf->file_pos == end &&
           end - start < limit;
         in = in->next) {
        const Buf& b = *in->buf;
        if (b.file_last - start > limit) {
            // Sending the last page that the limit reaches to its end costs nothing more.
            const auto page = static_cast<off_t>(pagesize);
            const off_t cut = (start + limit + page - 1) / page * page;
            return (cut <= b.file_last ? cut : start + limit) - start;
        }
        end = b.file_last;
    }
    return end - start;
}

void chain_update_chains(Pool& pool, Chain*& free, Chain*& busy, Chain*& out) noexcept
{
    Chain** last = &busy;
    while (*last) {
        last = &(*last)->next;
    }
    *last = std::exchange(out, nullptr);

    while (busy && buf_size(*busy->buf) == 0) {
        Chain* const cl = std::exchange(busy, busy->next);
        if (!cl->buf->recycled) {
            free_chain(pool, *cl);
            continue;
        }
        cl->buf->pos = cl->buf->start;
        cl->buf->last = cl->buf->start;
        cl->next = std::exchange(free, cl);
    }
}

Chain* chain_update_sent(Chain* in, std::size_t sent) noexcept
{
    for (; in; in = in->next) {
        Buf& b = *in->buf;
        const std::size_t size = buf_size(b);  // 0 for a special buffer
        const std::size_t n = std::min(size, sent);
        const bool all = n == size;
        if (buf_in_memory(b)) {
            b.pos += n;
        }
        if (b.in_file) {
            b.file_pos += static_cast<off_t>(n);
        }
        sent -= n;
        assert(!buf_in_memory(b) || b.pos <= b.last);
        assert(all || sent == 0);
        if (!all) {
            return in;
        }
    }
    assert(sent == 0);  // no more than the chain has
    return nullptr;
}

}  // namespace ngx
