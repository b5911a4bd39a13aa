#pragma once

#include "core/buf.hpp"
#include "core/conf_slot.hpp"
#include "core/core.hpp"

namespace ngx {

/// The state of a chain on its way to a filter. Pieces of files are read into buffers of this
/// object, unless sendfile() sends them; everything else is passed on as it is. `aio` is set while
/// a thread or the kernel reads or sends for it; during that time its memory must stay. The owner
/// sets the members from `sendfile` on. All memory comes from `pool`; only the loop's thread uses
/// the object.
///
/// nginx: ngx_output_chain_ctx_t
struct OutputChainCtx {
    Buf* buf = nullptr;     // being filled by a read
    Chain* in = nullptr;    // not handled yet
    Chain* free = nullptr;  // available for reading into
    Chain* busy = nullptr;  // passed to the filter and not sent completely
    std::int64_t allocated = 0;
    bool directio = false;
    bool unaligned = false;  // the current read is not aligned for direct I/O

    bool sendfile = false;
    bool aio = false;
    off_t alignment = 512;
    Bufs bufs{};
    Pool* pool = nullptr;

    /// Called when the kernel has started a read: sets `aio`, and the handler for the end of the
    /// read. Null if the kernel is not to be used.
    void (*aio_handler)(OutputChainCtx& ctx, File& file) noexcept = nullptr;

    /// Posts a task and sets `aio`. Null if there are no threads. The task's owner is `filter_ctx`,
    /// stored in the file's thread_ctx.
    Rc (*thread_handler)(ThreadTask& task, File& file) noexcept = nullptr;

    Rc (*output_filter)(void* data, Chain* in) = nullptr;
    void* filter_ctx = nullptr;
};

/// The state of chain_writer(). It owns only the links in `out`.
///
/// nginx: ngx_chain_writer_ctx_t
struct ChainWriterCtx {
    Chain* out = nullptr;
    Connection* connection = nullptr;
    off_t limit = 0;  // bytes to send in one turn; 0 means no limit
};

/// Sends `in`, after what an earlier call has left. Returns ok if all is sent, again if the rest
/// waits for the socket or for `aio`, or error after logging.
///
/// nginx: ngx_output_chain()
Rc output_chain(OutputChainCtx& ctx, Chain* in);

/// An output filter that writes to the connection of a ChainWriterCtx. If the limit ends the
/// sending while the socket is ready, it posts the write event for the next turn. Returns as
/// output_chain() does.
///
/// nginx: ngx_chain_writer()
Rc chain_writer(void* data, Chain* in);

}  // namespace ngx
