#include "core/shmtx.hpp"

#include <array>
#include <cstdint>
#include <new>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "os/unix/process.hpp"
#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

constexpr pid_t somebody_else = 1;

/// The data that the processes share.
struct Shared {
    ShmtxSh mutex{};
    Atomic inside{};
    long counter = 0;  // not atomic: the mutex guards it
};

/// A mutex in shared memory, and a cycle for its log lines.
struct Mutex {
    explicit Mutex(std::size_t spin = 0) : cycle(create_cycle(&log.log))
    {
        ngx_cycle = cycle;
        ngx::pid = ::getpid();
        void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                              MAP_ANONYMOUS | MAP_SHARED, -1, 0);
        BOOST_TEST_REQUIRE(memory != MAP_FAILED);
        shared = ::new (memory) Shared{};
        mtx.spin = spin;
        shmtx_create(mtx, shared->mutex);
    }
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    ~Mutex()
    {
        ngx::pid = ::getpid();
        ::munmap(shared, sizeof(Shared));
        ngx_cycle = nullptr;
        destroy_cycle_pools(cycle);
    }

    [[nodiscard]] std::int64_t holder() const { return mtx.lock->load(); }

    /// Returns the number of processes that sleep on the semaphore, when no process uses the mutex.
    /// A process that an unlock has counted as woken may have acquired the lock without sleeping:
    /// it leaves the semaphore posted, and `wait` at one less.
    [[nodiscard]] std::int64_t sleepers() const
    {
        int posted = 0;
        ::sem_getvalue(mtx.sem, &posted);
        return mtx.wait->load() + posted;
    }

    TestLog log{log_debug_all};
    Cycle* cycle;
    Shared* shared = nullptr;
    Shmtx mtx{};
};

struct TryMutex : Mutex {
    TryMutex() : Mutex(shmtx_only_try) {}
};

/// Starts a process that runs the function for at most one minute.
template <typename Function>
pid_t start(Function function)
{
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(60);
        ngx::pid = ::getpid();
        function();
        ::_exit(0);
    }
    return child;
}

bool ended_well(pid_t child)
{
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Locks the mutex in many processes; each adds to a number that is not atomic.
void contend(Mutex& m, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        shmtx_lock(m.mtx);
        if (m.shared->inside.fetch_add(1) != 0) {
            ::_exit(1);
        }
        m.shared->counter++;
        m.shared->inside.fetch_sub(1);
        shmtx_unlock(m.mtx);
    }
}

void check_contention(Mutex& m)
{
    constexpr int rounds = 5000;
    std::array<pid_t, 4> children;
    for (pid_t& child : children) {
        child = start([&] { contend(m, rounds); });
    }
    for (const pid_t child : children) {
        BOOST_TEST(ended_well(child));
    }
    BOOST_TEST(m.shared->counter == rounds * static_cast<long>(children.size()));
    BOOST_TEST(m.holder() == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shmtx)

BOOST_FIXTURE_TEST_CASE(trylock_acquires_a_free_mutex_only, TryMutex)
{
    BOOST_TEST(shmtx_trylock(mtx));
    BOOST_TEST(holder() == ngx::pid);
    BOOST_TEST(!shmtx_trylock(mtx));
    shmtx_unlock(mtx);
    BOOST_TEST(holder() == 0);
    BOOST_TEST(shmtx_trylock(mtx));
}

BOOST_FIXTURE_TEST_CASE(only_the_process_that_holds_it_unlocks_it, TryMutex)
{
    mtx.lock->store(somebody_else);
    BOOST_TEST(!shmtx_trylock(mtx));
    shmtx_unlock(mtx);
    BOOST_TEST(holder() == somebody_else);
}

BOOST_FIXTURE_TEST_CASE(a_dead_holders_mutex_is_released_by_its_process_id, TryMutex)
{
    mtx.lock->store(somebody_else);
    BOOST_TEST(!shmtx_force_unlock(mtx, ngx::pid));
    BOOST_TEST(holder() == somebody_else);
    BOOST_TEST(shmtx_force_unlock(mtx, somebody_else));
    BOOST_TEST(holder() == 0);
    BOOST_TEST(!shmtx_force_unlock(mtx, somebody_else));
}

BOOST_FIXTURE_TEST_CASE(a_mutex_without_waiters_has_no_semaphore, TryMutex)
{
    BOOST_TEST(mtx.sem == nullptr);
    BOOST_TEST(mtx.wait == nullptr);
    shmtx_destroy(mtx);
    BOOST_TEST(mtx.lock == nullptr);
}

BOOST_FIXTURE_TEST_CASE(a_held_mutex_is_seen_from_another_process, TryMutex)
{
    BOOST_TEST(shmtx_trylock(mtx));
    const pid_t child = start([&] {
        if (shmtx_trylock(mtx)) {
            ::_exit(1);
        }
        shmtx_unlock(mtx);
    });
    BOOST_TEST(ended_well(child));
    BOOST_TEST(holder() == ngx::pid);
}

BOOST_FIXTURE_TEST_CASE(only_one_of_many_processes_holds_the_mutex, Mutex)
{
    BOOST_TEST(mtx.sem != nullptr);
    check_contention(*this);
    BOOST_TEST(sleepers() == 0);
}

BOOST_FIXTURE_TEST_CASE(without_spinning_only_one_holds_it_either, Mutex)
{
    mtx.spin = 0;
    check_contention(*this);
}

BOOST_FIXTURE_TEST_CASE(without_a_semaphore_waiters_yield, Mutex)
{
    mtx.sem = nullptr;
    check_contention(*this);
}

BOOST_FIXTURE_TEST_CASE(an_unlock_wakes_one_waiter, Mutex)
{
    shmtx_lock(mtx);
    const pid_t child = start([&] {
        shmtx_lock(mtx);
        shared->counter = 1;
        shmtx_unlock(mtx);
    });
    // The process increments the number of waiters before it sleeps; nothing else shows that it
    // waits.
    while (mtx.wait->load() == 0 && ::waitpid(child, nullptr, WNOHANG) == 0) {
        ::sched_yield();
    }
    BOOST_TEST(shared->counter == 0);
    BOOST_TEST(mtx.wait->load() == 1);

    shmtx_unlock(mtx);
    BOOST_TEST(ended_well(child));
    BOOST_TEST(shared->counter == 1);
    BOOST_TEST(sleepers() == 0);
    BOOST_TEST(holder() == 0);
}

BOOST_FIXTURE_TEST_CASE(releasing_a_dead_holders_mutex_wakes_one_waiter, Mutex)
{
    const pid_t dead = start([&] { shmtx_lock(mtx); });
    BOOST_TEST(ended_well(dead));
    BOOST_TEST(holder() == dead);

    const pid_t child = start([&] { shmtx_lock(mtx); });
    while (mtx.wait->load() == 0 && ::waitpid(child, nullptr, WNOHANG) == 0) {
        ::sched_yield();
    }
    BOOST_TEST(shmtx_force_unlock(mtx, dead));
    BOOST_TEST(ended_well(child));
    BOOST_TEST(holder() == child);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
