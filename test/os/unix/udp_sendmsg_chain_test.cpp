#include "os/unix/udp_sendmsg_chain.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/udp.h>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "os/unix/os.hpp"
#include "test/os/unix/pair.hpp"
#include "test/os/unix/udp_pair.hpp"
#include "test/support/cycle.hpp"

namespace ngx::test {

namespace {

using Texts = std::vector<std::string>;

/// Marks each piece as the end of a datagram.
void end_each(Pieces& pieces, std::size_t n)
{
    for (std::size_t i = 0; i < n; i++) {
        pieces[i].flush = 1;
    }
}

/// Returns whether the kernel supports UDP_SEGMENT, according to the kernel itself.
bool knows_segments(boost::unit_test::test_unit_id)
{
    const Fd probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    int value = 0;
    socklen_t len = sizeof(value);
    return ::getsockopt(probe.get(), SOL_UDP, UDP_SEGMENT, &value, &len) == 0;
}

/// A chain whose pieces are datagrams.
struct Datagrams : Pieces {
    explicit Datagrams(const Texts& texts) : Pieces(texts) { end_each(*this, texts.size()); }
};

/// Returns `n` different datagrams of this size.
Texts numbered(std::size_t n, std::size_t size)
{
    Texts texts;
    for (std::size_t i = 0; i < n; i++) {
        std::string text = std::to_string(i);
        text.resize(size, '.');
        texts.push_back(text);
    }
    return texts;
}

/// Sends datagrams and checks that the peer receives them unchanged. Returns the number of calls.
int calls_for(const UdpPair& pair, Connection& c, const Texts& texts)
{
    Datagrams datagrams(texts);
    const FakeCall sendmsg(Call::sendmsg, {}, 0);
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == nullptr);
    BOOST_TEST(pair.peer_receives() == texts, boost::test_tools::per_element());
    return sendmsg.calls();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(udp_sendmsg_chain, UdpPair)

BOOST_AUTO_TEST_CASE(a_datagram_ends_with_flush_or_the_last_buffer)
{
    Pieces pieces({"abc", "d", "ef", "g"});
    pieces[1].flush = 1;
    pieces[3].last_buf = 1;
    BOOST_TEST(udp_unix_sendmsg_chain(c, pieces.chain(), 0) == nullptr);
    BOOST_TEST(peer_receives() == (Texts{"abcd", "efg"}), boost::test_tools::per_element());
    BOOST_TEST(c.sent == 7);
    BOOST_CHECK(wev.ready);
    for (std::size_t i = 0; i < 4; i++) {
        BOOST_TEST((pieces[i].pos == pieces[i].last));
    }
}

BOOST_AUTO_TEST_CASE(an_incomplete_datagram_is_not_sent)
{
    Pieces pieces({"abc", "d", "ef"});
    pieces[0].flush = 1;
    BOOST_TEST(udp_unix_sendmsg_chain(c, pieces.chain(), 0) == pieces.link(1));
    BOOST_TEST(peer_receives() == Texts{"abc"}, boost::test_tools::per_element());
    BOOST_CHECK(wev.ready);
}

BOOST_AUTO_TEST_CASE(an_empty_chain_sends_no_datagram)
{
    const FakeCall sendmsg(Call::sendmsg, {}, 0);
    BOOST_TEST(udp_unix_sendmsg_chain(c, nullptr, 0) == nullptr);
    BOOST_TEST(sendmsg.calls() == 0);
}

BOOST_AUTO_TEST_CASE(no_call_is_made_while_the_event_is_not_ready)
{
    Datagrams datagrams({"abc"});
    wev.ready = 0;
    const FakeCall sendmsg(Call::sendmsg, {}, 0);
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == datagrams.chain());
    BOOST_TEST(sendmsg.calls() == 0);
}

BOOST_AUTO_TEST_CASE(a_special_buffer_alone_is_an_empty_datagram)
{
    Pieces pieces;
    pieces.add_flush();
    BOOST_TEST(udp_unix_sendmsg_chain(c, pieces.chain(), 0) == nullptr);
    BOOST_TEST(peer_receives() == Texts{""}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_special_buffer_after_a_datagram_is_not_another_datagram)
{
    Datagrams datagrams({"abc"});
    datagrams.add_flush();
    datagrams.add_flush();
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == nullptr);
    BOOST_TEST(peer_receives() == Texts{"abc"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(empty_datagrams_between_others_arrive)
{
    Datagrams datagrams({"abc", "", "", "def"});
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == nullptr);
    BOOST_TEST(peer_receives() == (Texts{"abc", "", "", "def"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(buffers_side_by_side_in_memory_become_one_piece)
{
    std::string text = "abcdef";
    Pieces pieces;
    pieces.add(text.data(), text.data() + 3);
    pieces.add(text.data() + 3, text.data() + 5);
    pieces.add(text.data() + 5, text.data() + 6).flush = 1;
    IoVec vec;
    BOOST_TEST(udp_output_chain_to_iovec(vec, pieces.chain(), &log.log) == nullptr);
    BOOST_TEST(vec.count == 1);
    BOOST_TEST(vec.size == 6);
}

BOOST_AUTO_TEST_CASE(a_datagram_of_64_parts_is_sent)
{
    Pieces pieces(numbered(64, 2));
    pieces[63].last_buf = 1;
    BOOST_TEST(udp_unix_sendmsg_chain(c, pieces.chain(), 0) == nullptr);
    BOOST_TEST(peer_receives().at(0).size() == 128);
}

BOOST_AUTO_TEST_CASE(a_datagram_of_65_parts_is_an_alert)
{
    Pieces pieces(numbered(65, 2));
    pieces[64].last_buf = 1;
    BOOST_TEST(udp_unix_sendmsg_chain(c, pieces.chain(), 0) == chain_error);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "too many parts in a datagram\n"));
    BOOST_TEST(peer_receives().empty());
}

BOOST_AUTO_TEST_CASE(a_buffer_that_is_not_in_memory_is_an_alert)
{
    const TestCycle cycle("events {}", Start::conf);
    Pieces pieces({"abc"});
    Buf& bad = pieces.add(nullptr, nullptr);
    bad.memory = 0;
    BOOST_TEST(udp_unix_sendmsg_chain(c, pieces.chain(), 0) == chain_error);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "bad buf in output chain t:0 m:0 f:0 "));

    bad.in_file = 1;
    BOOST_TEST(udp_unix_sendmsg_chain(c, pieces.chain(), 0) == chain_error);
    BOOST_TEST(contains(log.text, "file buf in sendmsg t:0 m:0 f:1 "));
    BOOST_TEST(peer_receives().empty());
}

BOOST_AUTO_TEST_CASE(a_limit_ends_behind_a_datagram)
{
    Datagrams datagrams({"abc", "defg", "hi"});
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 4) == datagrams.link(2));
    BOOST_TEST(peer_receives() == (Texts{"abc", "defg"}), boost::test_tools::per_element());
    BOOST_CHECK(wev.ready);
}

BOOST_AUTO_TEST_CASE(a_limit_also_ends_datagrams_of_one_size)
{
    Datagrams datagrams(numbered(10, 100));
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 301) == datagrams.link(4));
    BOOST_TEST(peer_receives().size() == 4);
}

