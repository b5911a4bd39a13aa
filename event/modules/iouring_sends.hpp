#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <sys/socket.h>
#include <vector>

#include "core/inet.hpp"
#include "event/modules/iouring_poison.hpp"
#include "os/unix/udp_sendmsg_chain.hpp"

namespace ngx {

/// The state of a send, in the order of its life.
enum class SendState : std::uint8_t {
    free,
    queued,     // its request is not made yet: data can be appended
    pushed,     // its request is in the submission queue
    failed,     // a completion, not handled yet, tells that not all was sent
    waiting,    // the socket is full
    lingering,  // the connection is closed: the kernel sends the rest and closes the descriptor
};

/// Data that io.send has taken and the kernel has not sent yet. It lies in the buffer with the same
/// index.
struct IouringSend {
    Event* ev = nullptr;  // the write event; null: the connection is closed
    int fd = invalid_socket;
    std::uint32_t begin = 0;  // of the data in the buffer
    std::uint32_t end = 0;
    SendState state = SendState::free;
    bool closes = false;  // the descriptor is closed when all is sent
    bool linked = false;  // by a request that follows the one that sends
    bool datagram = false;
};

/// The message of a datagram to send.
struct IouringMessage {
    msghdr msg;
    iovec iov;
    SockaddrUnion sa;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(AddrInfo))> control;

    [[nodiscard]] SockaddrText peer() const noexcept { return {&sa.any, msg.msg_namelen, true}; }
};

/// The buffers of the data to send. A buffer belongs to one send from get() to put(); while its
/// request is in the submission queue, AddressSanitizer finds an access to it. Owns the memory.
/// Only the loop's thread uses it.
class IouringSends {
public:
    using Id = std::uint16_t;
    static constexpr Id none = 0xffff;

    [[nodiscard]] bool is_open() const noexcept { return memory_ != nullptr; }
    [[nodiscard]] std::size_t buffer_size() const noexcept { return size_; }
    [[nodiscard]] std::size_t number() const noexcept { return sends_.size(); }

    /// Allocates `number` buffers of `size` bytes.
    void open(std::size_t number, std::size_t size)
    {
        assert(!is_open() && number > 0 && number < none && size > 0);
        sends_.resize(number);
        free_.reserve(number);
        for (std::size_t id = number; id > 0; id--) {
            free_.push_back(static_cast<Id>(id - 1));
        }
        size_ = size;
        memory_.reset(new char[number * size]);
    }

    /// Releases the memory, except if the kernel still sends from it.
    void close() noexcept
    {
        for (const IouringSend& send : sends_) {
            if (send.state == SendState::lingering) {
                (void)memory_.release();
                (void)messages_.release();
                break;
            }
        }
        if (memory_) {
            ASAN_UNPOISON_MEMORY_REGION(memory_.get(), sends_.size() * size_);
        }
        memory_.reset();
        messages_.reset();
        sends_.clear();
        free_.clear();
    }

    IouringSend& operator[](Id id) noexcept
    {
        assert(id < sends_.size());
        return sends_[id];
    }

    /// Returns the first byte to send.
    char* data(Id id) noexcept { return memory_.get() + id * size_ + (*this)[id].begin; }

    /// Returns a free buffer; none if all are in use.
    Id get() noexcept
    {
        if (free_.empty()) {
            return none;
        }
        const Id id = free_.back();
        free_.pop_back();
        sends_[id] = {};
        return id;
    }

    void put(Id id) noexcept
    {
        assert((*this)[id].state != SendState::free);
        sends_[id] = {};
        free_.push_back(id);
    }

    /// Returns the space for `n` more bytes; null if they do not fit.
    char* append(Id id, std::size_t n) noexcept
    {
        IouringSend& send = (*this)[id];
        assert(send.state == SendState::queued);
        if (size_ - send.end < n) {
            return nullptr;
        }
        char* const room = memory_.get() + id * size_ + send.end;
        send.end += static_cast<std::uint32_t>(n);
        return room;
    }

    /// Allocates the messages of datagrams, if they do not exist. Returns false without memory.
    bool open_messages() noexcept
    {
        if (!messages_) {
            messages_.reset(new (std::nothrow) IouringMessage[sends_.size()]);
        }
        return messages_ != nullptr;
    }

    IouringMessage& message(Id id) noexcept
    {
        assert(messages_ && (*this)[id].datagram);
        return messages_[id];
    }

    /// Makes the message of a datagram whose data is in the buffer: to the address of `msg`, with
    /// its control data.
    void address(Id id, const msghdr& msg) noexcept
    {
        IouringMessage& to = message(id);
        assert(msg.msg_namelen <= sizeof(to.sa) && msg.msg_controllen <= to.control.size());
        to.iov = {.iov_base = data(id), .iov_len = (*this)[id].end};
        to.msg = {};
        to.msg.msg_iov = &to.iov;
        to.msg.msg_iovlen = 1;
        to.msg.msg_namelen = msg.msg_namelen;
        if (msg.msg_namelen != 0) {
            std::memcpy(&to.sa, msg.msg_name, msg.msg_namelen);
            to.msg.msg_name = &to.sa;
        }
        to.msg.msg_controllen = msg.msg_controllen;
        if (msg.msg_controllen != 0) {
            std::memcpy(to.control.data(), msg.msg_control, msg.msg_controllen);
            to.msg.msg_control = to.control.data();
        }
    }

    /// The kernel reads the buffer from now on.
    void lend(Id id) noexcept { ASAN_POISON_MEMORY_REGION(memory_.get() + id * size_, size_); }

    /// The kernel does not use the buffer any more.
    void take_back(Id id) noexcept
    {
        ASAN_UNPOISON_MEMORY_REGION(memory_.get() + id * size_, size_);
    }

private:
    std::unique_ptr<char[]> memory_{};
    std::size_t size_ = 0;  // of a buffer
    std::unique_ptr<IouringMessage[]> messages_{};
    std::vector<IouringSend> sends_{};
    std::vector<Id> free_{};
};

}  // namespace ngx
