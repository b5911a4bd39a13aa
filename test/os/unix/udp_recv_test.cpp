#include <array>
#include <cerrno>
#include <string>

#include <boost/test/unit_test.hpp>

#include "os/unix/os.hpp"
#include "test/os/unix/udp_pair.hpp"

namespace ngx::test {

namespace {

struct Receiving : UdpPair {
    ssize_t receive(std::size_t size)
    {
        buf.assign(size, '.');
        return udp_unix_recv(c, buf.data(), size);
    }

    std::string buf{};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(udp_recv, Receiving)

BOOST_AUTO_TEST_CASE(each_read_takes_one_datagram)
{
    peer_sends("hello");
    peer_sends("you");
    BOOST_TEST(receive(8) == 5);
    BOOST_TEST(buf == "hello...");
    BOOST_TEST(receive(8) == 3);
    BOOST_CHECK(rev.ready);
}

BOOST_AUTO_TEST_CASE(an_empty_datagram_is_not_the_end_of_the_data)
{
    peer_sends("");
    BOOST_TEST(receive(8) == 0);
    BOOST_CHECK(rev.ready);
    BOOST_CHECK(!rev.eof);
}

BOOST_AUTO_TEST_CASE(the_part_of_a_datagram_that_does_not_fit_is_lost)
{
    peer_sends("hello");
    BOOST_TEST(receive(2) == 2);
    BOOST_TEST(receive(8) == io_again);
}

BOOST_AUTO_TEST_CASE(no_datagram_is_no_error)
{
    BOOST_TEST(receive(8) == io_again);
    BOOST_CHECK(!rev.ready);
    BOOST_CHECK(!rev.error);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(a_read_that_a_signal_interrupts_is_repeated)
{
    peer_sends("hello");
    const FakeCall recv(Call::recv, {.err = EINTR}, 3);
    BOOST_TEST(receive(8) == 5);
    BOOST_TEST(recv.calls() == 4);
}

BOOST_AUTO_TEST_CASE(a_closed_port_is_an_error)
{
    const FakeCall recv(Call::recv, {.err = ECONNREFUSED});
    BOOST_TEST(receive(8) == io_error);
    BOOST_CHECK(!rev.ready);
    BOOST_CHECK(rev.error);
    BOOST_TEST(contains(log.text, "[error]"));
    BOOST_TEST(contains(log.text, "recv() failed (111: Connection refused)\n"));
}

BOOST_AUTO_TEST_CASE(an_error_that_is_to_be_ignored_is_an_empty_datagram)
{
    c.log_error = ConnectionError::ignore_econnreset;
    const FakeCall recv(Call::recv, {.err = ECONNRESET});
    BOOST_TEST(receive(8) == 0);
    BOOST_CHECK(!rev.ready);
    BOOST_CHECK(!rev.error);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