BOOST_AUTO_TEST_CASE(a_full_socket_leaves_the_datagrams_whole)
{
    Datagrams datagrams({"abc", "defg"});
    const FakeCall sendmsg(Call::sendmsg, {.err = EAGAIN});
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == datagrams.chain());
    BOOST_CHECK(!wev.ready);
    BOOST_CHECK(!wev.error);
    BOOST_TEST(datagrams[0].pos == datagrams[0].start);
    BOOST_TEST(c.sent == 0);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(a_send_that_a_signal_interrupts_is_repeated)
{
    Datagrams datagrams({"abc"});
    const FakeCall sendmsg(Call::sendmsg, {.err = EINTR}, 3);
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == nullptr);
    BOOST_TEST(sendmsg.calls() == 4);
}

BOOST_AUTO_TEST_CASE(a_failure_is_logged)
{
    Datagrams datagrams({"abc"});
    const FakeCall sendmsg(Call::sendmsg, {.err = EPERM});
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == chain_error);
    BOOST_CHECK(wev.error);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "sendmsg() failed (1: Operation not permitted)\n"));
}

BOOST_AUTO_TEST_CASE(a_connected_socket_needs_no_address)
{
    ::connect(own.get(), &peer_addr.sockaddr.any, peer_addr.socklen);
    c.sockaddr = nullptr;
    c.socklen = 0;
    Datagrams datagrams(numbered(3, 10));
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == nullptr);
    BOOST_TEST(peer_receives().size() == 3);
}

