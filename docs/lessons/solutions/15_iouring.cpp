#include "docs/lessons/exercises.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

namespace ngx::exercise {

std::uint32_t slot_in(std::uint64_t user_data)
{
    return static_cast<std::uint32_t>(user_data);
}

std::uint32_t generation_in(std::uint64_t user_data)
{
    return static_cast<std::uint32_t>(user_data >> 32);
}

bool is_stale(std::uint64_t user_data, int fd, std::uint32_t generation)
{
    return fd == -1 || generation_in(user_data) != generation;
}

int flags_of_send()
{
    return MSG_DONTWAIT | MSG_WAITALL;
}

std::size_t take(Received& from, char* into, std::size_t size)
{
    const std::size_t n = std::min(size, from.left);
    std::copy_n(from.data, n, into);
    from.data += n;
    from.left -= n;
    return n;
}

bool receives_again(int res, std::size_t unread, int free_buffers)
{
    return res > 0 ? unread == 0 : res == -ENOBUFS && free_buffers > 0;
}

}  // namespace ngx::exercise
