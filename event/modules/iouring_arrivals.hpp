#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "core/inet.hpp"
#include "event/event.hpp"
#include "event/modules/iouring_poison.hpp"
#include "os/unix/udp_sendmsg_chain.hpp"

namespace ngx {

/// A request for a connection or a datagram of a listener, and its result. The kernel writes the
/// address, and for a datagram the message and its control data.
struct IouringArrival {
    SockaddrUnion sa{};
    socklen_t len = 0;  // of the address of a connection
    msghdr msg{};       // of a datagram
    iovec iov{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(AddrInfo))> control{};
    int res = 0;             // the descriptor or the length, or a negative errno
    bool armed = false;      // the kernel has the request, or its completion was not removed
    bool cancelled = false;  // the kernel has been asked to end the request
    bool known = false;      // the result was read; its completion may not be removed yet
    bool stored = false;     // the result waits for take()
};

/// The requests of one listener, and their results in the order of arrival. Owns the memory of the
/// datagrams. While the kernel has a request, AddressSanitizer finds an access to its address and
/// its data. Only the loop's thread uses it.
class IouringArrivals {
public:
    /// So many can arrive in one turn. More of them save few system calls, and would be lost with a
    /// worker that is killed.
    static constexpr std::size_t number = 8;

    static constexpr std::size_t max_datagram = 65'535;

    /// Requests for datagrams, or else for connections. Throws std::bad_alloc.
    IouringArrivals(Event& ev, bool datagrams)
        : ev_(&ev)
        , data_(datagrams ? new char[number * max_datagram] : nullptr)
    {}
    IouringArrivals(const IouringArrivals&) = delete;
    IouringArrivals& operator=(const IouringArrivals&) = delete;
    ~IouringArrivals()
    {
        for (std::size_t i = 0; i < number; i++) {
            take_back(i);
        }
    }

    /// The read event of the listener; null: it is not watched any more.
    [[nodiscard]] Event* event() const noexcept { return ev_; }
    void detach() noexcept { ev_ = nullptr; }

    [[nodiscard]] bool has_datagrams() const noexcept { return data_ != nullptr; }
    [[nodiscard]] std::size_t armed() const noexcept { return armed_; }
    [[nodiscard]] bool has_result() const noexcept { return stored_ != 0; }

    IouringArrival& operator[](std::size_t i) noexcept
    {
        assert(i < number);
        return arrivals_[i];
    }

    [[nodiscard]] bool is_free(std::size_t i) const noexcept
    {
        return !arrivals_[i].armed && !arrivals_[i].stored;
    }

    /// Whether the kernel has a request whose result is not known.
    [[nodiscard]] bool is_waiting(std::size_t i) const noexcept
    {
        return arrivals_[i].armed && !arrivals_[i].known;
    }
    [[nodiscard]] bool is_waiting() const noexcept
    {
        return std::ranges::any_of(
            arrivals_, [](const IouringArrival& one) { return one.armed && !one.known; });
    }

    /// The kernel writes the address and the data from now on.
    void arm(std::size_t i) noexcept
    {
        assert(is_free(i));
        IouringArrival& one = arrivals_[i];
        one.len = sizeof(one.sa);
        one.armed = true;
        one.cancelled = false;
        one.known = false;
        armed_++;
        ASAN_POISON_MEMORY_REGION(&one.sa, sizeof(one.sa));
        if (!has_datagrams()) {
            return;
        }
        one.iov = {.iov_base = data_.get() + i * max_datagram, .iov_len = max_datagram};
        one.msg = {};
        one.msg.msg_name = &one.sa;
        one.msg.msg_namelen = sizeof(one.sa);
        one.msg.msg_iov = &one.iov;
        one.msg.msg_iovlen = 1;
        one.msg.msg_control = one.control.data();
        one.msg.msg_controllen = one.control.size();
        ASAN_POISON_MEMORY_REGION(one.iov.iov_base, max_datagram);
    }

    /// The completion of the request was removed.
    void disarm(std::size_t i) noexcept
    {
        assert(arrivals_[i].armed);
        arrivals_[i].armed = false;
        armed_--;
    }

    /// The kernel has ended the request, and does not use its memory any more.
    void end(std::size_t i) noexcept
    {
        assert(is_waiting(i));
        arrivals_[i].known = true;
        take_back(i);
    }

    /// Keeps the result of a request that has ended for take().
    void store(std::size_t i, int res) noexcept
    {
        assert(arrivals_[i].known && !arrivals_[i].stored && stored_ < number);
        arrivals_[i].res = res;
        arrivals_[i].stored = true;
        order_[stored_++] = static_cast<std::uint8_t>(i);
    }

    /// Returns the first result, which stays valid until the request is made again.
    const IouringArrival& take() noexcept
    {
        assert(has_result());
        IouringArrival& one = arrivals_[order_[0]];
        std::copy(order_.begin() + 1, order_.end(), order_.begin());
        stored_--;
        one.stored = false;
        return one;
    }

    /// Adds those of a ring that was closed to a list, which keeps their memory: the kernel may
    /// still write to it.
    static void lose(std::unique_ptr<IouringArrivals> arrivals,
                     std::unique_ptr<IouringArrivals>& list) noexcept
    {
        arrivals->next_ = std::move(list);
        list = std::move(arrivals);
    }

private:
    void take_back(std::size_t i) noexcept
    {
        ASAN_UNPOISON_MEMORY_REGION(&arrivals_[i].sa, sizeof(arrivals_[i].sa));
        if (has_datagrams()) {
            ASAN_UNPOISON_MEMORY_REGION(data_.get() + i * max_datagram, max_datagram);
        }
    }

    Event* ev_;
    std::unique_ptr<IouringArrivals> next_{};  // in the list of lost ones
    std::unique_ptr<char[]> data_;  // of the datagrams; null: the requests are for connections
    std::size_t armed_ = 0;
    std::array<IouringArrival, number> arrivals_{};
    std::array<std::uint8_t, number> order_{};  // of the stored results
    std::size_t stored_ = 0;
};

static_assert(sizeof(IouringArrivals) <= 2304, "docs/iouring.md names its size");

}  // namespace ngx
