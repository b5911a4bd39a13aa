#include "core/shmtx.hpp"

#include <cassert>
#include <cerrno>
#include <sched.h>

#include "core/cycle.hpp"
#include "core/log.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"

namespace ngx {

namespace {

constexpr std::size_t default_spin = 2048;

bool take(Atomic& lock) noexcept
{
    assert(pid > 0);
    std::int64_t expected = 0;
    // The plain read first keeps the cache line shared while another process holds the lock.
    return lock.load(std::memory_order_relaxed) == 0 &&
           lock.compare_exchange_strong(expected, pid, std::memory_order_acquire);
}

bool release(Atomic& lock, std::int64_t holder) noexcept
{
    return lock.compare_exchange_strong(holder, 0, std::memory_order_release);
}

bool spin_for(Shmtx& mtx) noexcept
{
    for (std::size_t n = 1; n < mtx.spin; n <<= 1) {
        for (std::size_t i = 0; i < n; i++) {
            __builtin_ia32_pause();
        }
        if (take(*mtx.lock)) {
            return true;
        }
    }
    return false;
}

/// Sleeps until an unlock wakes this process. Returns true if it has acquired the lock instead.
bool sleep_for(Shmtx& mtx) noexcept
{
    assert(mtx.wait && mtx.sem);
    mtx.wait->fetch_add(1);

    // An unlock between the last try and the line above has not seen this process as a waiter.
    if (take(*mtx.lock)) {
        mtx.wait->fetch_sub(1);
        return true;
    }

    log_debug(log_debug_core, ngx_cycle->log, 0, "shmtx wait {}", mtx.wait->load());
    int rc = 0;
    do {
        rc = sem_wait(mtx.sem);
    } while (rc == -1 && errno == EINTR);
    if (rc == -1) {
        log_error(log_alert, ngx_cycle->log, errno, "sem_wait() failed while waiting on shmtx");
    }
    log_debug(log_debug_core, ngx_cycle->log, 0, "shmtx awoke");
    return false;
}

/// nginx: ngx_shmtx_wakeup()
void shmtx_wakeup(Shmtx& mtx) noexcept
{
    if (!mtx.sem) {
        return;
    }

    std::int64_t waiting = mtx.wait->load();
    do {
        if (waiting <= 0) {
            return;
        }
    } while (!mtx.wait->compare_exchange_weak(waiting, waiting - 1));

    log_debug(log_debug_core, ngx_cycle->log, 0, "shmtx wake {}", waiting);
    if (sem_post(mtx.sem) == -1) {
        log_error(log_alert, ngx_cycle->log, errno, "sem_post() failed while wake shmtx");
    }
}

}  // namespace

void shmtx_create(Shmtx& mtx, ShmtxSh& addr)
{
    assert(!mtx.sem);
    mtx.lock = &addr.lock;
    if (mtx.spin == shmtx_only_try) {
        return;
    }

    mtx.spin = default_spin;
    mtx.wait = &addr.wait;
    if (sem_init(&addr.sem, 1, 0) == -1) {
        log_error(log_alert, ngx_cycle->log, errno, "sem_init() failed");
    } else {
        mtx.sem = &addr.sem;
    }
}

void shmtx_destroy(Shmtx& mtx)
{
    if (mtx.sem && sem_destroy(mtx.sem) == -1) {
        log_error(log_alert, ngx_cycle->log, errno, "sem_destroy() failed");
    }
    mtx = {};
}

bool shmtx_trylock(Shmtx& mtx) noexcept
{
    assert(mtx.lock);
    return take(*mtx.lock);
}

void shmtx_lock(Shmtx& mtx) noexcept
{
    assert(mtx.lock && mtx.spin != shmtx_only_try);
    assert(mtx.lock->load() != pid);  // it is not recursive
    log_debug(log_debug_core, ngx_cycle->log, 0, "shmtx lock");

    while (!take(*mtx.lock)) {
        if (ncpu > 1 && spin_for(mtx)) {
            return;
        }
        if (!mtx.sem) {
            sched_yield();
        } else if (sleep_for(mtx)) {
            return;
        }
    }
}

void shmtx_unlock(Shmtx& mtx) noexcept
{
    if (mtx.spin != shmtx_only_try) {
        log_debug(log_debug_core, ngx_cycle->log, 0, "shmtx unlock");
    }
    if (release(*mtx.lock, pid)) {
        shmtx_wakeup(mtx);
    }
}

bool shmtx_force_unlock(Shmtx& mtx, pid_t holder) noexcept
{
    assert(holder > 0);
    log_debug(log_debug_core, ngx_cycle->log, 0, "shmtx forced unlock");
    if (!release(*mtx.lock, holder)) {
        return false;
    }
    shmtx_wakeup(mtx);
    return true;
}

}  // namespace ngx
