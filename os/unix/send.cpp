#include <cassert>
#include <cerrno>
#include <sys/socket.h>

#include "core/connection.hpp"
#include "event/event.hpp"
#include "os/unix/os.hpp"

namespace ngx {

ssize_t unix_send(Connection& c, const char* buf, std::size_t size) noexcept
{
    assert(c.fd != invalid_socket);
    Event& wev = *c.write;

    ssize_t n = 0;
    do {
        n = ::send(c.fd, buf, size, 0);
        log_debug(log_debug_event, c.log, 0, "send: fd:{} {} of {}", c.fd, n, size);
    } while (n == -1 && errno == EINTR);

    if (n > 0) {
        if (static_cast<std::size_t>(n) < size) {
            wev.ready = 0;
        }
        c.sent += n;
        return n;
    }

    const Err err = errno;
    wev.ready = 0;
    if (n == 0) {
        log_error(log_alert, c.log, err, "send() returned zero");
        return 0;
    }
    if (err == EAGAIN) {
        log_debug(log_debug_event, c.log, err, "send() not ready");
        return io_again;
    }
    wev.error = 1;
    connection_error(c, err, "send() failed");
    return io_error;
}

}  // namespace ngx
