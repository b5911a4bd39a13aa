#include <algorithm>
#include <cassert>
#include <cerrno>
#include <netinet/tcp.h>
#include <sys/sendfile.h>

#include "core/buf.hpp"
#include "core/connection.hpp"
#include "core/file.hpp"
#include "core/thread_pool.hpp"
#include "event/event.hpp"
#include "os/unix/iovec.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"

namespace ngx {

namespace {

constexpr ssize_t io_done = static_cast<ssize_t>(Rc::done);  // a thread is sending

/// The limit of a call. The kernel sends a page less than this at most.
constexpr std::size_t sendfile_maxsize = 2'147'483'647;

/// A sendfile() for a thread, and its result.
///
/// nginx: ngx_linux_sendfile_ctx_t
struct LinuxSendfileCtx {
    const Buf* file = nullptr;
    int socket = invalid_socket;
    std::size_t size = 0;

    ssize_t sent = 0;
    Err err = 0;
};

/// Handles a failed setsockopt(). After EINTR the data is sent without the option.
Rc option_failed(Connection& c, const char* text) noexcept
{
    const Err err = errno;
    if (err == EINTR) {
        return Rc::ok;
    }
    c.write->error = 1;
    connection_error(c, err, text);
    return Rc::error;
}

/// Called before memory that is followed by a file: delays the last packet of the memory until data
/// of the file fills it. TCP_NODELAY has the opposite effect and is removed first.
Rc cork(Connection& c) noexcept
{
    if (c.tcp_nodelay == TcpOption::set) {
        constexpr int off = 0;
        if (::setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof(off)) == -1) {
            return option_failed(c, "setsockopt(TCP_NODELAY) failed");
        }
        c.tcp_nodelay = TcpOption::unset;
        log_debug(log_debug_event, c.log, 0, "no tcp_nodelay");
    }
    if (c.tcp_nodelay == TcpOption::unset) {
        if (tcp_nopush(c.fd) == -1) {
            return option_failed(c, "setsockopt(TCP_CORK) failed");
        }
        c.tcp_nopush = TcpOption::set;
        log_debug(log_debug_event, c.log, 0, "tcp_nopush");
    }
    return Rc::ok;
}

/// Logs that the file ends before the buffer's end.
ssize_t truncated(const Connection& c, const Buf& file) noexcept
{
    log_error(log_alert, c.log, 0, "sendfile() reported that \"{}\" was truncated at {}",
              file.file->name, file.file_pos);
    return io_error;
}

/// nginx: ngx_linux_sendfile_thread_handler()
void linux_sendfile_thread_handler(void* data, Log* log) noexcept
{
    auto& ctx = *static_cast<LinuxSendfileCtx*>(data);
    do {
        off_t offset = ctx.file->file_pos;
        ctx.sent = ::sendfile(ctx.socket, ctx.file->file->fd, &offset, ctx.size);
        ctx.err = ctx.sent == -1 ? errno : 0;
    } while (ctx.err == EINTR);
    log_debug(log_debug_event, log, 0, "sendfile: {} (err: {}) of {} @{}", ctx.sent, ctx.err,
              ctx.size, ctx.file->file_pos);
}

/// Returns the result of the thread. If the poller has reported the socket writable in the
/// meantime, it returns 0 for a full socket, so that the call is repeated: an edge is reported only
/// once.
ssize_t linux_sendfile_result(Connection& c, const LinuxSendfileCtx& ctx) noexcept
{
    if (ctx.err == EAGAIN) {
        return c.write->complete ? 0 : io_again;
    }
    if (ctx.err != 0) {
        c.write->error = 1;
        connection_error(c, ctx.err, "sendfile() failed");
        return io_error;
    }
    return ctx.sent == 0 ? truncated(c, *ctx.file) : ctx.sent;
}

/// nginx: ngx_linux_sendfile_thread()
ssize_t linux_sendfile_thread(Connection& c, const Buf& file, std::size_t size)
{
    assert(c.pool);
    log_debug(log_debug_core, c.log, 0, "linux sendfile thread: {}, {}, {}", file.file->fd, size,
              file.file_pos);
    if (!c.sendfile_task) {
        c.sendfile_task = thread_task_alloc<LinuxSendfileCtx>(*c.pool);
        c.sendfile_task->event.log = c.log;
        c.sendfile_task->handler = linux_sendfile_thread_handler;
    }
    ThreadTask& task = *c.sendfile_task;
    auto& ctx = *static_cast<LinuxSendfileCtx*>(task.ctx);

    if (task.event.complete) {
        task.event.complete = 0;
        return linux_sendfile_result(c, ctx);
    }

    ctx = {.file = &file, .socket = c.fd, .size = size};
    c.write->complete = 0;
    return file.file->thread_handler(task, *file.file) == Rc::ok ? io_done : io_error;
}

/// Sends once from a file. Returns the number of bytes, io_again, io_done, or io_error after
/// logging.
///
/// nginx: ngx_linux_sendfile()
ssize_t linux_sendfile(Connection& c, const Buf& file, std::size_t size)
{
    if (file.file->thread_handler) {
        return linux_sendfile_thread(c, file, size);
    }

    ssize_t n = 0;
    do {
        off_t offset = file.file_pos;
        n = ::sendfile(c.fd, file.file->fd, &offset, size);
        log_debug(log_debug_event, c.log, 0, "sendfile: {} of {} @{}", n, size, file.file_pos);
    } while (n == -1 && errno == EINTR);

    if (n > 0) {
        return n;
    }
    if (n == 0) {
        return truncated(c, file);
    }
    const Err err = errno;
    if (err == EAGAIN) {
        log_debug(log_debug_event, c.log, err, "sendfile() is not ready");
        return io_again;
    }
    c.write->error = 1;
    connection_error(c, err, "sendfile() failed");
    return io_error;
}

/// The requested size of a call, and its result.
struct Sent {
    std::size_t size;
    ssize_t n;
};

/// Sends the adjacent pieces of a file that begin at `cl`.
Sent send_file(Connection& c, Chain* cl, std::size_t limit)
{
    const Buf& file = *cl->buf;
    const auto size = static_cast<std::size_t>(chain_coalesce_file(cl, static_cast<off_t>(limit)));
    if (size == 0) {
        debug_point();
        return {0, io_error};
    }
    return {size, linux_sendfile(c, file, size)};
}

}  // namespace

