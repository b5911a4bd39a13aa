#include <cerrno>
#include <sys/socket.h>

#include "core/connection.hpp"
#include "event/event.hpp"
#include "os/unix/os.hpp"

namespace ngx {

ssize_t udp_unix_send(Connection& c, const char* buf, std::size_t size) noexcept
{
    Event& wev = *c.write;

    ssize_t n = 0;
    do {
        n = ::sendto(c.fd, buf, size, 0, c.sockaddr, c.socklen);
        log_debug(log_debug_event, c.log, 0, "sendto: fd:{} {} of {} to \"{}\"", c.fd, n, size,
                  c.addr_text);
    } while (n == -1 && errno == EINTR);

    if (n >= 0) {
        if (static_cast<std::size_t>(n) != size) {
            wev.error = 1;
            connection_error(c, 0, "sendto() incomplete");
            return io_error;
        }
        c.sent += n;
        return n;
    }

    const Err err = errno;
    if (err == EAGAIN) {
        wev.ready = 0;
        log_debug(log_debug_event, c.log, err, "sendto() not ready");
        return io_again;
    }
    wev.error = 1;
    connection_error(c, err, "sendto() failed");
    return io_error;
}

}  // namespace ngx
