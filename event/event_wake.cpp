#include "event/event_wake.hpp"

#include <cassert>
#include <cerrno>
#include <cstdint>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/log_limit.hpp"
#include "event/event.hpp"

namespace ngx {

namespace {

LogLimit failed_reads{};

/// Resets the counter. Returns false if it was 0 or cannot be read.
bool reset_counter(const EventWaker& waker, Log* log) noexcept
{
    std::uint64_t count = 0;
    if (::read(waker.fd, &count, sizeof(count)) == -1 && errno != EAGAIN) {
        log_limited(failed_reads, log_alert, log, errno, "read() eventfd {} failed", waker.fd);
    }
    return count != 0;
}

/// Calls the owner's handler. A poller that watches the eventfd for edges reports each write, so
/// that the counter need not be reset; 2^64 calls would fill it. For others it is reset before the
/// call, so that a wake-up in between is not lost.
void waker_handler(Event& ev) noexcept
{
    assert(ev.data);
    const Connection& c = connection_of(ev);
    auto& waker = *static_cast<EventWaker*>(c.data);

    const bool edges = (event_flags & use_clear_event) != 0 && ev.active;
    const bool woken = edges || reset_counter(waker, ev.log);
    ev.ready = 0;
    if (handle_read_event(ev, 0) != Rc::ok) {
        log_error(log_alert, ev.log, 0, "eventfd {} cannot be watched any more", waker.fd);
    }
    if (woken) {
        assert(waker.handler);
        waker.handler(waker);
    }
}

}  // namespace

Rc event_waker_init(EventWaker& waker, Cycle& cycle) noexcept
{
    assert(in_loop_thread());
    event_waker_done(waker);

    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd == invalid_file) {
        log_error(log_emerg, cycle.log, errno, "eventfd() failed");
        return Rc::error;
    }
    Connection* const c = get_connection(fd, cycle.log);
    if (!c) {
        ::close(fd);
        return Rc::error;
    }
    c->data = &waker;
    c->read->handler = waker_handler;
    c->read->log = cycle.log;
    c->write->log = cycle.log;

    waker.fd = fd;
    waker.connection = c;
    if (handle_read_event(*c->read, 0) != Rc::ok) {
        event_waker_done(waker);
        return Rc::error;
    }
    return Rc::ok;
}

void event_wake(const EventWaker& waker) noexcept
{
    const Err err = errno;  // a signal handler must not change errno
    constexpr std::uint64_t one = 1;
    // write() fails only if the counter is full, and then the loop will wake up anyway.
    [[maybe_unused]] const ssize_t n = ::write(waker.fd, &one, sizeof(one));
    errno = err;
}

void event_waker_done(EventWaker& waker) noexcept
{
    assert(in_loop_thread());
    waker.fd = invalid_file;
    if (Connection* const c = std::exchange(waker.connection, nullptr)) {
        close_connection(*c);
    }
}

}  // namespace ngx
