#include <cassert>
#include <cerrno>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "core/connection.hpp"
#include "event/event.hpp"
#include "os/unix/os.hpp"
#include "os/unix/recv_ready.hpp"

namespace ngx {

Rc recv_update_available(Connection& c, std::size_t n) noexcept
{
    assert(n > 0);
    Event& rev = *c.read;

    if (rev.available >= 0) {
        rev.available -= static_cast<int>(n);
        if (rev.available < 0) {
            rev.available = 0;
            rev.ready = 0;
        }
    } else if (::ioctl(c.fd, FIONREAD, &rev.available) == -1) {
        connection_error(c, errno, "ioctl(FIONREAD) failed");
        rev.ready = 0;
        rev.error = 1;
        return Rc::error;
    }
    log_debug(log_debug_event, c.log, 0, "recv: avail:{}", rev.available);
    return Rc::ok;
}

ssize_t recv_failed(Connection& c, Err err, const char* text) noexcept
{
    Event& rev = *c.read;
    rev.ready = 0;

    if (err == EAGAIN) {
        log_debug(log_debug_event, c.log, err, "{}: not ready", text);
        return io_again;
    }
    // An ignored error is returned as 0, the end of the data.
    const ssize_t n = connection_error(c, err, text);
    if (n == io_error) {
        rev.error = 1;
    }
    return n;
}

ssize_t unix_recv(Connection& c, char* buf, std::size_t size) noexcept
{
    assert(c.fd != invalid_socket);
    if (!recv_may_have_data(*c.read)) {
        return io_again;
    }

    ssize_t n = 0;
    do {
        n = ::recv(c.fd, buf, size, 0);
        log_debug(log_debug_event, c.log, 0, "recv: fd:{} {} of {}", c.fd, n, size);
    } while (n == -1 && errno == EINTR);

    return n >= 0 ? recv_got(c, n, size) : recv_failed(c, errno, "recv() failed");
}

}  // namespace ngx
