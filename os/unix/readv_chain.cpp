#include <array>
#include <cerrno>
#include <sys/uio.h>

#include "core/buf.hpp"
#include "core/connection.hpp"
#include "event/event.hpp"
#include "os/unix/iovec.hpp"
#include "os/unix/os.hpp"
#include "os/unix/recv_ready.hpp"

namespace ngx {

namespace {

/// Collects the free space of the buffers, up to `limit` bytes (0: no limit).
void chain_to_iovec(IoVec& vec, const Chain* chain, std::size_t limit) noexcept
{
    for (; chain && (limit == 0 || vec.size < limit); chain = chain->next) {
        const Buf& b = *chain->buf;
        auto size = static_cast<std::size_t>(b.end - b.last);
        if (limit != 0) {
            size = std::min(size, limit - vec.size);
        }
        if (!vec.append(b.last, size)) {
            break;
        }
    }
}

}  // namespace

ssize_t readv_chain(Connection& c, Chain* in, off_t limit) noexcept
{
    if (!recv_may_have_data(*c.read)) {
        return io_again;
    }

    IoVec vec;
    chain_to_iovec(vec, in, static_cast<std::size_t>(limit));
    log_debug(log_debug_event, c.log, 0, "readv: {}, size:{}", vec.count, vec.size);

    ssize_t n = 0;
    do {
        n = ::readv(c.fd, vec.iovs.data(), static_cast<int>(vec.count));
    } while (n == -1 && errno == EINTR);

    return n >= 0 ? recv_got(c, n, vec.size) : recv_failed(c, errno, "readv() failed");
}

}  // namespace ngx