// Differs from nginx: a partial writev() means that the socket is full, as in writev_chain(). Only
// sendfile() may send less without that reason, and is called until EAGAIN.
Chain* linux_sendfile_chain(Connection& c, Chain* in, off_t limit)
{
    Event& wev = *c.write;
    if (!wev.ready) {
        return in;
    }

    const std::size_t max_limit = sendfile_maxsize - pagesize;
    const std::size_t max =
        limit == 0 ? max_limit : std::min(static_cast<std::size_t>(limit), max_limit);
    std::size_t send = 0;

    for (;;) {
        IoVec vec;
        Chain* const cl = output_chain_to_iovec(vec, in, max - send, c.log);
        if (cl == chain_error) {
            return chain_error;
        }
        const bool file_next = cl && cl->buf->in_file;
        if (file_next && vec.count != 0 && c.tcp_nopush == TcpOption::unset && cork(c) != Rc::ok) {
            return chain_error;
        }

        const bool file = file_next && vec.count == 0;
        const Sent result = file ? send_file(c, cl, max - send) : Sent{vec.size, writev(c, vec)};
        if (result.n == io_error) {
            return chain_error;
        }
        if (result.n == io_done) {
            return in;
        }

        const std::size_t sent = result.n == io_again ? 0 : static_cast<std::size_t>(result.n);
        c.sent += static_cast<off_t>(sent);
        send += sent;
        assert(sent <= result.size);
        in = chain_update_sent(in, sent);

        if (result.n == io_again || (!file && sent != result.size)) {
            wev.ready = 0;
            return in;
        }
        if (send >= max || !in) {
            return in;
        }
    }
}

}  // namespace ngx
