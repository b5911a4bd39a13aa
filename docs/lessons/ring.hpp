#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/ioctl.h>
#include <vector>

#include <liburing.h>

#include "docs/lessons/lesson.hpp"
#include "event/modules/iouring_buffers.hpp"

/// \file
/// A ring for lesson 15, the requests that its program makes, and a receiver.
namespace ngx::lesson {

/// A ring with provided buffers of 64 bytes, for which the module iouring has the same class.
class Ring {
public:
    explicit Ring(unsigned number = 2)
    {
        int rc = ::io_uring_queue_init(16, &ring_, 0);
        rc = rc == 0 ? -buffers.open(ring_, number, 64) : rc;
        rc = rc == 0 ? ::io_uring_get_events(&ring_) : rc;
        if (rc < 0) {
            const std::string why =
                "the kernel refuses io_uring: " + std::string(std::strerror(-rc)) +
                ". This lesson needs Linux 5.19 or later, 0 in the sysctl "
                "kernel.io_uring_disabled, and no filter of system calls that forbids io_uring";
            skip(why.c_str());
        }
    }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    ~Ring() { ::io_uring_queue_exit(&ring_); }

    /// Queues a request, which is in memory only.
    io_uring_sqe& queue() { return *::io_uring_get_sqe(&ring_); }
    [[nodiscard]] unsigned queued() const { return ::io_uring_sq_ready(&ring_); }
    [[nodiscard]] int calls() const { return calls_; }

    /// Makes the system call that hands over all queued requests. Returns the completions.
    std::vector<io_uring_cqe> enter()
    {
        calls_++;
        const int rc = ::io_uring_submit_and_get_events(&ring_);
        errno = -std::min(rc, 0);
        checked(rc, "io_uring_enter");
        std::vector<io_uring_cqe> completions;
        io_uring_cqe* cqe = nullptr;
        while (::io_uring_peek_cqe(&ring_, &cqe) == 0) {
            completions.push_back(*cqe);
            ::io_uring_cqe_seen(&ring_, cqe);
        }
        return completions;
    }

    IouringBuffers buffers{};

private:
    io_uring ring_{};
    int calls_ = 0;
};

/// A use of a slot in the table of connections. Its user data has the slot in the lower half, and
/// in the upper half the generation, which grows with each use of the slot.
struct Use {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    int fd = -1;

    [[nodiscard]] std::uint64_t user_data() const { return std::uint64_t{generation} << 32 | slot; }
};

/// Queues a receive into a provided buffer.
inline void queue_receive(Ring& ring, const Use& use)
{
    io_uring_sqe& sqe = ring.queue();
    ::io_uring_prep_recv(&sqe, use.fd, nullptr, 0, 0);
    sqe.flags |= IOSQE_BUFFER_SELECT;
    sqe.buf_group = IouringBuffers::group;
    sqe.user_data = use.user_data();
}

/// Queues the cancellation of another request. It has no completion itself.
inline void queue_cancel(Ring& ring, std::uint64_t user_data)
{
    io_uring_sqe& sqe = ring.queue();
    ::io_uring_prep_cancel64(&sqe, user_data, 0);
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
}

constexpr std::uint64_t send_data = 1;  // the user data of queue_send_and_close()
constexpr std::uint64_t close_data = 2;

/// Queues a send, and a close that follows if all was sent. Success has no completion.
inline void queue_send_and_close(Ring& ring, int fd, const std::string& text, int flags)
{
    io_uring_sqe& send = ring.queue();
    ::io_uring_prep_send(&send, fd, text.data(), text.size(), flags);
    send.flags |= IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK;
    send.user_data = send_data;

    io_uring_sqe& close = ring.queue();
    ::io_uring_prep_close(&close, fd);
    close.flags |= IOSQE_CQE_SKIP_SUCCESS;
    close.user_data = close_data;
}

inline std::uint16_t buffer_of(const io_uring_cqe& completion)
{
    return static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
}

inline std::string text_of(const io_uring_cqe& completion)
{
    switch (completion.res) {
    case -ECANCELED:
        return "cancelled";
    case -ENOBUFS:
        return "ENOBUFS";
    default:
        return std::to_string(completion.res) + " bytes";
    }
}

/// Returns the number of bytes that recv() would find.
inline int in_socket(int fd)
{
    int n = 0;
    checked(::ioctl(fd, FIONREAD, &n), "FIONREAD");
    return n;
}

inline bool is_open(int fd)
{
    return ::fcntl(fd, F_GETFD) != -1;
}

/// Makes completed receives look like a socket with edge-triggered reports.
class Receiver {
public:
    Receiver(Ring& ring, const Use& use) : ring_(ring), use_(use) { queue_receive(ring_, use_); }

    [[nodiscard]] bool ready() const { return ready_; }
    [[nodiscard]] std::size_t left() const { return left_; }

    /// Stores what a receive has got; the handler runs next.
    void store(const io_uring_cqe& completion)
    {
        ready_ = true;
        left_ = static_cast<std::size_t>(std::max(completion.res, 0));
        if (left_ != 0) {
            buffer_ = buffer_of(completion);
            data_ = ring_.buffers.take(buffer_, left_);
        }
    }

    /// Copies from the buffer. With its last byte it goes back, and the next receive is queued.
    int recv(char* into, std::size_t size)
    {
        const std::size_t n = std::min(size, left_);
        if (n != 0) {
            std::memcpy(into, data_, n);
            data_ += n;
            left_ -= n;
            if (left_ == 0) {
                ring_.buffers.give(buffer_);
                queue_receive(ring_, use_);
            }
        }
        ready_ = left_ != 0;
        return static_cast<int>(n);
    }

private:
    Ring& ring_;
    Use use_;
    bool ready_ = false;
    const char* data_ = nullptr;  // in the buffer
    std::size_t left_ = 0;
    std::uint16_t buffer_ = 0;
};

}  // namespace ngx::lesson