BOOST_AUTO_TEST_CASE(datagrams_of_unix_sockets_are_sent_singly)
{
    int fds[2];
    BOOST_TEST_REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds) == 0);
    own = Fd(fds[0]);
    peer = Fd(fds[1]);
    c.fd = own.get();
    sockaddr_un sa{};
    sa.sun_family = AF_UNIX;
    c.sockaddr = reinterpret_cast<sockaddr*>(&sa);
    c.socklen = 0;
    BOOST_TEST(calls_for(*this, c, numbered(3, 10)) == 3);
}

BOOST_AUTO_TEST_CASE(datagrams_of_one_size_are_sent_at_once,
                     *boost::unit_test::precondition(knows_segments))
{
    BOOST_TEST(calls_for(*this, c, numbered(10, 100)) == 1);
    BOOST_TEST(c.sent == 1000);
}

BOOST_AUTO_TEST_CASE(the_last_of_them_may_be_shorter,
                     *boost::unit_test::precondition(knows_segments))
{
    BOOST_TEST(calls_for(*this, c, {"abcd", "efgh", "ij", "klmn", "opqr", "stuvw"}) == 3);
}

BOOST_AUTO_TEST_CASE(no_more_than_64_are_sent_at_once,
                     *boost::unit_test::precondition(knows_segments))
{
    BOOST_TEST(calls_for(*this, c, numbered(65, 10)) == 2);
}

BOOST_AUTO_TEST_CASE(no_more_than_an_ip_packet_is_sent_at_once,
                     *boost::unit_test::precondition(knows_segments))
{
    BOOST_TEST(calls_for(*this, c, numbered(60, 1400)) == 2);
    BOOST_TEST(calls_for(*this, c, numbered(3, 30'000)) == 2);
}

BOOST_AUTO_TEST_CASE(a_datagram_that_would_be_a_65th_piece_is_left_for_the_next_call,
                     *boost::unit_test::precondition(knows_segments))
{
    Pieces pieces(numbered(120, 10));
    Texts wanted;
    for (std::size_t i = 0; i < 120; i += 3) {
        pieces[i + 2].flush = 1;
        const Buf& b = pieces[i];
        wanted.emplace_back(b.pos, b.last);
        for (std::size_t j = i + 1; j < i + 3; j++) {
            wanted.back().append(pieces[j].pos, pieces[j].last);
        }
    }
    const FakeCall sendmsg(Call::sendmsg, {}, 0);
    BOOST_TEST(udp_unix_sendmsg_chain(c, pieces.chain(), 0) == nullptr);
    BOOST_TEST(sendmsg.calls() == 2);
    BOOST_TEST(peer_receives() == wanted, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_full_socket_sends_none_of_a_group,
                     *boost::unit_test::precondition(knows_segments))
{
    Datagrams datagrams(numbered(10, 100));
    {
        const FakeCall sendmsg(Call::sendmsg, {.err = EAGAIN});
        BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == datagrams.chain());
    }
    wev.ready = 1;
    BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == nullptr);
    BOOST_TEST(peer_receives().size() == 10);
}

BOOST_AUTO_TEST_CASE(a_system_that_does_not_know_segments_gets_single_datagrams)
{
    const FakeCall getsockopt(Call::getsockopt, {.err = ENOPROTOOPT});
    BOOST_TEST(calls_for(*this, c, numbered(10, 100)) == 10);
    BOOST_TEST(calls_for(*this, c, numbered(10, 100)) == 10);
    BOOST_TEST(getsockopt.calls() == 1);
}

BOOST_AUTO_TEST_CASE(after_a_refusal_datagrams_are_always_sent_singly,
                     *boost::unit_test::precondition(knows_segments))
{
    for (const int err : {EIO, EINVAL, EOPNOTSUPP}) {
        udp_reset_segments();
        log.text.clear();
        {
            Datagrams datagrams(numbered(10, 100));
            const FakeCall sendmsg(Call::sendmsg, {.err = err});
            BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == nullptr);
            BOOST_TEST(sendmsg.calls() == 11);
        }
        BOOST_TEST(peer_receives() == numbered(10, 100), boost::test_tools::per_element());
        BOOST_TEST(contains(log.text, "[info]"));
        BOOST_TEST(contains(log.text, "datagrams of 100 bytes at once failed, they are sent "
                                      "singly ("));

        log.text.clear();
        BOOST_TEST(calls_for(*this, c, numbered(10, 100)) == 10);
        BOOST_TEST(log.text == "");
        BOOST_CHECK(!wev.error);
    }
}

BOOST_AUTO_TEST_CASE(datagrams_above_the_path_mtu_do_not_stop_smaller_ones,
                     *boost::unit_test::precondition(knows_segments))
{
    {
        Datagrams datagrams(numbered(3, 9000));
        const FakeCall sendmsg(Call::sendmsg, {.err = EINVAL});
        BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == nullptr);
        BOOST_TEST(sendmsg.calls() == 4);
    }
    BOOST_TEST(peer_receives().size() == 3);
    BOOST_TEST(contains(log.text, "datagrams of 9000 bytes at once failed, only smaller ones are "
                                  "sent so (22: Invalid argument)\n"));
    BOOST_TEST(calls_for(*this, c, numbered(3, 9000)) == 3);
    BOOST_TEST(calls_for(*this, c, numbered(3, 1452)) == 1);
}

