#pragma once

#include <array>
#include <cstddef>
#include <sys/uio.h>

#include "core/core.hpp"

namespace ngx {

/// What one readv() or writev() takes. Pieces that lie side by side in memory become one.
///
/// nginx: ngx_iovec_t
struct IoVec {
    /// nginx: NGX_IOVS_PREALLOCATE
    static constexpr std::size_t max = 64;

    std::array<iovec, max> iovs;
    std::size_t count = 0;
    std::size_t size = 0;

    IoVec() noexcept = default;  // `IoVec vec;` leaves a kilobyte as it is; {} would clear it

    /// False when there is no room for the piece.
    bool append(char* base, std::size_t len) noexcept
    {
        if (count > 0) {
            iovec& prev = iovs[count - 1];
            if (static_cast<char*>(prev.iov_base) + prev.iov_len == base) {
                prev.iov_len += len;
                size += len;
                return true;
            }
        }
        if (count == max) {
            return false;
        }
        iovs[count++] = {.iov_base = base, .iov_len = len};
        size += len;
        return true;
    }
};

/// Collects what a chain has in memory before the first piece of a file, up to `limit` bytes.
/// Returns the link behind the last that was taken, be it only in part because of the limit; null
/// at the chain's end; or chain_error when a buffer is of no kind.
///
/// nginx: ngx_output_chain_to_iovec()
Chain* output_chain_to_iovec(IoVec& vec, Chain* in, std::size_t limit, Log* log) noexcept;

/// Writes once: the number of bytes, io_again, or io_error after a log line.
///
/// nginx: ngx_writev()
ssize_t writev(Connection& c, IoVec& vec) noexcept;

}  // namespace ngx
