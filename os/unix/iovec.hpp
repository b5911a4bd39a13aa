#pragma once

#include <array>
#include <cstddef>
#include <sys/uio.h>

#include "core/core.hpp"

namespace ngx {

/// The arguments of one readv() or writev(). Adjacent pieces of memory are merged. It does not own
/// the memory.
///
/// nginx: ngx_iovec_t
struct IoVec {
    /// nginx: NGX_IOVS_PREALLOCATE
    static constexpr std::size_t max = 64;

    std::array<iovec, max> iovs;
    std::size_t count = 0;
    std::size_t size = 0;

    IoVec() noexcept = default;  // `IoVec vec;` leaves 1 KB uninitialised; {} would clear it

    /// Adds a piece. Returns false if there is no space for it.
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

/// Collects the parts of a chain that are in memory, up to the first part of a file, or up to
/// `limit` bytes. Returns the link after the last one that was used, also if the limit has cut that
/// one; null at the chain's end; or chain_error after logging if a buffer has no kind.
///
/// nginx: ngx_output_chain_to_iovec()
Chain* output_chain_to_iovec(IoVec& vec, Chain* in, std::size_t limit, Log* log) noexcept;

/// Writes once. Returns the number of bytes, io_again, or io_error after logging.
///
/// nginx: ngx_writev()
ssize_t writev(Connection& c, IoVec& vec) noexcept;

}  // namespace ngx
