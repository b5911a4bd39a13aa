#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "os/unix/os.hpp"

namespace ngx {

namespace {

int set_cork(int s, int cork) noexcept
{
    return ::setsockopt(s, IPPROTO_TCP, TCP_CORK, &cork, sizeof(cork));
}

}  // namespace

int nonblocking(int s) noexcept
{
    // ioctl() takes one call, fcntl() two.
    int on = 1;
    return ::ioctl(s, FIONBIO, &on);
}

int tcp_nopush(int s) noexcept
{
    return set_cork(s, 1);
}

int tcp_push(int s) noexcept
{
    return set_cork(s, 0);
}

}  // namespace ngx
