#include "os/unix/channel.hpp"

#include <cassert>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>

#include "core/connection.hpp"
#include "core/cycle.hpp"

namespace ngx {

namespace {

/// Space for one descriptor beside a message. The larger member is the first, so that Control{} is
/// zeroed.
union Control {
    char space[CMSG_SPACE(sizeof(int))];
    cmsghdr header;
};

/// Reads the descriptor that comes with an open_channel message.
Rc take_descriptor(const Control& control, Channel& ch, Log* log) noexcept
{
    const cmsghdr& cm = control.header;
    if (cm.cmsg_len < CMSG_LEN(sizeof(int))) {
        log_error(log_alert, log, 0, "recvmsg() returned too small ancillary data");
        return Rc::error;
    }
    if (cm.cmsg_level != SOL_SOCKET || cm.cmsg_type != SCM_RIGHTS) {
        log_error(log_alert, log, 0,
                  "recvmsg() returned invalid ancillary data level {} or type {}", cm.cmsg_level,
                  cm.cmsg_type);
        return Rc::error;
    }
    std::memcpy(&ch.fd, CMSG_DATA(&cm), sizeof(int));
    return Rc::ok;
}

}  // namespace

Rc write_channel(int s, const Channel& ch, Log* log) noexcept
{
    iovec iov{.iov_base = const_cast<Channel*>(&ch), .iov_len = sizeof(ch)};
    msghdr msg{};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;

    Control control{};
    if (ch.fd != -1) {
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        std::memcpy(CMSG_DATA(&control.header), &ch.fd, sizeof(int));
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
    }

    if (::sendmsg(s, &msg, 0) == -1) {
        const Err err = errno;
        if (err == EAGAIN) {
            return Rc::again;
        }
        log_error(log_alert, log, err, "sendmsg() failed");
        return Rc::error;
    }
    return Rc::ok;
}

Rc read_channel(int s, Channel& ch, Log* log) noexcept
{
    iovec iov{.iov_base = &ch, .iov_len = sizeof(ch)};
    Control control{};
    msghdr msg{};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = &control;
    msg.msg_controllen = sizeof(control);

    const ssize_t n = ::recvmsg(s, &msg, MSG_CMSG_CLOEXEC);
    if (n == -1) {
        const Err err = errno;
        if (err == EAGAIN) {
            return Rc::again;
        }
        log_error(log_alert, log, err, "recvmsg() failed");
        return Rc::error;
    }
    if (n == 0) {
        log_debug(log_debug_core, log, 0, "recvmsg() returned zero");
        return Rc::error;
    }
    if (static_cast<std::size_t>(n) < sizeof(ch)) {
        log_error(log_alert, log, 0, "recvmsg() returned not enough data: {}", n);
        return Rc::error;
    }
    if (ch.command == cmd_open_channel && take_descriptor(control, ch, log) != Rc::ok) {
        return Rc::error;
    }
    if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        log_error(log_alert, log, 0, "recvmsg() truncated data");
    }
    return Rc::ok;
}

Rc add_channel_event(Cycle& cycle, int fd, EventType event, EventHandler handler)
{
    assert(handler);
    Connection* c = get_connection(fd, cycle.log);
    if (!c) {
        return Rc::error;
    }
    for (Event* ev : {c->read, c->write}) {
        ev->log = cycle.log;
        ev->channel = 1;
    }
    Event& ev = event == read_event ? *c->read : *c->write;
    ev.handler = handler;

    // Differs from nginx: with a poller other than epoll, nginx adds the channel by add_conn; the
    // poller then calls the handler of the other event, which is null, as soon as the channel is
    // writable.
    if (event_actions.add(ev, event, 0) == Rc::error) {
        free_connection(*c);
        c->fd = invalid_socket;
        return Rc::error;
    }
    return Rc::ok;
}

void close_channel(int (&fd)[2], Log* log) noexcept
{
    for (int& end : fd) {
        if (::close(end) == -1) {
            log_error(log_alert, log, errno, "close() channel failed");
        }
        end = -1;
    }
}

}  // namespace ngx
