#include <cassert>
#include <cerrno>
#include <sys/syscall.h>

#include "core/file.hpp"
#include "core/log.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"
#include "os/unix/files.hpp"

namespace ngx {

bool file_aio;
aio_context_t aio_ctx;
int eventfd = -1;

namespace {

/// The C library has no wrapper for this call.
int io_submit(aio_context_t ctx, iocb* request) noexcept
{
    return static_cast<int>(::syscall(SYS_io_submit, ctx, 1L, &request));
}

/// nginx: ngx_file_aio_event_handler()
void file_aio_event_handler(Event& ev) noexcept
{
    const auto& aio = *static_cast<EventAio*>(ev.data);
    log_debug(log_debug_core, ev.log, 0, "aio event handler fd:{} {}", aio.fd, aio.file->name);
    aio.handler(ev);
}

/// Returns the result of a completed read.
ssize_t file_aio_result(const File& file, EventAio& aio) noexcept
{
    assert(!aio.event.active);
    aio.event.active = 0;
    aio.event.complete = 0;
    if (aio.res < 0) {
        log_error(log_crit, file.log, static_cast<Err>(-aio.res), "aio read \"{}\" failed",
                  file.name);
        return io_error;
    }
    return aio.res;
}

/// Submits a read. Returns 0 or an errno.
Err submit(EventAio& aio, char* buf, std::size_t size, off_t offset) noexcept
{
    assert(!aio.event.active);
    assert(eventfd != -1);
    aio.aiocb = iocb{
        .aio_data = reinterpret_cast<std::uintptr_t>(&aio.event),
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = static_cast<std::uint32_t>(aio.fd),
        .aio_buf = reinterpret_cast<std::uintptr_t>(buf),
        .aio_nbytes = size,
        .aio_offset = offset,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = static_cast<std::uint32_t>(eventfd),
    };
    aio.event.handler = file_aio_event_handler;

    if (io_submit(aio_ctx, &aio.aiocb) != 1) {
        return errno;
    }
    aio.event.active = 1;
    aio.event.ready = 0;
    aio.event.complete = 0;
    return 0;
}

}  // namespace

void file_aio_init(File& file, Pool& pool)
{
    assert(!file.aio && file.fd != invalid_file);
    EventAio& aio = *pool.create<EventAio>();
    aio.file = &file;
    aio.event.ready = 1;
    aio.fd = file.fd;
    aio.event.log = file.log;
    aio.event.data = &aio;
    file.aio = &aio;
}

ssize_t file_aio_read(File& file, char* buf, std::size_t size, off_t offset, Pool& pool)
{
    if (!file_aio) {
        return read_file(file, buf, size, offset);
    }
    if (!file.aio) {
        file_aio_init(file, pool);
    }
    EventAio& aio = *file.aio;
    Event& ev = aio.event;

    if (!ev.ready) {
        log_error(log_alert, file.log, 0, "second aio post for \"{}\"", file.name);
        return io_again;
    }
    log_debug(log_debug_core, file.log, 0, "aio complete:{} @{}:{} {}", unsigned{ev.complete},
              offset, size, file.name);
    if (ev.complete) {
        return file_aio_result(file, aio);
    }

    const Err err = submit(aio, buf, size, offset);
    if (err == 0) {
        return io_again;
    }
    // EAGAIN: the number of pending requests has reached worker_aio_requests.
    if (err != EAGAIN) {
        log_error(log_crit, file.log, err, "io_submit(\"{}\") failed", file.name);
        if (err != ENOSYS) {
            return io_error;
        }
        file_aio = false;
    }
    return read_file(file, buf, size, offset);
}

}  // namespace ngx
