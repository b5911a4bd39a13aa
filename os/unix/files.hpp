#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/aio_abi.h>

#include "core/core.hpp"

namespace ngx {

/// `file_aio` is true if the poller completes asynchronous reads. Then `aio_ctx` is the kernel's
/// context for them, and `eventfd` the descriptor that reports them; the poller owns both.
///
/// nginx: ngx_file_aio, ngx_aio_ctx, ngx_eventfd
extern bool file_aio;
extern aio_context_t aio_ctx;
extern int eventfd;

/// Opens a file with close-on-exec. `mode` and `create` are flags of open(), `access` the
/// permissions of a new file. Returns the descriptor, or -1 with errno.
///
/// nginx: ngx_open_file()
inline int open_file(const char* name, int mode, int create = 0, mode_t access = 0) noexcept
{
    return ::open(name, mode | create | O_CLOEXEC, access);
}

/// Opens a file such as a log for appending, and creates it if necessary. Neither this call nor a
/// write to the descriptor blocks. Returns -1 with errno on failure, ENXIO for a FIFO without a
/// reader.
int open_append(const char* name) noexcept;

/// Closes a descriptor. Returns -1 with errno on failure.
///
/// nginx: ngx_close_file()
inline int close_file(int fd) noexcept
{
    return ::close(fd);
}

/// Gets the properties of an open file. Returns -1 with errno on failure.
///
/// nginx: ngx_fd_info()
inline int fd_info(int fd, struct ::stat* info) noexcept
{
    return ::fstat(fd, info);
}

/// Reads once at `offset`. Returns the number of bytes, 0 at the end of the file, or io_error after
/// logging. Adds the number to `file.offset`.
///
/// nginx: ngx_read_file()
ssize_t read_file(File& file, char* buf, std::size_t size, off_t offset) noexcept;

/// Starts a read in a thread and returns io_again, or io_error. When the event of
/// `file.thread_task` is called, call again with the same arguments to get the result, as from
/// read_file(). Until then the thread uses `buf`. `pool` owns the task.
///
/// nginx: ngx_thread_read()
ssize_t thread_read(File& file, char* buf, std::size_t size, off_t offset, Pool& pool);

/// Creates the state of the file's asynchronous reads, which `pool` owns.
///
/// nginx: ngx_file_aio_init()
void file_aio_init(File& file, Pool& pool);

/// Starts a read in the kernel and returns io_again. When the event of `file.aio` is called, call
/// again with the same arguments to get the result, as from read_file(). Until then the kernel uses
/// `buf`. If the kernel cannot start the read, it reads at once as read_file() does, or returns
/// io_error after logging.
///
/// nginx: ngx_file_aio_read()
ssize_t file_aio_read(File& file, char* buf, std::size_t size, off_t offset, Pool& pool);

/// Makes reads bypass the page cache. Their offset, size and memory must then be aligned to the
/// device's blocks. Returns -1 with errno if the file system does not support it.
///
/// nginx: ngx_directio_on()
int directio_on(int fd) noexcept;

/// Makes reads use the page cache again. Returns -1 with errno on failure.
///
/// nginx: ngx_directio_off()
int directio_off(int fd) noexcept;

}  // namespace ngx