BOOST_AUTO_TEST_CASE(a_wildcard_listener_answers_from_the_address_that_was_written_to,
                     *boost::unit_test::precondition(knows_segments))
{
    Addr any = loopback("0.0.0.0");
    own = datagram_socket(any);
    c.fd = own.get();
    Listening ls;
    ls.wildcard = 1;
    c.listening = &ls;
    Addr local = loopback("127.0.0.7");
    c.local_sockaddr = &local.sockaddr.any;
    c.local_socklen = local.socklen;

    for (const std::size_t n : {1U, 3U}) {  // without and with UDP_SEGMENT
        Datagrams datagrams(numbered(n, 10));
        BOOST_TEST(udp_unix_sendmsg_chain(c, datagrams.chain(), 0) == nullptr);
        char buf[16];
        for (std::size_t i = 0; i < n; i++) {
            SockaddrUnion from{};
            socklen_t len = sizeof(from);
            BOOST_TEST(::recvfrom(peer.get(), buf, sizeof(buf), 0, &from.any, &len) == 10);
            BOOST_TEST(from.in.sin_addr.s_addr == local.sockaddr.in.sin_addr.s_addr);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_local_address_survives_the_control_message)
{
    for (const std::string_view text : {"127.0.0.7", "2001:db8::7"}) {
        const Addr addr = loopback(text);
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(AddrInfo))> control{};
        auto& cmsg = *reinterpret_cast<cmsghdr*>(control.data());
        BOOST_TEST(set_srcaddr_cmsg(cmsg, &addr.sockaddr.any) > 0);

        if (addr.sockaddr.any.sa_family == AF_INET) {
            // A received datagram has the address in another member.
            in_pktinfo pkt{};
            pkt.ipi_addr = addr.sockaddr.in.sin_addr;
            std::memcpy(CMSG_DATA(&cmsg), &pkt, sizeof(pkt));
        }
        Addr got = addr;
        (got.sockaddr.any.sa_family == AF_INET
             ? static_cast<void>(got.sockaddr.in.sin_addr = {})
             : static_cast<void>(got.sockaddr.in6.sin6_addr = {}));
        BOOST_TEST(get_srcaddr_cmsg(cmsg, &got.sockaddr.any));
        BOOST_CHECK((cmp_sockaddr(&got.sockaddr.any, got.socklen, &addr.sockaddr.any, addr.socklen,
                                  true) == Rc::ok));
    }
}

BOOST_AUTO_TEST_CASE(a_unix_address_is_no_control_message)
{
    sockaddr_un sa{};
    sa.sun_family = AF_UNIX;
    cmsghdr cmsg{};
    auto* const any = reinterpret_cast<sockaddr*>(&sa);
    BOOST_TEST(set_srcaddr_cmsg(cmsg, any) == 0);
    BOOST_TEST(!get_srcaddr_cmsg(cmsg, any));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
