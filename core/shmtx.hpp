#pragma once

#include <atomic>
#include <semaphore.h>
#include <sys/types.h>

#include "core/core.hpp"

namespace ngx {

/// A number in memory that processes share.
///
/// nginx: ngx_atomic_t
using Atomic = std::atomic<std::int64_t>;

static_assert(Atomic::is_always_lock_free, "it has to work between processes");

/// The shared part of a mutex.
///
/// nginx: ngx_shmtx_sh_t
struct ShmtxSh {
    Atomic lock;  // the process id of the holder, or 0
    Atomic wait;  // how many sleep on the semaphore
    sem_t sem;
};

inline constexpr std::size_t shmtx_only_try = static_cast<std::size_t>(-1);

/// A mutex between processes. Its owner is told by process id, so that the master can release
/// the mutex of a worker that died. `spin` is how long to spin before sleeping; shmtx_only_try
/// says that nobody will ever wait for it.
///
/// nginx: ngx_shmtx_t
struct Shmtx {
    Atomic* lock = nullptr;
    Atomic* wait = nullptr;
    sem_t* sem = nullptr;  // null if there is none: waiters yield instead
    std::size_t spin = 0;
};

/// nginx: ngx_shmtx_create()
Rc shmtx_create(Shmtx& mtx, ShmtxSh& addr);

/// nginx: ngx_shmtx_destroy()
void shmtx_destroy(Shmtx& mtx);

/// nginx: ngx_shmtx_trylock()
bool shmtx_trylock(Shmtx& mtx) noexcept;

/// Waits: spins if there is more than one processor, then sleeps.
///
/// nginx: ngx_shmtx_lock()
void shmtx_lock(Shmtx& mtx) noexcept;

/// Releases it if this process holds it, and wakes one that waits.
///
/// nginx: ngx_shmtx_unlock()
void shmtx_unlock(Shmtx& mtx) noexcept;

/// Releases it if the process `holder` holds it, which is dead; says whether it did.
///
/// nginx: ngx_shmtx_force_unlock()
bool shmtx_force_unlock(Shmtx& mtx, pid_t holder) noexcept;

}  // namespace ngx
