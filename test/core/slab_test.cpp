#include "core/slab.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "os/unix/process.hpp"
#include "os/unix/shmem.hpp"
#include "test/core/fixture.hpp"
#include "test/support/forked.hpp"

namespace ngx::test {

namespace {

/// A pool in shared memory, and a cycle for the log lines of its mutex.
struct Slab {
    explicit Slab(std::size_t size = 64 * 1024) : cycle(create_cycle(&log.log))
    {
        ngx_cycle = cycle;
        ngx::pid = ::getpid();
        shm = {.size = size, .name = "test", .log = &log.log};
        BOOST_TEST_REQUIRE((shm_alloc(shm) == Rc::ok));
        pool = SlabPool::create(shm.addr, shm.size);
    }
    Slab(const Slab&) = delete;
    Slab& operator=(const Slab&) = delete;
    ~Slab()
    {
        shm_free(shm);
        ngx_cycle = nullptr;
        destroy_cycle_pools(cycle);
    }

    /// Returns whether a piece is in the pool's memory.
    [[nodiscard]] bool owns(const char* p, std::size_t n) const
    {
        const char* const begin = static_cast<char*>(shm.addr);
        return p > begin && p + n <= begin + shm.size;
    }

    /// Allocates as many pieces as fit.
    std::vector<char*> fill(std::size_t n) const
    {
        std::vector<char*> pieces;
        while (void* p = pool->alloc(n)) {
            pieces.push_back(static_cast<char*>(p));
        }
        return pieces;
    }

    void free_all(const std::vector<char*>& pieces) const
    {
        for (char* p : pieces) {
            pool->free(p);
        }
    }

    TestLog log{log_debug_all};
    Cycle* cycle;
    Shm shm{};
    SlabPool* pool = nullptr;
};

struct SmallestSlab : Slab {
    SmallestSlab() : Slab(SlabPool::min_size) {}
};

}  // namespace

BOOST_AUTO_TEST_SUITE(slab)

BOOST_FIXTURE_TEST_CASE(a_new_pool_is_at_the_start_of_its_memory, Slab)
{
    BOOST_TEST(static_cast<void*>(pool) == shm.addr);
    BOOST_TEST(pool->data == nullptr);
    BOOST_TEST(pool->mutex.lock->load() == 0);
    BOOST_TEST(owns(reinterpret_cast<const char*>(pool->mutex.lock), sizeof(Atomic)));
    BOOST_TEST(log.text == "");
}

BOOST_FIXTURE_TEST_CASE(pieces_are_aligned_and_do_not_overlap, Slab)
{
    constexpr std::size_t size = 100;
    const std::vector<char*> pieces = fill(size);
    BOOST_TEST(pieces.size() > 400U);
    for (std::size_t i = 0; i < pieces.size(); i++) {
        BOOST_TEST(owns(pieces[i], size));
        BOOST_TEST(reinterpret_cast<std::uintptr_t>(pieces[i]) % alignof(std::max_align_t) == 0U);
        std::memset(pieces[i], static_cast<int>(i % 128), size);
    }
    for (std::size_t i = 0; i < pieces.size(); i++) {
        const char wanted = static_cast<char>(i % 128);
        BOOST_TEST(std::all_of(pieces[i], pieces[i] + size, [=](char c) { return c == wanted; }));
    }
}

BOOST_FIXTURE_TEST_CASE(freed_memory_is_allocated_again, Slab)
{
    const std::vector<char*> small = fill(100);
    BOOST_TEST(pool->alloc(100) == nullptr);
    pool->free(small.front());
    BOOST_TEST(pool->alloc(100) == static_cast<void*>(small.front()));

    // Adjacent free pieces are merged.
    BOOST_TEST(pool->alloc(32 * 1024) == nullptr);
    free_all(small);
    BOOST_TEST(pool->alloc(32 * 1024) != nullptr);
}

BOOST_FIXTURE_TEST_CASE(more_memory_than_available_is_refused, Slab)
{
    BOOST_TEST(pool->alloc(shm.size) == nullptr);
    BOOST_TEST(pool->alloc(static_cast<std::size_t>(-1) / 2) == nullptr);
    BOOST_TEST(pool->alloc(100) != nullptr);
}

BOOST_FIXTURE_TEST_CASE(the_smallest_pool_can_allocate_most_of_its_memory, SmallestSlab)
{
    BOOST_TEST(pool->alloc(SlabPool::min_size / 2) != nullptr);
}

BOOST_FIXTURE_TEST_CASE(the_mutex_is_released_whether_or_not_there_was_room, Slab)
{
    void* const p = pool->alloc(100);
    BOOST_TEST(pool->mutex.lock->load() == 0);
    pool->free(p);
    BOOST_TEST(pool->mutex.lock->load() == 0);
    BOOST_TEST(pool->alloc(shm.size) == nullptr);
    BOOST_TEST(pool->mutex.lock->load() == 0);
}

BOOST_FIXTURE_TEST_CASE(the_holder_of_the_mutex_allocates_without_locking, Slab)
{
    shmtx_lock(pool->mutex);
    void* const p = pool->alloc_locked(100);
    BOOST_TEST(p != nullptr);
    pool->free_locked(p);
    BOOST_TEST(pool->alloc_locked(100) == p);
    BOOST_TEST(pool->mutex.lock->load() == ngx::pid);
    shmtx_unlock(pool->mutex);
}

BOOST_FIXTURE_TEST_CASE(an_allocation_waits_for_the_mutex, Slab)
{
    shmtx_lock(pool->mutex);
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(60);
        ngx::pid = ::getpid();
        pool->data = pool->alloc(100);
        ::_exit(0);
    }
    // The process increments the number of waiters before it sleeps; nothing else shows that it
    // waits.
    while (pool->mutex.wait->load() == 0 && ::waitpid(child, nullptr, WNOHANG) == 0) {
        ::sched_yield();
    }
    BOOST_TEST(pool->data == nullptr);
    shmtx_unlock(pool->mutex);
    BOOST_TEST(::waitpid(child, nullptr, 0) == child);
    BOOST_TEST(owns(static_cast<char*>(pool->data), 100));
}

BOOST_FIXTURE_TEST_CASE(memory_of_one_process_is_read_and_freed_by_another, Slab)
{
    const std::size_t room = fill(1000).size();
    pool = SlabPool::create(shm.addr, shm.size);
    const Forked child = in_child([this](int) {
        ngx::pid = ::getpid();
        pool->data = pool->alloc(1000);
        std::strcpy(static_cast<char*>(pool->data), "of the child");
    });
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST(std::string(static_cast<char*>(pool->data)) == "of the child");
    pool->free(pool->data);
    BOOST_TEST(fill(1000).size() == room);
}

BOOST_FIXTURE_TEST_CASE(many_processes_allocate_at_once, Slab)
{
    const std::vector<char*> before = fill(1000);
    free_all(before);
    std::array<pid_t, 3> children;
    for (pid_t& child : children) {
        child = ::fork();
        if (child == 0) {
            ::alarm(60);
            ngx::pid = ::getpid();
            for (int i = 0; i < 1000; i++) {
                auto* const p = static_cast<pid_t*>(pool->alloc(100));
                *p = ngx::pid;
                ::sched_yield();
                if (*p != ngx::pid) {
                    ::_exit(1);
                }
                pool->free(p);
            }
            ::_exit(0);
        }
    }
    for (const pid_t child : children) {
        int status = -1;
        BOOST_TEST(::waitpid(child, &status, 0) == child);
        BOOST_TEST(status == 0);
    }
    BOOST_TEST(fill(1000).size() == before.size());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
