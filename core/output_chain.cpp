#include "core/output_chain.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/connection.hpp"
#include "core/file.hpp"
#include "core/palloc.hpp"
#include "core/thread_pool.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "os/unix/files.hpp"
#include "os/unix/process.hpp"

namespace ngx {

namespace {

Chain** end_of(Chain*& chain) noexcept
{
    Chain** last = &chain;
    while (*last) {
        last = &(*last)->next;
    }
    return last;
}

/// Appends links to the same buffers to a chain.
///
/// nginx: ngx_output_chain_add_copy()
void output_chain_add_copy(Pool& pool, Chain*& chain, const Chain* in)
{
    Chain** last = end_of(chain);
    for (; in; in = in->next) {
        Chain* const cl = alloc_chain_link(pool);
        *cl = {.buf = in->buf};
        *last = cl;
        last = &cl->next;
    }
}

/// Tells whether the filter gets the buffer without a copy. sendfile() cannot send files that are
/// open for direct I/O.
///
/// nginx: ngx_output_chain_as_is()
bool output_chain_as_is(const OutputChainCtx& ctx, Buf& b) noexcept
{
    if (buf_special(b)) {
        return true;
    }
    if (b.in_file) {
        b.file->thread_handler = ctx.thread_handler;
        b.file->thread_ctx = ctx.filter_ctx;
    }
    if (ctx.sendfile && !(b.in_file && b.file->directio)) {
        return true;
    }
    if (!buf_in_memory(b)) {
        return false;
    }
    b.in_file = 0;
    return true;
}

/// With direct I/O, prepares a small buffer for a piece that begins at an unaligned offset, or for
/// the last, shorter piece. Returns false if the next piece is neither.
///
/// nginx: ngx_output_chain_align_file_buf()
bool output_chain_align_file_buf(OutputChainCtx& ctx, const Buf& in)
{
    if (!in.file->directio) {
        return false;
    }
    ctx.directio = true;

    const std::size_t left = buf_size(in);
    const auto before = static_cast<std::size_t>(in.file_pos % ctx.alignment);
    if (before == 0 && left >= ctx.bufs.size) {
        return false;
    }
    const std::size_t to_aligned = static_cast<std::size_t>(ctx.alignment) - before;
    ctx.buf = create_temp_buf(*ctx.pool, before == 0 ? left : std::min(to_aligned, left));
    ctx.unaligned = true;
    return true;
}

/// Allocates a buffer. That of the last piece of a chain may be as small as the piece, and is not
/// used again.
///
/// nginx: ngx_output_chain_get_buf()
void output_chain_get_buf(OutputChainCtx& ctx, const Buf& in)
{
    const bool fits = in.last_buf && buf_size(in) < ctx.bufs.size;
    const std::size_t size = fits ? buf_size(in) : ctx.bufs.size;
    const std::size_t align = ctx.directio ? static_cast<std::size_t>(ctx.alignment) : 1;

    Buf& b = *ctx.pool->create<Buf>();
    b.start = static_cast<char*>(ctx.pool->palloc(size, align));
    b.pos = b.start;
    b.last = b.start;
    b.end = b.start + size;
    b.temporary = 1;
    b.recycled = !fits;
    ctx.buf = &b;
    ctx.allocated++;
    assert(ctx.allocated <= ctx.bufs.num);
}

/// Finds a buffer to read into. Returns false if the filter has to send first.
bool output_chain_find_buf(OutputChainCtx& ctx, const Buf& in, bool has_out)
{
    if (ctx.buf || output_chain_align_file_buf(ctx, in)) {
        return true;
    }
    if (Chain* const cl = ctx.free) {
        ctx.free = cl->next;
        ctx.buf = cl->buf;
        free_chain(*ctx.pool, *cl);
        return true;
    }
    if (has_out || ctx.allocated == ctx.bufs.num) {
        return false;
    }
    output_chain_get_buf(ctx, in);
    return true;
}

void set_directio(const File& file, bool on) noexcept
{
    if ((on ? directio_on(file.fd) : directio_off(file.fd)) == -1) {
        log_error(log_alert, file.log, errno, "fcntl({}O_DIRECT) \"{}\" failed", on ? "" : "!",
                  file.name);
    }
}

/// Reads in the way that `ctx` selects. Returns the number of bytes, io_again while the read is in
/// progress, or io_error.
ssize_t read_piece(OutputChainCtx& ctx, File& file, char* buf, std::size_t size, off_t offset)
{
    if (ctx.aio_handler) {
        const ssize_t n = file_aio_read(file, buf, size, offset, *ctx.pool);
        if (n == io_again) {
            ctx.aio_handler(ctx, file);
        }
        return n;
    }
    if (ctx.thread_handler) {
        return thread_read(file, buf, size, offset, *ctx.pool);
    }
    return read_file(file, buf, size, offset);
}

/// Reads the next piece of the file into ctx.buf. Returns ok, again or error.
///
/// nginx: ngx_output_chain_copy_buf()
Rc output_chain_copy_buf(OutputChainCtx& ctx, Buf& src)
{
    assert(ctx.buf && src.in_file && src.file);
    Buf& dst = *ctx.buf;
    File& file = *src.file;
    const std::size_t size = std::min(buf_size(src), static_cast<std::size_t>(dst.end - dst.pos));

    if (ctx.unaligned) {
        set_directio(file, false);
    }
    const ssize_t n = read_piece(ctx, file, dst.pos, size, src.file_pos);
    if (n == io_again) {
        return Rc::again;
    }
    if (ctx.unaligned) {
        set_directio(file, true);
        ctx.unaligned = false;
    }
    if (n == io_error) {
        return Rc::error;
    }
    if (static_cast<std::size_t>(n) != size) {
        log_error(log_alert, file.log, 0, "pread() read only {} of {} from \"{}\"", n, size,
                  file.name);
        return Rc::error;
    }

    dst.last += n;
    src.file_pos += n;
    assert(dst.last <= dst.end && src.file_pos <= src.file_last);
    const bool last = src.file_pos == src.file_last;
    dst.flush = last && src.flush;
    dst.last_buf = last && src.last_buf;
    return Rc::ok;
}

/// Removes the first link from ctx.in and returns it.
Chain& shift(OutputChainCtx& ctx) noexcept
{
    assert(ctx.in);
    Chain& cl = *ctx.in;
    ctx.in = cl.next;
    cl.next = nullptr;
    return cl;
}

/// Moves what can be sent to `out`, and reads files while there are buffers. Returns ok if it has
/// to wait until `out` is sent or has finished, again if a read is in progress, or error.
Rc output_chain_fill(OutputChainCtx& ctx, Chain*& out)
{
    Chain** last = &out;
    while (ctx.in) {
        Buf& b = *ctx.in->buf;
        if (buf_size(b) == 0 && !buf_special(b)) {
            log_error(log_alert, ctx.pool->log, 0, "zero size buf in output t:{} f:{} {}-{}",
                      unsigned{b.temporary}, unsigned{b.in_file}, b.file_pos, b.file_last);
            debug_point();
            free_chain(*ctx.pool, shift(ctx));
            continue;
        }

        Chain* cl = nullptr;
        if (output_chain_as_is(ctx, b)) {
            cl = &shift(ctx);
        } else {
            if (!output_chain_find_buf(ctx, b, out != nullptr)) {
                return Rc::ok;
            }
            if (const Rc rc = output_chain_copy_buf(ctx, b); rc != Rc::ok) {
                return rc;
            }
            if (buf_size(b) == 0) {
                free_chain(*ctx.pool, shift(ctx));
            }
            cl = alloc_chain_link(*ctx.pool);
            *cl = {.buf = std::exchange(ctx.buf, nullptr)};
        }
        *last = cl;
        last = &cl->next;
    }
    return Rc::ok;
}

}  // namespace

Rc output_chain(OutputChainCtx& ctx, Chain* in)
{
    assert(ctx.pool && ctx.output_filter);
    // The short path: one buffer that needs no copy, or only what the filter has left.
    if (!ctx.in && !ctx.busy && !ctx.aio &&
        (!in || (!in->next && output_chain_as_is(ctx, *in->buf)))) {
        return ctx.output_filter(ctx.filter_ctx, in);
    }
    output_chain_add_copy(*ctx.pool, ctx.in, in);

    for (std::optional<Rc> last;;) {
        if (ctx.aio) {
            return Rc::again;
        }
        Chain* out = nullptr;
        const Rc filled = output_chain_fill(ctx, out);
        if (filled == Rc::error || (filled == Rc::again && !out)) {
            return filled;
        }
        if (!out && last) {
            return ctx.in ? Rc::again : *last;
        }
        last = ctx.output_filter(ctx.filter_ctx, out);
        if (last == Rc::error || last == Rc::done) {
            return *last;
        }
        chain_update_chains(*ctx.pool, ctx.free, ctx.busy, out);
    }
}

namespace {

bool is_sending_in_thread(const Connection& c) noexcept
{
    return c.sendfile_task && c.sendfile_task->event.active;
}

}  // namespace

Rc chain_writer(void* data, Chain* in)
{
    auto& ctx = *static_cast<ChainWriterCtx*>(data);
    Connection& c = *ctx.connection;
    Pool& pool = *c.pool;

    output_chain_add_copy(pool, ctx.out, in);
    if (!ctx.out && c.buffered == 0) {
        return Rc::ok;
    }

    Chain* const left = c.send_chain(c, ctx.out, ctx.limit);
    log_debug(log_debug_core, c.log, 0, "chain writer out: {}", fmt::ptr(left));
    if (left == chain_error) {
        return Rc::error;
    }
    // Differs from nginx: the event is not posted while a thread sends, as the end of its task
    // calls the handler.
    if (left && c.write->ready && !is_sending_in_thread(c)) {
        post_event(*c.write, posted_next_events);
    }
    while (ctx.out != left) {
        Chain* const cl = std::exchange(ctx.out, ctx.out->next);
        free_chain(pool, *cl);
    }
    return !ctx.out && c.buffered == 0 ? Rc::ok : Rc::again;
}

}  // namespace ngx
