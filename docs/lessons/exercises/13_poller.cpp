#include "docs/lessons/exercises.hpp"

#include <poll.h>

namespace ngx::exercise {

/// 1. Returns the events that a poller requests from poll(): POLLIN, POLLOUT, both or 0. The
/// arguments are the `active` bits of the read and the write event.
short wanted_events([[maybe_unused]] bool read, [[maybe_unused]] bool write)
{
    return -1;
}

/// 2. Returns which handlers are called: "r", "w", "rw" or "". poll() also reports errors, without
/// a request: then each active event's handler is called, and sees the error in its own call.
std::string handlers_to_call(short revents, bool read_active, bool write_active)
{
    const bool read = read_active && (revents & POLLIN) != 0;
    const bool write = write_active && (revents & POLLOUT) != 0;
    return std::string(read ? "r" : "") + (write ? "w" : "");
}

}  // namespace ngx::exercise
