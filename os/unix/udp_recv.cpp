#include <cerrno>
#include <sys/socket.h>

#include "core/connection.hpp"
#include "event/event.hpp"
#include "os/unix/os.hpp"

namespace ngx {

ssize_t udp_unix_recv(Connection& c, char* buf, std::size_t size) noexcept
{
    ssize_t n = 0;
    do {
        n = ::recv(c.fd, buf, size, 0);
        log_debug(log_debug_event, c.log, 0, "recv: fd:{} {} of {}", c.fd, n, size);
    } while (n == -1 && errno == EINTR);

    if (n >= 0) {
        return n;
    }

    const Err err = errno;
    Event& rev = *c.read;
    rev.ready = 0;
    if (err == EAGAIN) {
        log_debug(log_debug_event, c.log, err, "recv() not ready");
        return io_again;
    }
    n = connection_error(c, err, "recv() failed");
    if (n == io_error) {
        rev.error = 1;
    }
    return n;
}

}  // namespace ngx
