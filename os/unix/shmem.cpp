#include "os/unix/shmem.hpp"

#include <cassert>
#include <cerrno>
#include <sys/mman.h>

#include <fmt/format.h>

#include "core/log.hpp"

namespace ngx {

Rc shm_alloc(Shm& shm)
{
    assert(shm.size != 0 && !shm.addr);
    void* addr =
        ::mmap(nullptr, shm.size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED, -1, 0);
    if (addr == MAP_FAILED) {
        log_error(log_alert, shm.log, errno, "mmap(MAP_ANON|MAP_SHARED, {}) failed", shm.size);
        return Rc::error;
    }
    shm.addr = addr;
    return Rc::ok;
}

void shm_free(Shm& shm)
{
    assert(shm.addr);
    if (::munmap(shm.addr, shm.size) == -1) {
        log_error(log_alert, shm.log, errno, "munmap({}, {}) failed", fmt::ptr(shm.addr), shm.size);
    }
    shm.addr = nullptr;
}

}  // namespace ngx
