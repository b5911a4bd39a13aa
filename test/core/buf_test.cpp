#include "core/buf.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/file.hpp"
#include "os/unix/os.hpp"
#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

/// A chain of buffers with these numbers of bytes; -1 is a special buffer without data.
struct Buffers {
    explicit Buffers(const std::vector<int>& sizes) : bufs(sizes.size()), chains(sizes.size())
    {
        for (std::size_t i = 0; i < sizes.size(); i++) {
            bufs[i].pos = memory.data();
            bufs[i].last = memory.data() + std::max(sizes[i], 0);
            bufs[i].memory = sizes[i] >= 0;
            bufs[i].flush = sizes[i] < 0;
            chains[i] = {&bufs[i], i + 1 < sizes.size() ? &chains[i + 1] : nullptr};
        }
    }

    /// Sends this number of bytes. Returns the index of the resulting link, or of the end.
    std::size_t send(std::size_t sent)
    {
        const Chain* rest = chain_update_sent(chains.data(), sent);
        return rest ? static_cast<std::size_t>(rest - chains.data()) : chains.size();
    }

    /// Returns the number of unsent bytes in each buffer: "0 3 5".
    [[nodiscard]] std::string left() const
    {
        std::string text;
        for (const Buf& b : bufs) {
            text.append(text.empty() ? "" : " ").append(std::to_string(buf_size(b)));
        }
        return text;
    }

    std::string memory = std::string(64, 'x');
    std::vector<Buf> bufs;
    std::vector<Chain> chains;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(buf)

BOOST_AUTO_TEST_CASE(sent_bytes_leave_the_buffers_in_their_order)
{
    Buffers buffers({3, 4, 5});
    BOOST_TEST(buffers.send(2) == 0U);
    BOOST_TEST(buffers.left() == "1 4 5");
    BOOST_TEST(buffers.send(1) == 1U);
    BOOST_TEST(buffers.left() == "0 4 5");
    BOOST_TEST(buffers.send(6) == 2U);
    BOOST_TEST(buffers.left() == "0 0 3");
    BOOST_TEST(buffers.send(3) == 3U);
    BOOST_TEST(buffers.left() == "0 0 0");
}

BOOST_AUTO_TEST_CASE(zero_sent_bytes_change_nothing)
{
    Buffers buffers({3, 4});
    BOOST_TEST(buffers.send(0) == 0U);
    BOOST_TEST(buffers.left() == "3 4");
    BOOST_TEST(chain_update_sent(nullptr, 0) == nullptr);
}

BOOST_AUTO_TEST_CASE(special_buffers_between_others_are_skipped)
{
    Buffers buffers({-1, 3, -1, -1, 4, -1});
    BOOST_TEST(buffers.send(0) == 1U);
    BOOST_TEST(buffers.send(3) == 4U);
    BOOST_TEST(buffers.left() == "0 0 0 0 4 0");
    BOOST_TEST(buffers.send(4) == 6U);
}

BOOST_AUTO_TEST_CASE(special_and_empty_buffers_at_the_end_count_as_sent)
{
    Buffers buffers({2, 0, -1});
    BOOST_TEST(buffers.send(2) == 3U);
    Buffers marks({-1, -1});
    BOOST_TEST(marks.send(0) == 2U);
}

BOOST_AUTO_TEST_CASE(a_buffer_is_special_when_it_has_a_flag_and_no_memory)
{
    Buf b;
    BOOST_TEST(!buf_special(b));
    BOOST_TEST(!buf_in_memory(b));
    b.last_buf = 1;
    BOOST_TEST(buf_special(b));
    b.last_buf = 0;
    b.sync = 1;
    BOOST_TEST(buf_special(b));
    b.temporary = 1;
    BOOST_TEST(buf_in_memory(b));
    BOOST_TEST(!buf_special(b));
    b.temporary = 0;
    b.memory = 1;
    b.flush = 1;
    BOOST_TEST(!buf_special(b));
}

BOOST_AUTO_TEST_CASE(a_piece_of_a_file_is_counted_and_sent_like_memory)
{
    Buf b;
    b.in_file = 1;
    b.file_pos = 100;
    b.file_last = 150;
    Chain chain{&b};
    BOOST_TEST(!buf_special(b));
    BOOST_TEST(buf_size(b) == 50U);
    BOOST_TEST(chain_update_sent(&chain, 20) == &chain);
    BOOST_TEST(b.file_pos == 120);
    BOOST_TEST(chain_update_sent(&chain, 30) == nullptr);
    BOOST_TEST(b.file_pos == 150);
}

BOOST_AUTO_TEST_CASE(a_piece_in_memory_and_in_a_file_moves_in_both)
{
    std::string memory(10, 'x');
    Buf b;
    b.pos = memory.data();
    b.last = b.pos + memory.size();
    b.temporary = 1;
    b.in_file = 1;
    b.file_pos = 100;
    b.file_last = 110;
    Chain chain{&b};
    BOOST_TEST(chain_update_sent(&chain, 4) == &chain);
    BOOST_TEST(buf_size(b) == 6U);
    BOOST_TEST(b.file_pos == 104);
}

BOOST_AUTO_TEST_CASE(a_temporary_buffer_is_empty_with_all_its_room_free)
{
    TestLog log(log_debug_all);
    Pool* const pool = create_pool(256, &log.log);
    const Buf* const b = create_temp_buf(*pool, 1000);
    BOOST_TEST(b->temporary == 1U);
    BOOST_TEST((b->pos == b->start && b->last == b->start));
    BOOST_TEST(b->end - b->start == 1000);
    BOOST_TEST(buf_size(*b) == 0U);
    std::fill(b->start, b->end, 'x');
    destroy_pool(pool);
}

namespace {

/// A chain of parts of files.
struct FilePieces {
    void add(File& f, off_t from, off_t to)
    {
        Buf& b = bufs.emplace_back();
        b.in_file = 1;
        b.file = &f;
        b.file_pos = from;
        b.file_last = to;
        chains.push_back({.buf = &b});
        if (chains.size() > 1) {
            chains[chains.size() - 2].next = &chains.back();
        }
    }

