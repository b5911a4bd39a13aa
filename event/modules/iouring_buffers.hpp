#pragma once

#include <bit>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <sys/mman.h>

#include <liburing.h>

#include "core/core.hpp"
#include "event/modules/iouring_poison.hpp"

namespace ngx {

/// The provided buffers of a ring: memory of which the kernel takes a buffer when data has arrived
/// for a request to receive. A buffer belongs to the kernel until a completion names it, and then
/// to this process until give(). AddressSanitizer finds an access to a buffer of the kernel. Owns
/// the memory. Only the loop's thread uses it.
class IouringBuffers {
public:
    static constexpr unsigned short group = 0;

    IouringBuffers() = default;
    IouringBuffers(const IouringBuffers&) = delete;
    IouringBuffers& operator=(const IouringBuffers&) = delete;
    ~IouringBuffers() { close(); }

    [[nodiscard]] bool is_open() const noexcept { return memory_ != nullptr; }
    [[nodiscard]] std::size_t buffer_size() const noexcept { return size_; }

    /// Gives the kernel `number` buffers of `size` bytes. Returns an errno: EINVAL for a kernel
    /// without provided buffers, which came with Linux 5.19.
    Err open(io_uring& ring, unsigned number, std::size_t size) noexcept
    {
        assert(!is_open() && number > 0 && size > 0);
        const unsigned entries = std::bit_ceil(number);
        const std::size_t ring_bytes = entries * sizeof(io_uring_buf);
        bytes_ = ring_bytes + number * size;
        void* const p =
            ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            return errno;
        }
        (void)::madvise(p, bytes_, MADV_DONTFORK);  // a child never uses it
        io_uring_buf_reg reg{};
        reg.ring_addr = reinterpret_cast<std::uintptr_t>(p);
        reg.ring_entries = entries;
        reg.bgid = group;
        if (const int rc = ::io_uring_register_buf_ring(&ring, &reg, 0); rc != 0) {
            ::munmap(p, bytes_);
            return -rc;
        }
        memory_ = static_cast<char*>(p);
        buffers_ = memory_ + ring_bytes;
        size_ = size;
        mask_ = io_uring_buf_ring_mask(entries);
        for (unsigned i = 0; i < number; i++) {
            give(static_cast<std::uint16_t>(i));
        }
        return 0;
    }

    /// Releases the memory. No request to receive may be outstanding.
    void close() noexcept
    {
        if (is_open()) {
            ASAN_UNPOISON_MEMORY_REGION(memory_, bytes_);
            ::munmap(memory_, bytes_);
            memory_ = nullptr;
        }
    }

    /// Forgets the memory of a ring that was closed while requests were outstanding. It stays
    /// mapped, because the kernel may still write to it.
    void abandon() noexcept { memory_ = nullptr; }

    /// Returns the buffer that a completion has named, with `n` bytes of data.
    const char* take(std::uint16_t id, std::size_t n) noexcept
    {
        assert(is_open() && n <= size_);
        const char* const p = buffers_ + id * size_;
        ASAN_UNPOISON_MEMORY_REGION(p, n);
        return p;
    }

    /// Gives a buffer to the kernel again.
    void give(std::uint16_t id) noexcept
    {
        assert(is_open());
        char* const p = buffers_ + id * size_;
        ASAN_POISON_MEMORY_REGION(p, size_);
        auto* const br = reinterpret_cast<io_uring_buf_ring*>(memory_);
        io_uring_buf_ring_add(br, p, static_cast<unsigned>(size_), id, mask_, 0);
        io_uring_buf_ring_advance(br, 1);
    }

private:
    char* memory_ = nullptr;  // the ring of the buffers, and the buffers
    char* buffers_ = nullptr;
    std::size_t bytes_ = 0;
    std::size_t size_ = 0;  // of a buffer
    int mask_ = 0;
};

}  // namespace ngx
