#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auto_build.hpp"
#include "core/connection.hpp"
#include "core/log.hpp"
#include "core/times.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"
#include "os/unix/setproctitle.hpp"

namespace ngx {

namespace {

rlimit rlmt{};

int unix_accept(Connection& lc, SockaddrUnion& sa, socklen_t& socklen) noexcept
{
    socklen = sizeof(sa);
    return inherited_nonblocking ? ::accept4(lc.fd, &sa.any, &socklen, SOCK_NONBLOCK)
                                 : ::accept(lc.fd, &sa.any, &socklen);
}

int unix_nodelay(Connection& c) noexcept
{
    const int on = 1;
    return ::setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

constexpr OsIo os_io = {
    .accept = unix_accept,
    .nodelay = unix_nodelay,
    .recvmsg = [](Connection& lc, msghdr& msg) noexcept { return ::recvmsg(lc.fd, &msg, 0); },
    .sendmsg = [](Connection& c, const msghdr& msg,
                  int flags) noexcept { return ::sendmsg(c.fd, &msg, flags); },
    .recv = unix_recv,
    .recv_chain = readv_chain,
    .udp_recv = udp_unix_recv,
    .send = unix_send,
    .udp_send = udp_unix_send,
    .udp_send_chain = udp_unix_sendmsg_chain,
    .send_chain = linux_sendfile_chain,
    .shutdown = [](Connection& c, int how) noexcept { return ::shutdown(c.fd, how); },
    .close = [](int fd) noexcept { return ::close(fd); },
    .flags = io_sendfile,
};

constinit OsIo io = os_io;

int ncpu = 1;
std::size_t pagesize = 4096;
long max_sockets = -1;
bool inherited_nonblocking = true;

Rc os_init(Log* log)
{
    if (os_specific_init(log) != Rc::ok) {
        return Rc::error;
    }

    if (os_argv) {
        init_setproctitle(os_argv);
    }
    pagesize = static_cast<std::size_t>(::getpagesize());
    ncpu = static_cast<int>(std::max(::sysconf(_SC_NPROCESSORS_ONLN), 1L));

    if (::getrlimit(RLIMIT_NOFILE, &rlmt) == -1) {
        log_error(log_alert, log, errno, "getrlimit(RLIMIT_NOFILE) failed");
        return Rc::error;
    }
    max_sockets = static_cast<long>(rlmt.rlim_cur);

    const Time& now = timeofday();
    ::srandom((static_cast<unsigned>(pid) << 16) ^ static_cast<unsigned>(now.sec) ^ now.msec);
    return Rc::ok;
}

void os_status(Log* log)
{
    log_error(log_notice, log, 0, "{}", server_build);
    log_error(log_notice, log, 0, "built by {}", compiler);
    os_specific_status(log);
    log_error(log_notice, log, 0, "getrlimit(RLIMIT_NOFILE): {}:{}",
              static_cast<std::int64_t>(rlmt.rlim_cur), static_cast<std::int64_t>(rlmt.rlim_max));
}

const char* strerror(Err err) noexcept
{
    // Not strerror(): it may look up a locale and allocate.
    const char* text = ::strerrordesc_np(err);
    return text ? text : "Unknown error";
}

}  // namespace ngx
