#include "docs/lessons/exercises.hpp"

#include <sys/socket.h>

namespace ngx::exercise {

/// 1. The user data of a request is made of a slot of the table of connections (the lower 32 bits)
/// and the generation of its use (the upper 32 bits). Return each of the two.
std::uint32_t slot_in(std::uint64_t user_data)
{
    return static_cast<std::uint32_t>(user_data % 1000);
}

std::uint32_t generation_in(std::uint64_t user_data)
{
    return (user_data >> 32) % 2;
}

/// 2. Returns whether a completion with this user data belongs to an earlier use of its slot, which
/// has this descriptor (-1: the slot is not in use) and this generation now. A slot that is closed
/// keeps its generation until it is used again.
bool is_stale([[maybe_unused]] std::uint64_t user_data, int fd,
              [[maybe_unused]] std::uint32_t generation)
{
    return fd == -1;
}

/// 3. Returns the flags of a send, the last argument of io_uring_prep_send(). The send must end in
/// the call that submits it, also if the socket is full. If it has not sent all it must count as
/// failed, so that it has a completion and the close behind it is cancelled.
int flags_of_send()
{
    return 0;
}

/// 4. Copies up to `size` bytes of what was received, and returns their number. Afterwards `from`
/// has the bytes that were not read. This one does not remember what it has copied: correct it.
std::size_t take(Received& from, char* into, std::size_t size)
{
    std::size_t n = 0;
    for (; n < size && n < from.left; n++) {
        into[n] = from.data[n];
    }
    return n;
}

/// 5. Returns whether the loop submits the next receive of a connection. The result of the last one
/// was `res`: a number of bytes, of which `unread` are not read yet; 0 for the end of the data;
/// -ENOBUFS if there was no buffer; -ECANCELED if the connection is closed. `free_buffers` is the
/// number of buffers that the kernel has now. A receive that can only fail is not submitted.
bool receives_again([[maybe_unused]] int res, [[maybe_unused]] std::size_t unread,
                    [[maybe_unused]] int free_buffers)
{
    return true;
}

}  // namespace ngx::exercise