    /// Returns the number of coalesced bytes, and the index of the next link.
    std::pair<off_t, std::size_t> coalesce(off_t limit)
    {
        Chain* in = &chains.front();
        const off_t size = chain_coalesce_file(in, limit);
        std::size_t left = 0;
        while (left < chains.size() && &chains[left] != in) {
            left++;
        }
        return {size, left};
    }

    std::deque<Buf> bufs{};
    std::deque<Chain> chains{};
    File file{.fd = 10};
    File other{.fd = 11};
};

using Coalesced = std::pair<off_t, std::size_t>;

}  // namespace

BOOST_FIXTURE_TEST_CASE(pieces_side_by_side_in_a_file_are_one, FilePieces)
{
    add(file, 0, 100);
    add(file, 100, 300);
    add(file, 301, 400);
    BOOST_TEST((coalesce(1000) == Coalesced(300, 2)));
}

BOOST_FIXTURE_TEST_CASE(a_piece_of_another_file_is_not_joined, FilePieces)
{
    add(file, 0, 100);
    add(other, 100, 300);
    BOOST_TEST((coalesce(1000) == Coalesced(100, 1)));
}

BOOST_FIXTURE_TEST_CASE(a_limit_in_a_page_is_moved_to_its_end, FilePieces)
{
    const auto page = static_cast<off_t>(pagesize);
    add(file, 10, 10 * page);
    BOOST_TEST((coalesce(100) == Coalesced(page - 10, 0)));
    BOOST_TEST((coalesce(page - 10) == Coalesced(page - 10, 0)));
    BOOST_TEST((coalesce(page) == Coalesced(2 * page - 10, 0)));
}

BOOST_FIXTURE_TEST_CASE(a_limit_in_the_last_page_stays, FilePieces)
{
    add(file, 0, 1000);
    BOOST_TEST((coalesce(100) == Coalesced(100, 0)));
    BOOST_TEST((coalesce(1000) == Coalesced(1000, 1)));
}

BOOST_FIXTURE_TEST_CASE(a_limit_at_the_end_of_a_piece_leaves_the_next, FilePieces)
{
    add(file, 0, 100);
    add(file, 100, 10000);
    BOOST_TEST((coalesce(100) == Coalesced(100, 1)));
}

BOOST_AUTO_TEST_CASE(sent_buffers_of_the_tag_are_freed_and_others_dropped)
{
    TestLog log;
    Pool* const pool = create_pool(1024, &log.log);
    std::string memory(10, 'x');
    std::array<Buf, 3> bufs;
    std::array<Chain, 3> links;
    for (std::size_t i = 0; i < bufs.size(); i++) {
        bufs[i].start = memory.data();
        bufs[i].pos = bufs[i].last = memory.data() + memory.size();
        bufs[i].memory = 1;
        links[i] = {&bufs[i], i + 1 < links.size() ? &links[i + 1] : nullptr};
    }
    bufs[0].recycled = 1;
    bufs[2].pos = memory.data();  // is not sent
    Chain* free = nullptr;
    Chain* busy = nullptr;
    Chain* out = links.data();
    chain_update_chains(*pool, free, busy, out);
    BOOST_TEST(out == nullptr);
    BOOST_TEST((free == &links[0] && !free->next));
    BOOST_TEST((bufs[0].pos == bufs[0].start && bufs[0].last == bufs[0].start));
    BOOST_TEST(busy == &links[2]);
    BOOST_TEST(alloc_chain_link(*pool) == &links[1]);
    destroy_pool(pool);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
