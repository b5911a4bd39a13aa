#include "docs/lessons/exercises.hpp"

#include <unistd.h>

namespace ngx::exercise {

/// 1. So many bytes come at once, and the handler reads once in each report: how often is it
/// called, by a poller that reports edges, and by one that reports levels?
int reports([[maybe_unused]] bool edge, [[maybe_unused]] int bytes,
            [[maybe_unused]] int bytes_per_read)
{
    return 0;
}

/// 2. A handler for an edge poller. This one loses what does not fit into one read: mend it. The
/// descriptor does not block.
void take_all(int fd, std::string& into)
{
    char buf[100];
    const ssize_t n = ::read(fd, buf, sizeof(buf));
    if (n > 0) {
        into.append(buf, static_cast<std::size_t>(n));
    }
}

}  // namespace ngx::exercise
