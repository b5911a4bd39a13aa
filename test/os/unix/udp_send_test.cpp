#include <cerrno>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "os/unix/os.hpp"
#include "test/os/unix/udp_pair.hpp"

namespace ngx::test {

using Texts = std::vector<std::string>;

BOOST_FIXTURE_TEST_SUITE(udp_send, UdpPair)

BOOST_AUTO_TEST_CASE(each_call_sends_one_datagram_to_the_peer)
{
    BOOST_TEST(udp_unix_send(c, "hello", 5) == 5);
    BOOST_TEST(udp_unix_send(c, "", 0) == 0);
    BOOST_TEST(udp_unix_send(c, "you", 3) == 3);
    BOOST_TEST(peer_receives() == (Texts{"hello", "", "you"}), boost::test_tools::per_element());
    BOOST_TEST(c.sent == 8);
    BOOST_CHECK(wev.ready);
}

BOOST_AUTO_TEST_CASE(a_full_socket_is_no_error)
{
    const FakeCall sendto(Call::sendto, {.err = EAGAIN});
    BOOST_TEST(udp_unix_send(c, "hello", 5) == io_again);
    BOOST_CHECK(!wev.ready);
    BOOST_CHECK(!wev.error);
    BOOST_TEST(c.sent == 0);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(a_send_that_a_signal_interrupts_is_repeated)
{
    const FakeCall sendto(Call::sendto, {.err = EINTR}, 3);
    BOOST_TEST(udp_unix_send(c, "hello", 5) == 5);
    BOOST_TEST(sendto.calls() == 4);
}

BOOST_AUTO_TEST_CASE(a_part_of_a_datagram_is_an_error)
{
    const FakeCall sendto(Call::sendto, {.result = 3});
    BOOST_TEST(udp_unix_send(c, "hello", 5) == io_error);
    BOOST_CHECK(wev.error);
    BOOST_TEST(c.sent == 0);
    BOOST_TEST(contains(log.text, "sendto() incomplete\n"));
}

BOOST_AUTO_TEST_CASE(a_datagram_that_is_too_long_is_an_alert)
{
    const std::string text(70'000, 'x');
    BOOST_TEST(udp_unix_send(c, text.data(), text.size()) == io_error);
    BOOST_CHECK(wev.error);
    BOOST_CHECK(wev.ready);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "sendto() failed (90: Message too long)\n"));
}

BOOST_AUTO_TEST_CASE(a_length_that_is_to_be_ignored_is_a_silent_failure)
{
    c.log_error = ConnectionError::ignore_emsgsize;
    const std::string text(70'000, 'x');
    BOOST_TEST(udp_unix_send(c, text.data(), text.size()) == io_error);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
