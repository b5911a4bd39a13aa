#include "docs/lessons/exercises.hpp"

#include <unistd.h>

namespace ngx::exercise {

/// 1. This number of bytes arrives at once, and the handler reads once in each report. Returns how
/// often an edge-triggered or a level-triggered poller calls it.
int reports([[maybe_unused]] bool edge, [[maybe_unused]] int bytes,
            [[maybe_unused]] int bytes_per_read)
{
    return 0;
}

/// 2. A handler for an edge-triggered poller. This one leaves the data that does not fit into one
/// read: correct it. The descriptor does not block.
void take_all(int fd, std::string& into)
{
    char buf[100];
    const ssize_t n = ::read(fd, buf, sizeof(buf));
    if (n > 0) {
        into.append(buf, static_cast<std::size_t>(n));
    }
}

}  // namespace ngx::exercise
