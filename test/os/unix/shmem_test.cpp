#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>
#include <sys/mman.h>

#include <boost/test/unit_test.hpp>

#include "core/core.hpp"
#include "os/unix/os.hpp"
#include "os/unix/shmem.hpp"
#include "test/support/forked.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

struct Shared {
    Shared() { shm = {.size = 3 * pagesize, .name = "test", .log = &log.log}; }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared()
    {
        if (shm.addr) {
            shm_free(shm);
        }
    }

    [[nodiscard]] std::span<char> bytes() const { return {static_cast<char*>(shm.addr), shm.size}; }

    TestLog log;
    Shm shm;
};

/// Returns whether memory is mapped at the start of the page.
bool is_mapped(void* page)
{
    return ::msync(page, pagesize, MS_ASYNC) == 0;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(shmem, Shared)

BOOST_AUTO_TEST_CASE(the_memory_is_mapped_and_zero)
{
    BOOST_TEST((shm_alloc(shm) == Rc::ok));
    BOOST_TEST(std::ranges::all_of(bytes(), [](char byte) { return byte == 0; }));
    bytes().back() = 'x';
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(what_a_child_writes_its_parent_reads)
{
    BOOST_TEST((shm_alloc(shm) == Rc::ok));
    const Forked child = in_child([this](int) { bytes()[pagesize] = 'c'; });
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(bytes()[pagesize] == 'c');
}

BOOST_AUTO_TEST_CASE(more_memory_than_available_is_refused_with_an_alert)
{
    shm.size = std::numeric_limits<std::size_t>::max() / 2;
    BOOST_TEST((shm_alloc(shm) == Rc::error));
    BOOST_TEST(shm.addr == nullptr);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, fmt::format("mmap(MAP_ANON|MAP_SHARED, {}) failed "
                                              "(12: Cannot allocate memory)\n",
                                              shm.size)));
}

BOOST_AUTO_TEST_CASE(freed_memory_is_unmapped)
{
    BOOST_TEST((shm_alloc(shm) == Rc::ok));
    void* const page = shm.addr;
    BOOST_TEST(is_mapped(page));
    shm_free(shm);
    BOOST_TEST(!is_mapped(page));
    BOOST_TEST(shm.addr == nullptr);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(freeing_other_memory_is_an_alert)
{
    shm.addr = this;  // not the start of a page
    shm.size = 1;
    shm_free(shm);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "munmap("));
    BOOST_TEST(contains(log.text, ", 1) failed (22: Invalid argument)\n"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
