#include <array>
#include <cerrno>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "os/unix/iovec.hpp"
#include "os/unix/os.hpp"
#include "test/os/unix/pair.hpp"
#include "test/support/cycle.hpp"
#include "test/support/forked.hpp"

namespace ngx::test {

namespace {

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

std::string_view piece(const IoVec& vec, std::size_t i)
{
    return {static_cast<const char*>(vec.iovs.at(i).iov_base), vec.iovs.at(i).iov_len};
}

/// Returns n texts of one letter each.
std::vector<std::string> letters(std::size_t n)
{
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < n; i++) {
        texts.emplace_back(1, static_cast<char>('a' + i % 26));
    }
    return texts;
}

std::string joined(const std::vector<std::string>& texts)
{
    return std::accumulate(texts.begin(), texts.end(), std::string());
}

/// Appends an invalid buffer: neither in memory nor special.
void add_bad(Pieces& pieces)
{
    pieces.add(nullptr, nullptr).memory = 0;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(writev_chain, Pair)

BOOST_AUTO_TEST_CASE(each_buffer_becomes_a_piece)
{
    Pieces pieces({"abc", "d", "ef"});
    IoVec vec;
    BOOST_TEST(output_chain_to_iovec(vec, pieces.chain(), no_limit, &log.log) == nullptr);
    BOOST_TEST(vec.count == 3);
    BOOST_TEST(vec.size == 6);
    BOOST_TEST(piece(vec, 0) == "abc");
    BOOST_TEST(piece(vec, 1) == "d");
    BOOST_TEST(piece(vec, 2) == "ef");
}

BOOST_AUTO_TEST_CASE(no_chain_is_no_piece)
{
    IoVec vec;
    BOOST_TEST(output_chain_to_iovec(vec, nullptr, no_limit, &log.log) == nullptr);
    BOOST_TEST(vec.count == 0);
    BOOST_TEST(vec.size == 0);
}

BOOST_AUTO_TEST_CASE(buffers_side_by_side_in_memory_become_one_piece)
{
    std::string text = "abcdefgh";
    Pieces pieces;
    pieces.add(text.data(), text.data() + 3);
    pieces.add_flush();
    pieces.add(text.data() + 3, text.data() + 5);
    pieces.add(text.data() + 6, text.data() + 8);
    IoVec vec;
    BOOST_TEST(output_chain_to_iovec(vec, pieces.chain(), no_limit, &log.log) == nullptr);
    BOOST_TEST(vec.count == 2);
    BOOST_TEST(piece(vec, 0) == "abcde");
    BOOST_TEST(piece(vec, 1) == "gh");
}

BOOST_AUTO_TEST_CASE(a_limit_ends_the_last_piece)
{
    Pieces pieces({"abc", "def", "ghi"});
    IoVec vec;
    BOOST_TEST(output_chain_to_iovec(vec, pieces.chain(), 4, &log.log) == pieces.link(2));
    BOOST_TEST(vec.count == 2);
    BOOST_TEST(vec.size == 4);
    BOOST_TEST(piece(vec, 1) == "d");
}

BOOST_AUTO_TEST_CASE(a_limit_at_the_end_of_a_buffer_leaves_the_next)
{
    Pieces pieces({"abc", "def"});
    IoVec vec;
    BOOST_TEST(output_chain_to_iovec(vec, pieces.chain(), 3, &log.log) == pieces.link(1));
    BOOST_TEST(vec.count == 1);
}

BOOST_AUTO_TEST_CASE(the_65th_piece_is_left)
{
    Pieces pieces(letters(70));
    IoVec vec;
    BOOST_TEST(output_chain_to_iovec(vec, pieces.chain(), no_limit, &log.log) ==
               pieces.link(IoVec::max));
    BOOST_TEST(vec.count == 64);
    BOOST_TEST(vec.size == 64);
}

BOOST_AUTO_TEST_CASE(a_buffer_that_is_not_in_memory_is_an_alert)
{
    const TestCycle cycle("events {}", Start::conf);
    Pieces pieces({"abc"});
    add_bad(pieces);
    IoVec vec;
    BOOST_TEST(output_chain_to_iovec(vec, pieces.chain(), no_limit, &log.log) == chain_error);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "bad buf in output chain t:0 m:0 "));
}

BOOST_AUTO_TEST_CASE(a_buffer_that_is_not_in_memory_fails_the_chain_before_a_byte_is_sent)
{
    const TestCycle cycle("events {}", Start::conf);
    Pieces pieces({"abc"});
    add_bad(pieces);
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 0) == chain_error);
    BOOST_TEST(peer_receives() == "");
}

BOOST_AUTO_TEST_CASE(a_buffer_that_is_not_in_memory_calls_debug_point)
{
    const Forked child = in_child([this](int) {
        const TestCycle cycle("debug_points abort; events {}", Start::conf);
        Pieces pieces;
        add_bad(pieces);
        ngx::writev_chain(c, pieces.chain(), 0);
    });
    BOOST_TEST(child.killed_by(SIGABRT));
}

BOOST_AUTO_TEST_CASE(a_chain_is_sent_whole_in_one_call)
{
    Pieces pieces({"abc", "d", "ef"});
    pieces.add_flush();
    const FakeCall writev(Call::writev, {}, 0);
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 0) == nullptr);
    BOOST_TEST(writev.calls() == 1);
    BOOST_TEST(peer_receives() == "abcdef");
    BOOST_TEST(c.sent == 6);
    BOOST_CHECK(wev.ready);
    for (std::size_t i = 0; i < 3; i++) {
        BOOST_TEST((pieces[i].pos == pieces[i].last));
    }
}

