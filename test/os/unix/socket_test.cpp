#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "os/unix/os.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

namespace {

int cork_of(const Fd& s)
{
    int cork = -1;
    socklen_t len = sizeof(cork);
    ::getsockopt(s.get(), IPPROTO_TCP, TCP_CORK, &cork, &len);
    return cork;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(socket)

BOOST_AUTO_TEST_CASE(a_socket_becomes_nonblocking)
{
    const Fd s(::socket(AF_UNIX, SOCK_STREAM, 0));
    BOOST_TEST(::fcntl(s.get(), F_GETFL) == O_RDWR);
    BOOST_TEST(nonblocking(s.get()) == 0);
    BOOST_TEST(::fcntl(s.get(), F_GETFL) == (O_RDWR | O_NONBLOCK));
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_is_not_open_does_not)
{
    BOOST_TEST(nonblocking(-1) == -1);
    BOOST_TEST(errno == EBADF);
}

BOOST_AUTO_TEST_CASE(a_tcp_socket_is_corked_and_uncorked)
{
    const Fd s(::socket(AF_INET, SOCK_STREAM, 0));
    BOOST_TEST(cork_of(s) == 0);
    BOOST_TEST(tcp_nopush(s.get()) == 0);
    BOOST_TEST(cork_of(s) == 1);
    BOOST_TEST(tcp_push(s.get()) == 0);
    BOOST_TEST(cork_of(s) == 0);
}

BOOST_AUTO_TEST_CASE(a_unix_socket_cannot_be_corked)
{
    const Fd s(::socket(AF_UNIX, SOCK_STREAM, 0));
    BOOST_TEST(tcp_nopush(s.get()) == -1);
    BOOST_TEST(tcp_push(s.get()) == -1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
