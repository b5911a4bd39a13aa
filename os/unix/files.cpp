#include "os/unix/files.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "core/file.hpp"
#include "core/log.hpp"

namespace ngx {

/// Differs from nginx: with nginx, a log that is a FIFO blocks the process, in open() until the
/// FIFO has a reader, in write() while the reader is slow. With ngxx such a log cannot be opened
/// without a reader, and lines are lost if the FIFO is full.
int open_append(const char* name) noexcept
{
    return open_file(name, O_WRONLY | O_APPEND | O_NONBLOCK, O_CREAT, 0644);
}

ssize_t read_file(File& file, char* buf, std::size_t size, off_t offset) noexcept
{
    log_debug(log_debug_core, file.log, 0, "read: {}, {}, {}, {}", file.fd, fmt::ptr(buf), size,
              offset);
    const ssize_t n = ::pread(file.fd, buf, size, offset);
    if (n >= 0) {
        file.offset += n;
        return n;
    }
    log_error(log_crit, file.log, errno, "pread() \"{}\" failed", file.name);
    return io_error;
}

int directio_on(int fd) noexcept
{
    const int flags = ::fcntl(fd, F_GETFL);
    return flags == -1 ? -1 : ::fcntl(fd, F_SETFL, flags | O_DIRECT);
}

int directio_off(int fd) noexcept
{
    const int flags = ::fcntl(fd, F_GETFL);
    return flags == -1 ? -1 : ::fcntl(fd, F_SETFL, flags & ~O_DIRECT);
}

}  // namespace ngx
