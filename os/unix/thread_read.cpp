#include <cassert>
#include <cerrno>
#include <unistd.h>

#include <fmt/format.h>

#include "core/file.hpp"
#include "core/log.hpp"
#include "core/thread_pool.hpp"
#include "os/unix/files.hpp"

namespace ngx {

namespace {

/// A read for a thread, and its result.
///
/// nginx: ngx_thread_file_ctx_t
struct ThreadFileCtx {
    int fd = invalid_file;
    char* buf = nullptr;
    std::size_t size = 0;
    off_t offset = 0;

    ssize_t nbytes = 0;
    Err err = 0;
};

/// nginx: ngx_thread_read_handler()
void thread_read_handler(void* data, Log* log) noexcept
{
    auto& ctx = *static_cast<ThreadFileCtx*>(data);
    ctx.nbytes = ::pread(ctx.fd, ctx.buf, ctx.size, ctx.offset);
    ctx.err = ctx.nbytes == -1 ? errno : 0;
    log_debug(log_debug_core, log, 0, "pread: {} (err: {}) of {} @{}", ctx.nbytes, ctx.err,
              ctx.size, ctx.offset);
}

}  // namespace

ssize_t thread_read(File& file, char* buf, std::size_t size, off_t offset, Pool& pool)
{
    assert(file.thread_handler);
    log_debug(log_debug_core, file.log, 0, "thread read: {}, {}, {}, {}", file.fd, fmt::ptr(buf),
              size, offset);
    if (!file.thread_task) {
        file.thread_task = thread_task_alloc<ThreadFileCtx>(pool);
        file.thread_task->event.log = file.log;
        file.thread_task->handler = thread_read_handler;
    }
    ThreadTask& task = *file.thread_task;
    auto& ctx = *static_cast<ThreadFileCtx*>(task.ctx);

    if (task.event.complete) {
        task.event.complete = 0;
        if (ctx.err != 0) {
            log_error(log_crit, file.log, ctx.err, "pread() \"{}\" failed", file.name);
            return io_error;
        }
        return ctx.nbytes;
    }

    ctx = {.fd = file.fd, .buf = buf, .size = size, .offset = offset};
    return file.thread_handler(task, file) == Rc::ok ? io_again : io_error;
}

}  // namespace ngx
