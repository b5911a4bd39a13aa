#include "docs/lessons/exercises.hpp"

#include <poll.h>

namespace ngx::exercise {

short wanted_events(bool read, bool write)
{
    return static_cast<short>((read ? POLLIN : 0) | (write ? POLLOUT : 0));
}

std::string handlers_to_call(short revents, bool read_active, bool write_active)
{
    const bool error = (revents & (POLLERR | POLLHUP)) != 0;
    const bool read = read_active && (error || (revents & POLLIN) != 0);
    const bool write = write_active && (error || (revents & POLLOUT) != 0);
    return std::string(read ? "r" : "") + (write ? "w" : "");
}

}  // namespace ngx::exercise
