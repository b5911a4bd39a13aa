#include <cerrno>
#include <string>

#include <boost/test/unit_test.hpp>

#include "os/unix/os.hpp"
#include "test/os/unix/pair.hpp"

namespace ngx::test {

BOOST_FIXTURE_TEST_SUITE(send, Pair)

BOOST_AUTO_TEST_CASE(data_that_fits_is_sent_and_counted)
{
    BOOST_TEST(unix_send(c, "hello", 5) == 5);
    BOOST_TEST(unix_send(c, "you", 3) == 3);
    BOOST_TEST(c.sent == 8);
    BOOST_CHECK(wev.ready);
    BOOST_TEST(peer_receives() == "helloyou");
}

BOOST_AUTO_TEST_CASE(a_socket_that_takes_a_part_is_not_ready_any_more)
{
    const FakeCall send(Call::send, {.at_most = 3});
    BOOST_TEST(unix_send(c, "hello", 5) == 3);
    BOOST_TEST(c.sent == 3);
    BOOST_CHECK(!wev.ready);
    BOOST_TEST(peer_receives() == "hel");
}

BOOST_AUTO_TEST_CASE(a_full_socket_is_no_error)
{
    shrink();
    const std::string text(1'000'000, 'x');
    ssize_t sent = 0;
    for (ssize_t n = 0; (n = unix_send(c, text.data(), text.size())) > 0;) {
        sent += n;
    }
    BOOST_TEST(unix_send(c, "x", 1) == io_again);
    BOOST_CHECK(!wev.ready);
    BOOST_CHECK(!wev.error);
    BOOST_TEST(c.sent == sent);
    BOOST_TEST(log.text == "");
    BOOST_TEST(peer_receives().size() == static_cast<std::size_t>(sent));
}

BOOST_AUTO_TEST_CASE(a_socket_that_takes_one_byte_at_a_time_gets_them_all)
{
    const std::string text = "one byte at a time";
    const FakeCall send(Call::send, {.at_most = 1}, FakeCall::always);
    for (const char& byte : text) {
        const auto left = static_cast<std::size_t>(text.data() + text.size() - &byte);
        BOOST_TEST(unix_send(c, &byte, left) == 1);
    }
    BOOST_CHECK(wev.ready == 0);
    BOOST_TEST(peer_receives() == text);
}

BOOST_AUTO_TEST_CASE(a_send_that_a_signal_interrupts_is_repeated)
{
    const FakeCall send(Call::send, {.err = EINTR}, 3);
    BOOST_TEST(unix_send(c, "hello", 5) == 5);
    BOOST_TEST(send.calls() == 4);
    BOOST_CHECK(wev.ready);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(a_send_of_nothing_is_an_alert)
{
    const FakeCall send(Call::send, {.result = 0});
    BOOST_TEST(unix_send(c, "hello", 5) == 0);
    BOOST_CHECK(!wev.ready);
    BOOST_CHECK(!wev.error);
    BOOST_TEST(c.sent == 0);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "send() returned zero"));
}

BOOST_AUTO_TEST_CASE(a_peer_that_is_gone_is_an_error)
{
    peer.close();
    BOOST_TEST(unix_send(c, "hello", 5) == io_error);
    BOOST_CHECK(wev.error);
    BOOST_TEST(c.sent == 0);
    BOOST_TEST(contains(log.text, "[error]"));
    BOOST_TEST(contains(log.text, "send() failed (32: Broken pipe)\n"));
}

BOOST_AUTO_TEST_CASE(a_closed_peer_is_logged_at_info_where_that_is_usual)
{
    peer.close();
    c.log_error = ConnectionError::info;
    BOOST_TEST(unix_send(c, "hello", 5) == io_error);
    BOOST_TEST(contains(log.text, "[info]"));
}

BOOST_AUTO_TEST_CASE(a_local_failure_is_an_alert)
{
    const FakeCall send(Call::send, {.err = EFAULT});
    BOOST_TEST(unix_send(c, "hello", 5) == io_error);
    BOOST_CHECK(wev.error);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "send() failed (14: Bad address)\n"));
}

// Sending also fails then, even if no data is unread and so no reset is ignored.
BOOST_AUTO_TEST_CASE(a_reset_that_is_to_be_ignored_is_a_silent_failure)
{
    c.log_error = ConnectionError::ignore_econnreset;
    const FakeCall send(Call::send, {.err = ECONNRESET});
    BOOST_TEST(unix_send(c, "hello", 5) == io_error);
    BOOST_CHECK(wev.error);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
