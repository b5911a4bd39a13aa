#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

namespace ngx::test {

/// Returns an option of a socket.
inline int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    BOOST_TEST(::getsockopt(fd, level, name, &value, &len) == 0);
    return value;
}

/// Returns the backlog of a listener. TCP_INFO has it in the field that counts SACKs for other
/// sockets.
inline unsigned backlog_of(int fd)
{
    tcp_info info{};
    socklen_t len = sizeof(info);
    BOOST_TEST(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
    return info.tcpi_sacked;
}

}  // namespace ngx::test
