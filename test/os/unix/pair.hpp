#pragma once

/// \file
/// A connection on one end of a socket pair, and its peer on the other end.

#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include "core/buf.hpp"
#include "core/connection.hpp"
#include "event/event.hpp"
#include "os/unix/os.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

/// The properties of the poller. level: the poller reports again. greedy: handlers read until
/// EAGAIN. rdhup: the poller reports the end of the data.
enum class Mode { level, greedy, rdhup };

/// A connection without a cycle. Its events are in the state after a report of readiness without a
/// number of bytes. Its socket does not block, the peer's does.
struct Pair {
    explicit Pair(Mode mode = Mode::level)
    {
        const unsigned epoll = use_clear_event | use_greedy_event | use_epoll_event;
        event_flags = mode == Mode::level ? use_level_event : epoll;
        use_epoll_rdhup = mode == Mode::rdhup;

        int fds[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1 ||
            nonblocking(fds[0]) == -1) {
            throw std::runtime_error("socketpair() failed");
        }
        own = Fd(fds[0]);
        peer = Fd(fds[1]);
        c.fd = own.get();
        c.log = &log.log;
        c.read = &rev;
        c.write = &wev;
        for (Event* ev : {&rev, &wev}) {
            ev->data = &c;
            ev->log = &log.log;
            ev->ready = 1;
        }
        rev.available = -1;
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair()
    {
        event_flags = 0;
        use_epoll_rdhup = false;
    }

    /// Makes the send buffer as small as the kernel allows.
    void shrink() const
    {
        const int size = 1;
        ::setsockopt(own.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }

    void peer_sends(std::string_view text) const
    {
        if (::send(peer.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
            throw std::runtime_error("send() failed");
        }
    }

    /// Returns all data that has arrived at the peer.
    [[nodiscard]] std::string peer_receives() const
    {
        std::string text;
        char buf[4096];
        for (ssize_t n = 0; (n = ::recv(peer.get(), buf, sizeof(buf), MSG_DONTWAIT)) > 0;) {
            text.append(buf, static_cast<std::size_t>(n));
        }
        return text;
    }

    TestLog log;
    Fd own;
    Fd peer;
    Connection c;
    Event rev;
    Event wev;
};

/// A chain of pieces that are not adjacent in memory.
class Pieces {
public:
    explicit Pieces(const std::vector<std::string>& texts) : texts_(texts)
    {
        for (std::string& text : texts_) {
            add(text.data(), text.data() + text.size());
        }
    }
    Pieces() = default;

    /// Appends a full piece of memory, to be sent.
    Buf& add(char* begin, char* end)
    {
        Buf& b = bufs_.emplace_back();
        b.start = b.pos = begin;
        b.last = b.end = end;
        b.memory = 1;
        Chain* const last = links_.empty() ? nullptr : &links_.back();
        links_.push_back({.buf = &b, .next = nullptr});
        if (last) {
            last->next = &links_.back();
        }
        return b;
    }

    /// Appends an empty piece of memory, to be filled by a read.
    Buf& add_free(char* begin, char* end)
    {
        Buf& b = add(begin, end);
        b.last = begin;
        b.memory = 0;
        b.temporary = 1;
        return b;
    }

    /// Appends a special buffer without memory.
    void add_flush()
    {
        Buf& b = add(nullptr, nullptr);
        b.memory = 0;
        b.flush = 1;
    }

    Chain* chain() { return links_.empty() ? nullptr : &links_.front(); }
    Chain* link(std::size_t i) { return &links_.at(i); }
    Buf& operator[](std::size_t i) { return bufs_.at(i); }

private:
    std::vector<std::string> texts_;
    std::deque<Buf> bufs_;
    std::deque<Chain> links_;
};

}  // namespace ngx::test
