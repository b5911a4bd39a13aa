#include <cerrno>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "core/connection.hpp"
#include "event/event.hpp"
#include "os/unix/os.hpp"
#include "os/unix/recv_ready.hpp"

namespace ngx {

namespace {

bool rdhup_known() noexcept
{
    return (event_flags & use_epoll_event) != 0 && use_epoll_rdhup;
}

/// `available` counts what the kernel was seen to hold. Less than nothing means that more has
/// come since, and that a new edge will tell: then `ready` may go, even with a clear poller.
Rc update_available(Connection& c, std::size_t n, std::size_t size) noexcept
{
    Event& rev = *c.read;

    if (rev.available >= 0) {
        rev.available -= static_cast<int>(n);
        if (rev.available < 0) {
            rev.available = 0;
            rev.ready = 0;
        }
    } else if (n == size) {
        if (::ioctl(c.fd, FIONREAD, &rev.available) == -1) {
            connection_error(c, errno, "ioctl(FIONREAD) failed");
            return Rc::error;
        }
    } else {
        return Rc::ok;
    }
    log_debug(log_debug_event, c.log, 0, "recv: avail:{}", rev.available);
    return Rc::ok;
}

}  // namespace

bool recv_may_have_data(Event& rev) noexcept
{
    if (rdhup_known() && rev.available == 0 && !rev.pending_eof) {
        rev.ready = 0;
        return false;
    }
    return true;
}

ssize_t recv_got(Connection& c, ssize_t n, std::size_t size) noexcept
{
    Event& rev = *c.read;
    const auto got = static_cast<std::size_t>(n);

    if (got == 0) {
        rev.ready = 0;
        rev.eof = 1;
        return 0;
    }

    if (update_available(c, got, size) != Rc::ok) {
        rev.ready = 0;
        rev.error = 1;
        return io_error;
    }

    if (got == size) {
        return n;
    }
    if (rdhup_known()) {
        // All was read; only a pending end of data is left to be seen.
        if (!rev.pending_eof) {
            rev.ready = 0;
        }
        rev.available = 0;
    } else if ((event_flags & use_greedy_event) == 0) {
        rev.ready = 0;
    }
    return n;
}

ssize_t recv_failed(Connection& c, Err err, const char* text) noexcept
{
    Event& rev = *c.read;
    rev.ready = 0;

    if (err == EAGAIN) {
        log_debug(log_debug_event, c.log, err, "{}: not ready", text);
        return io_again;
    }
    // An error that is to be ignored reads as the end of the data.
    const ssize_t n = connection_error(c, err, text);
    if (n == io_error) {
        rev.error = 1;
    }
    return n;
}

ssize_t unix_recv(Connection& c, char* buf, std::size_t size) noexcept
{
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
