#include "os/unix/setaffinity.hpp"

#include <cerrno>

#include "core/log.hpp"

namespace ngx {

void setaffinity(const cpu_set_t& cpu_affinity, Log* log) noexcept
{
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &cpu_affinity)) {
            log_error(log_notice, log, 0, "sched_setaffinity(): using cpu #{}", cpu);
        }
    }
    if (::sched_setaffinity(0, sizeof(cpu_affinity), &cpu_affinity) == -1) {
        log_error(log_alert, log, errno, "sched_setaffinity() failed");
    }
}

}  // namespace ngx
