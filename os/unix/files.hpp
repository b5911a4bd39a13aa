#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/aio_abi.h>

#include "core/core.hpp"

namespace ngx {

/// Whether the poller completes asynchronous reads; where it does, the kernel's context of them
/// and the descriptor by which it tells. The poller owns both.
extern bool file_aio;
extern aio_context_t aio_ctx;
extern int eventfd;

/// open(), the descriptor not inherited by other programs. `mode` and `create` are its flags.
///
/// nginx: ngx_open_file()
inline int open_file(const char* name, int mode, int create = 0, mode_t access = 0) noexcept
{
    return ::open(name, mode | create | O_CLOEXEC, access);
}

/// Opens a file that lines are appended to, such as a log, and creates it if need be. Neither this
/// call nor a write to the descriptor waits. -1 and errno, for a FIFO without a reader ENXIO.
int open_append(const char* name) noexcept;

/// nginx: ngx_close_file()
inline int close_file(int fd) noexcept
{
    return ::close(fd);
}

/// nginx: ngx_fd_info()
inline int fd_info(int fd, struct ::stat* info) noexcept
{
    return ::fstat(fd, info);
}

/// Reads once at `offset`: the number of bytes, 0 at the end, or io_error after a log line. Moves
/// `file.offset`.
///
/// nginx: ngx_read_file()
ssize_t read_file(File& file, char* buf, std::size_t size, off_t offset) noexcept;

/// Has a thread read. First it answers io_again: when the event of `file.thread_task` comes, the
/// same call answers as read_file() does. Until then `buf` is the thread's.
///
/// nginx: ngx_thread_read()
ssize_t thread_read(File& file, char* buf, std::size_t size, off_t offset, Pool& pool);

/// Gives the file what an asynchronous read needs.
///
/// nginx: ngx_file_aio_init()
void file_aio_init(File& file, Pool& pool);

/// Has the kernel read. First it answers io_again: when the event of `file.aio` comes, the same
/// call answers as read_file() does. Until then `buf` is the kernel's. Where the kernel cannot, it
/// answers at once, as read_file().
///
/// nginx: ngx_file_aio_read()
ssize_t file_aio_read(File& file, char* buf, std::size_t size, off_t offset, Pool& pool);

/// Lets reads go past the page cache; where they begin, their size and their memory must then be
/// aligned to the device's blocks. -1 and errno if the file system cannot.
///
/// nginx: ngx_directio_on()
int directio_on(int fd) noexcept;

/// nginx: ngx_directio_off()
int directio_off(int fd) noexcept;

}  // namespace ngx
