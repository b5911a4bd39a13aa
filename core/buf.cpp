#include "core/buf.hpp"

#include <algorithm>

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

Chain* chain_update_sent(Chain* in, std::size_t sent) noexcept
{
    for (; in; in = in->next) {
        Buf& b = *in->buf;
        if (buf_special(b)) {
            continue;
        }
        const std::size_t n = std::min(buf_size(b), sent);
        const bool all = n == buf_size(b);
        if (buf_in_memory(b)) {
            b.pos += n;
        }
        if (b.in_file) {
            b.file_pos += static_cast<off_t>(n);
        }
        sent -= n;
        if (!all) {
            return in;
        }
    }
    return nullptr;
}

}  // namespace ngx
