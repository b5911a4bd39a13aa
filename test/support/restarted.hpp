#pragma once

#include <cerrno>

namespace ngx::test {

/// Makes a call until it is not interrupted, and returns its result. The kernel interrupts a thread
/// when it releases a ring of io_uring, without a signal, and does not restart a call on a socket
/// that has a timeout.
template <typename Call>
long restarted(Call call)
{
    long result = -1;
    do {
        result = call();
    } while (result == -1 && errno == EINTR);
    return result;
}

}  // namespace ngx::test
