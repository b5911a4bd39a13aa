#include <algorithm>
#include <cerrno>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "core/buf.hpp"
#include "core/connection.hpp"
#include "event/event.hpp"
#include "os/unix/iovec.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"

namespace ngx {

namespace {

/// Logs an invalid chain, which is an error of the code that made it.
Chain* bad_buf(std::string_view what, const Buf& b, Log* log) noexcept
{
    log_error(log_alert, log, 0, "{} t:{} m:{} f:{} {} {}-{} {}-{}", what, unsigned{b.temporary},
              unsigned{b.memory}, unsigned{b.in_file}, fmt::ptr(b.start), fmt::ptr(b.pos),
              fmt::ptr(b.last), b.file_pos, b.file_last);
    debug_point();
    return chain_error;
}

}  // namespace

Chain* output_chain_to_iovec(IoVec& vec, Chain* in, std::size_t limit, Log* log) noexcept
{
    for (; in && vec.size < limit; in = in->next) {
        const Buf& b = *in->buf;
        if (b.in_file) {
            break;
        }
        if (!buf_in_memory(b)) {
            if (buf_special(b)) {
                continue;
            }
            return bad_buf("bad buf in output chain", b, log);
        }

        const std::size_t size = std::min(buf_size(b), limit - vec.size);
        if (!vec.append(b.pos, size)) {
            break;
        }
    }
    return in;
}

ssize_t writev(Connection& c, IoVec& vec) noexcept
{
    ssize_t n = 0;
    do {
        n = ::writev(c.fd, vec.iovs.data(), static_cast<int>(vec.count));
        log_debug(log_debug_event, c.log, 0, "writev: {} of {}", n, vec.size);
    } while (n == -1 && errno == EINTR);

    if (n >= 0) {
        return n;
    }

    const Err err = errno;
    if (err == EAGAIN) {
        log_debug(log_debug_event, c.log, err, "writev() not ready");
        return io_again;
    }
    c.write->error = 1;
    connection_error(c, err, "writev() failed");
    return io_error;
}

Chain* writev_chain(Connection& c, Chain* in, off_t limit) noexcept
{
    Event& wev = *c.write;
    if (!wev.ready) {
        return in;
    }

    const std::size_t max_limit = std::numeric_limits<ssize_t>::max() - pagesize;
    const std::size_t max =
        limit == 0 ? max_limit : std::min(static_cast<std::size_t>(limit), max_limit);
    std::size_t send = 0;

    for (;;) {
        IoVec vec;
        const Chain* const rest = output_chain_to_iovec(vec, in, max - send, c.log);
        if (rest == chain_error) {
            return chain_error;
        }
        if (rest && rest->buf->in_file) {
            return bad_buf("file buf in writev", *rest->buf, c.log);
        }
        send += vec.size;

        const ssize_t n = writev(c, vec);
        if (n == io_error) {
            return chain_error;
        }

        const std::size_t sent = n == io_again ? 0 : static_cast<std::size_t>(n);
        c.sent += static_cast<off_t>(sent);
        in = chain_update_sent(in, sent);

        if (sent != vec.size) {
            wev.ready = 0;
            return in;
        }
        if (send >= max || !in) {
            return in;
        }
    }
}

}  // namespace ngx
