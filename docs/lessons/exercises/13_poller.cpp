#include "docs/lessons/exercises.hpp"

#include <poll.h>

namespace ngx::exercise {

/// 1. What a poller asks poll() for: POLLIN, POLLOUT, both or nothing, by the events that are
/// active.
short wanted_events([[maybe_unused]] bool read, [[maybe_unused]] bool write)
{
    return -1;
}

/// 2. Which handlers are to be called: "r", "w", "rw" or "". Mind what poll() reports without being
/// asked: whichever handler is active has to meet the error in its own call.
std::string handlers_to_call(short revents, bool read_active, bool write_active)
{
    const bool read = read_active && (revents & POLLIN) != 0;
    const bool write = write_active && (revents & POLLOUT) != 0;
    return std::string(read ? "r" : "") + (write ? "w" : "");
}

}  // namespace ngx::exercise