BOOST_AUTO_TEST_CASE(no_call_is_made_while_the_event_is_not_ready)
{
    Pieces pieces({"abc"});
    wev.ready = 0;
    const FakeCall writev(Call::writev, {}, 0);
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 0) == pieces.chain());
    BOOST_TEST(writev.calls() == 0);
}

BOOST_AUTO_TEST_CASE(special_buffers_alone_are_sent_without_a_call)
{
    Pieces pieces;
    pieces.add_flush();
    pieces.add_flush();
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 0) == nullptr);
    BOOST_TEST(peer_receives() == "");
    BOOST_CHECK(wev.ready);
}

BOOST_AUTO_TEST_CASE(more_than_64_pieces_take_more_calls)
{
    const auto texts = letters(200);
    Pieces pieces(texts);
    const FakeCall writev(Call::writev, {}, 0);
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 0) == nullptr);
    BOOST_TEST(writev.calls() == 4);
    BOOST_TEST(writev.pieces() == 8);
    BOOST_TEST(peer_receives() == joined(texts));
    BOOST_TEST(c.sent == 200);
}

BOOST_AUTO_TEST_CASE(a_limit_leaves_the_rest_and_the_event_ready)
{
    Pieces pieces({"abc", "def", "ghi"});
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 4) == pieces.link(1));
    BOOST_TEST((pieces[1].pos == pieces[1].start + 1));
    BOOST_CHECK(wev.ready);
    BOOST_TEST(c.sent == 4);

    BOOST_TEST(ngx::writev_chain(c, pieces.link(1), 100) == nullptr);
    BOOST_TEST(peer_receives() == "abcdefghi");
}

BOOST_AUTO_TEST_CASE(a_limit_holds_over_all_calls)
{
    Pieces pieces(letters(200));
    const FakeCall writev(Call::writev, {}, 0);
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 100) == pieces.link(100));
    BOOST_TEST(writev.calls() == 2);
    BOOST_TEST(peer_receives().size() == 100);
    BOOST_CHECK(wev.ready);
}

BOOST_AUTO_TEST_CASE(a_limit_above_the_maximum_is_no_limit)
{
    Pieces pieces({"abc"});
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), std::numeric_limits<off_t>::max()) == nullptr);
    BOOST_TEST(peer_receives() == "abc");
}

BOOST_AUTO_TEST_CASE(a_socket_that_takes_a_part_is_not_ready_any_more)
{
    Pieces pieces({"abc", "def"});
    const FakeCall writev(Call::writev, {.at_most = 2});
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 0) == pieces.chain());
    BOOST_TEST(writev.calls() == 1);
    BOOST_TEST((pieces[0].pos == pieces[0].start + 2));
    BOOST_TEST(c.sent == 2);
    BOOST_CHECK(!wev.ready);
}

BOOST_AUTO_TEST_CASE(a_socket_that_takes_one_byte_at_a_time_gets_them_all)
{
    Pieces pieces({"abc", "d", "ef"});
    const FakeCall writev(Call::writev, {.at_most = 1}, FakeCall::always);
    Chain* left = pieces.chain();
    for (int i = 0; left && i < 100; i++) {
        wev.ready = 1;
        left = ngx::writev_chain(c, left, 0);
    }
    BOOST_TEST(left == nullptr);
    BOOST_TEST(writev.calls() == 6);
    BOOST_TEST(peer_receives() == "abcdef");
}

BOOST_AUTO_TEST_CASE(a_chain_that_is_longer_than_the_sockets_room_arrives_unchanged)
{
    shrink();
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < 1000; i++) {
        texts.emplace_back(i, static_cast<char>('a' + i % 26));
    }
    Pieces pieces(texts);
    std::string received;
    Chain* left = pieces.chain();
    int turns = 0;
    for (; left && turns < 100'000; turns++) {
        wev.ready = 1;
        left = ngx::writev_chain(c, left, 0);
        BOOST_TEST_REQUIRE((!left || !wev.ready));
        received += peer_receives();
    }
    BOOST_TEST(turns > 10);
    BOOST_TEST((received == joined(texts)));
    BOOST_TEST(c.sent == static_cast<off_t>(received.size()));
}

BOOST_AUTO_TEST_CASE(a_full_socket_is_no_error)
{
    Pieces pieces({"abc"});
    const FakeCall writev(Call::writev, {.err = EAGAIN});
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 0) == pieces.chain());
    BOOST_CHECK(!wev.ready);
    BOOST_CHECK(!wev.error);
    BOOST_TEST(c.sent == 0);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(a_write_that_a_signal_interrupts_is_repeated)
{
    Pieces pieces({"abc"});
    const FakeCall writev(Call::writev, {.err = EINTR}, 3);
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 0) == nullptr);
    BOOST_TEST(writev.calls() == 4);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(a_peer_that_is_gone_is_an_error)
{
    Pieces pieces({"abc"});
    peer.close();
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 0) == chain_error);
    BOOST_CHECK(wev.error);
    BOOST_TEST(contains(log.text, "[error]"));
    BOOST_TEST(contains(log.text, "writev() failed (32: Broken pipe)\n"));
}

BOOST_AUTO_TEST_CASE(a_local_failure_is_an_alert)
{
    Pieces pieces({"abc"});
    const FakeCall writev(Call::writev, {.err = EFAULT});
    BOOST_TEST(ngx::writev_chain(c, pieces.chain(), 0) == chain_error);
    BOOST_CHECK(wev.error);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "writev() failed (14: Bad address)\n"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
