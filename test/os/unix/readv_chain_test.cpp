#include <array>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "os/unix/iovec.hpp"
#include "os/unix/os.hpp"
#include "test/os/unix/pair.hpp"

namespace ngx::test {

namespace {

/// Memory for the buffers of a chain, and a connection whose peer has sent ten letters.
struct Memory : Pair {
    Memory()
    {
        text.fill('.');
        peer_sends("abcdefghij");
    }

    /// Appends [from, to) of the memory as a buffer for reads.
    Buf& add(std::size_t from, std::size_t to)
    {
        return pieces.add_free(text.data() + from, text.data() + to);
    }

    [[nodiscard]] std::string_view has(std::size_t from, std::size_t to) const
    {
        return {text.data() + from, to - from};
    }

    Pieces pieces{};
    std::array<char, 1000> text;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(readv_chain, Memory)

BOOST_AUTO_TEST_CASE(one_read_fills_the_buffers_in_their_order)
{
    add(0, 3);
    add(10, 15);
    add(20, 30);
    BOOST_TEST(ngx::readv_chain(c, pieces.chain(), 0) == 10);
    BOOST_TEST(has(0, 4) == "abc.");
    BOOST_TEST(has(10, 16) == "defgh.");
    BOOST_TEST(has(20, 23) == "ij.");
}

BOOST_AUTO_TEST_CASE(a_read_appends_to_a_buffer_and_does_not_change_last)
{
    Buf& b = add(0, 20);
    b.last += 5;
    BOOST_TEST(ngx::readv_chain(c, pieces.chain(), 0) == 10);
    BOOST_TEST(has(0, 6) == ".....a");
    BOOST_TEST((b.last == text.data() + 5));
}

BOOST_AUTO_TEST_CASE(a_limit_ends_the_read_within_a_buffer)
{
    add(0, 3);
    add(10, 15);
    add(20, 30);
    BOOST_TEST(ngx::readv_chain(c, pieces.chain(), 5) == 5);
    BOOST_TEST(has(0, 3) == "abc");
    BOOST_TEST(has(10, 15) == "de...");
    BOOST_TEST(has(20, 21) == ".");
}

BOOST_AUTO_TEST_CASE(a_limit_at_the_end_of_a_buffer_leaves_out_the_next)
{
    add(0, 3);
    add(10, 15);
    const FakeCall readv(Call::readv, {}, 0);
    BOOST_TEST(ngx::readv_chain(c, pieces.chain(), 3) == 3);
    BOOST_TEST(readv.pieces() == 1);
}

BOOST_AUTO_TEST_CASE(a_read_up_to_the_limit_is_a_full_one)
{
    add(0, 10);
    ngx::readv_chain(c, pieces.chain(), 4);
    BOOST_CHECK(rev.ready);
    BOOST_TEST(rev.available == 6);
}

BOOST_AUTO_TEST_CASE(buffers_side_by_side_in_memory_become_one_piece)
{
    add(0, 3);
    add(3, 6);
    add(6, 7);
    add(20, 30);
    const FakeCall readv(Call::readv, {}, 0);
    BOOST_TEST(ngx::readv_chain(c, pieces.chain(), 0) == 10);
    BOOST_TEST(readv.pieces() == 2);
    BOOST_TEST(has(0, 8) == "abcdefg.");
    BOOST_TEST(has(20, 23) == "hij");
}

BOOST_AUTO_TEST_CASE(one_read_takes_no_more_than_64_pieces)
{
    for (std::size_t i = 0; i < 100; i++) {
        add(2 * i, 2 * i + 1);
    }
    peer_sends(std::string(90, 'x'));
    const FakeCall readv(Call::readv, {}, 0);
    BOOST_TEST(ngx::readv_chain(c, pieces.chain(), 0) == 64);
    BOOST_TEST(readv.pieces() == 64);
    BOOST_TEST(has(126, 129) == "x..");
    BOOST_TEST(rev.available == 36);
}

BOOST_AUTO_TEST_CASE(the_64th_piece_may_be_of_many_buffers)
{
    for (std::size_t i = 0; i < 63; i++) {
        add(2 * i, 2 * i + 1);
    }
    for (std::size_t i = 200; i < 240; i++) {
        add(i, i + 1);
    }
    add(300, 301);
    peer_sends(std::string(100, 'x'));
    const FakeCall readv(Call::readv, {}, 0);
    BOOST_TEST(ngx::readv_chain(c, pieces.chain(), 0) == 103);
    BOOST_TEST(readv.pieces() == 64);
    BOOST_TEST(has(300, 301) == ".");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
