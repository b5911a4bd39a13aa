#include "core/palloc.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

/// Owns a pool.
struct PoolOwner {
    explicit PoolOwner(std::size_t size = 1024) : pool(create_pool(size, &log.log)) {}
    PoolOwner(const PoolOwner&) = delete;
    PoolOwner& operator=(const PoolOwner&) = delete;
    ~PoolOwner() { destroy(); }

    void destroy() noexcept
    {
        if (pool) {
            destroy_pool(std::exchange(pool, nullptr));
        }
    }

    TestLog log{log_debug_all};
    Pool* pool;
};

/// Records its destruction.
struct Mortal {
    Mortal(std::string& to, char n) : dead(to), name(n) {}
    Mortal(const Mortal&) = delete;
    Mortal& operator=(const Mortal&) = delete;
    ~Mortal() { dead += name; }

    std::string& dead;
    char name;
};

/// With the address sanitizer each block is a new allocation, so that it detects uses after free.
boost::test_tools::assertion_result keeps_blocks(boost::unit_test::test_unit_id)
{
    return !have_asan;
}

void append_dash(void* data)
{
    *static_cast<std::string*>(data) += '-';
}

}  // namespace

BOOST_AUTO_TEST_SUITE(palloc)

BOOST_AUTO_TEST_CASE(objects_are_destroyed_in_reverse_order)
{
    std::string dead;
    PoolOwner owner;
    owner.pool->create<Mortal>(dead, 'a');
    owner.pool->cleanup_add(append_dash, &dead);
    owner.pool->create<Mortal>(dead, 'b');
    owner.pool->create<Mortal>(dead, 'c');
    BOOST_TEST(dead == "");
    owner.destroy();
    BOOST_TEST(dead == "cb-a");
}

BOOST_AUTO_TEST_CASE(a_clean_up_may_use_what_older_clean_ups_free)
{
    std::string seen;
    PoolOwner owner;
    auto* older = owner.pool->create<std::string>("still there, and too long for the object");
    struct Reading {
        ~Reading() { to = from; }
        std::string& to;
        std::string& from;
    };
    owner.pool->create<Reading>(seen, *older);
    owner.destroy();
    BOOST_TEST(seen == "still there, and too long for the object");
}

BOOST_AUTO_TEST_CASE(memory_is_aligned_as_asked)
{
    PoolOwner owner;
    for (const std::size_t align : {1U, 2U, 4U, 8U, 16U, 32U, 64U, 128U, 256U}) {
        owner.pool->palloc(1, 1);
        const auto at = reinterpret_cast<std::uintptr_t>(owner.pool->palloc(align, align));
        BOOST_TEST(at % align == 0U, "align " << align);
    }
    owner.pool->palloc(1, 1);
    const auto usual = reinterpret_cast<std::uintptr_t>(owner.pool->palloc(1));
    BOOST_TEST(usual % alignof(std::max_align_t) == 0U);
}

BOOST_AUTO_TEST_CASE(allocations_do_not_overlap)
{
    PoolOwner owner(256);
    std::vector<char*> blocks;
    for (std::size_t size = 1; size < 300; size++) {
        blocks.push_back(static_cast<char*>(owner.pool->palloc(size, 1)));
        std::memset(blocks.back(), static_cast<int>(size & 0xff), size);
    }
    for (std::size_t size = 1; size < 300; size++) {
        const std::string expected(size, static_cast<char>(size & 0xff));
        BOOST_TEST((std::string_view(blocks[size - 1], size) == expected), "size " << size);
    }
}

BOOST_AUTO_TEST_CASE(an_allocation_larger_than_the_pool_works)
{
    PoolOwner owner;
    constexpr std::size_t size = 10 << 20;
    auto* large = static_cast<char*>(owner.pool->palloc(size));
    std::memset(large, 'x', size);
    BOOST_TEST(large[size - 1] == 'x');
    auto* small = static_cast<char*>(owner.pool->palloc(1));
    BOOST_TEST((small < large || small >= large + size));
}

BOOST_AUTO_TEST_CASE(pcalloc_gives_zeroes)
{
    PoolOwner owner;
    auto* used = static_cast<char*>(owner.pool->palloc(4096));
    std::memset(used, 0xff, 4096);
    const int* numbers = owner.pool->pcalloc<int>(1000);
    BOOST_TEST(std::accumulate(numbers, numbers + 1000, 0) == 0);
    BOOST_TEST(owner.pool->pcalloc<void*>(1)[0] == nullptr);
}

BOOST_AUTO_TEST_CASE(a_copied_text_ends_in_a_zero_byte)
{
    PoolOwner owner;
    const std::string_view part = std::string_view("abcdef").substr(1, 3);
    const std::string_view copy = owner.pool->pstrdup(part);
    BOOST_TEST(copy == "bcd");
    BOOST_TEST((copy.data() != part.data()));
    BOOST_TEST(copy.data()[3] == '\0');
    for (const std::string_view none : {std::string_view(""), std::string_view()}) {
        BOOST_TEST(owner.pool->pstrdup(none).data()[0] == '\0');
    }
    BOOST_TEST(owner.pool->pstrdup(std::string_view("a\0b", 3)).size() == 3U);
}

BOOST_AUTO_TEST_CASE(the_first_block_holds_the_pool_and_the_first_allocations)
{
    PoolOwner owner(connection_pool_size);
    const auto* begin = reinterpret_cast<const char*>(owner.pool);
    const auto* small = static_cast<const char*>(owner.pool->palloc(512));
    BOOST_TEST((small > begin && small + 512 <= begin + connection_pool_size));
}

BOOST_AUTO_TEST_CASE(a_connections_block_is_reused, *boost::unit_test::precondition(keeps_blocks))
{
    PoolOwner first(connection_pool_size);
    PoolOwner second(connection_pool_size);
    const Pool* const first_at = first.pool;
    const Pool* const second_at = second.pool;
    first.destroy();
    second.destroy();

    const PoolOwner third(connection_pool_size);
    const PoolOwner fourth(connection_pool_size);
    BOOST_TEST(third.pool == second_at);
    BOOST_TEST(fourth.pool == first_at);
}

BOOST_AUTO_TEST_CASE(a_reused_block_has_no_old_clean_ups)
{
    std::string dead;
    PoolOwner first(connection_pool_size);
    first.pool->create<Mortal>(dead, 'a');
    first.destroy();
    PoolOwner second(connection_pool_size);
    second.pool->create<Mortal>(dead, 'b');
    second.destroy();
    BOOST_TEST(dead == "ab");
}

BOOST_AUTO_TEST_CASE(the_pool_has_the_log_it_was_given)
{
    const PoolOwner owner;
    BOOST_TEST(owner.pool->log == &owner.log.log);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
