#pragma once

#include <semaphore.h>
#include <sys/types.h>

#include "core/core.hpp"
#include "os/unix/atomic.hpp"

namespace ngx {

/// The part of a mutex that lies in shared memory.
///
/// nginx: ngx_shmtx_sh_t
struct ShmtxSh {
    Atomic lock;  // the process id of the holder, or 0
    Atomic wait;  // the processes that sleep on the semaphore and that no unlock has woken
    sem_t sem;
};

inline constexpr std::size_t shmtx_only_try = static_cast<std::size_t>(-1);

/// A mutex between processes. It stores the holder's process id, so that the master can release the
/// mutex of a worker that died. `spin` is the number of spins before sleeping; shmtx_only_try means
/// that processes only try to lock it and never wait. Each process has its own Shmtx, which points
/// into shared memory that it does not own.
///
/// nginx: ngx_shmtx_t
struct Shmtx {
    Atomic* lock = nullptr;
    Atomic* wait = nullptr;
    sem_t* sem = nullptr;  // null: waiters yield
    std::size_t spin = 0;
};

/// Sets up the mutex in the zeroed memory at `addr`. A semaphore that cannot be created is logged,
/// and waiters yield instead.
///
/// nginx: ngx_shmtx_create()
void shmtx_create(Shmtx& mtx, ShmtxSh& addr);

/// Destroys the semaphore. The shared memory stays.
///
/// nginx: ngx_shmtx_destroy()
void shmtx_destroy(Shmtx& mtx);

/// Acquires the mutex if it is free. Returns whether it did.
///
/// nginx: ngx_shmtx_trylock()
bool shmtx_trylock(Shmtx& mtx) noexcept;

/// Acquires the mutex: spins if there is more than one processor, then sleeps.
///
/// nginx: ngx_shmtx_lock()
void shmtx_lock(Shmtx& mtx) noexcept;

/// Releases the mutex if this process holds it, and wakes one waiter.
///
/// nginx: ngx_shmtx_unlock()
void shmtx_unlock(Shmtx& mtx) noexcept;

/// Releases the mutex if the dead process `holder` holds it. Returns whether it did.
///
/// nginx: ngx_shmtx_force_unlock()
bool shmtx_force_unlock(Shmtx& mtx, pid_t holder) noexcept;

}  // namespace ngx
