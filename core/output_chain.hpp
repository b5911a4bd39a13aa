#pragma once

#include "core/buf.hpp"
#include "core/conf_slot.hpp"
#include "core/core.hpp"

namespace ngx {

/// How a chain goes out: pieces of files are read into buffers of its own, unless sendfile() sends
/// them; all else goes as it is. While a thread or the kernel reads or sends for it, `aio` is set,
/// and its memory must stay. Its owner fills in the second part.
///
/// nginx: ngx_output_chain_ctx_t
struct OutputChainCtx {
    Buf* buf = nullptr;     // is being read into
    Chain* in = nullptr;    // what was not looked at yet
    Chain* free = nullptr;  // buffers that may be read into
    Chain* busy = nullptr;  // what the filter has and has not sent
    std::int64_t allocated = 0;
    bool directio = false;
    bool unaligned = false;  // what is read is not aligned as direct I/O needs it

    bool sendfile = false;
    bool aio = false;
    off_t alignment = 512;
    Bufs bufs{};
    Pool* pool = nullptr;

    /// A read by the kernel is under way: sets `aio` and has the file's event call back. Null when
    /// the kernel is not to be asked.
    void (*aio_handler)(OutputChainCtx& ctx, File& file) noexcept = nullptr;

    /// Posts a task, sets `aio`. Null when there are no threads. It finds `filter_ctx` in the
    /// file's thread_ctx.
    Rc (*thread_handler)(ThreadTask& task, File& file) noexcept = nullptr;

    Rc (*output_filter)(void* data, Chain* in) = nullptr;
    void* filter_ctx = nullptr;
};

/// nginx: ngx_chain_writer_ctx_t
struct ChainWriterCtx {
    Chain* out = nullptr;
    Connection* connection = nullptr;
    off_t limit = 0;  // of what is sent in one turn; 0: none
};

/// Sends `in`, and what an earlier call has left. ok when all is sent; again when the rest waits
/// for the socket or for `aio`; or an error, which has been logged.
///
/// nginx: ngx_output_chain()
Rc output_chain(OutputChainCtx& ctx, Chain* in);

/// An output filter that writes to the connection of a ChainWriterCtx. Above the limit the write
/// event is posted for the next turn.
///
/// nginx: ngx_chain_writer()
Rc chain_writer(void* data, Chain* in);

}  // namespace ngx
