#pragma once

/// \file
/// A connection on a datagram socket, and its peer's socket.

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include "core/connection.hpp"
#include "core/inet.hpp"
#include "event/event.hpp"
#include "os/unix/os.hpp"
#include "os/unix/udp_sendmsg_chain.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

/// Returns a loopback address; the kernel chooses the port.
inline Addr loopback(std::string_view text = "127.0.0.1")
{
    Addr addr;
    if (parse_addr(addr, text) != Rc::ok) {
        throw std::invalid_argument("no address");
    }
    return addr;
}

/// Opens a datagram socket at an address, and writes the port to the address.
inline Fd datagram_socket(Addr& addr)
{
    Fd fd(::socket(addr.sockaddr.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::bind(fd.get(), &addr.sockaddr.any, addr.socklen) == -1 ||
        ::getsockname(fd.get(), &addr.sockaddr.any, &addr.socklen) == -1) {
        throw std::runtime_error("no datagram socket");
    }
    return fd;
}

/// A connection without a cycle, on a loopback socket; its `sockaddr` is the peer's address. On the
/// loopback interface a datagram arrives as soon as it is sent.
struct UdpPair {
    explicit UdpPair(std::string_view address = "127.0.0.1")
        : own_addr(loopback(address))
        , peer_addr(loopback(address))
        , own(datagram_socket(own_addr))
        , peer(datagram_socket(peer_addr))
    {
        udp_reset_segments();
        c.fd = own.get();
        c.type = SOCK_DGRAM;
        c.sockaddr = &peer_addr.sockaddr.any;
        c.socklen = peer_addr.socklen;
        c.addr_text = address;
        c.log = &log.log;
        c.read = &rev;
        c.write = &wev;
        for (Event* ev : {&rev, &wev}) {
            ev->data = &c;
            ev->log = &log.log;
            ev->ready = 1;
        }
    }
    UdpPair(const UdpPair&) = delete;
    UdpPair& operator=(const UdpPair&) = delete;
    ~UdpPair() { udp_reset_segments(); }

    void peer_sends(std::string_view text) const
    {
        if (::sendto(peer.get(), text.data(), text.size(), 0, &own_addr.sockaddr.any,
                     own_addr.socklen) != static_cast<ssize_t>(text.size())) {
            throw std::runtime_error("sendto() failed");
        }
    }

    /// Returns the datagrams that have arrived at the peer.
    [[nodiscard]] std::vector<std::string> peer_receives() const
    {
        std::vector<std::string> texts;
        std::string buf(65'536, '\0');
        for (ssize_t n = 0; (n = ::recv(peer.get(), buf.data(), buf.size(), 0)) != -1;) {
            texts.emplace_back(buf, 0, static_cast<std::size_t>(n));
        }
        return texts;
    }

    TestLog log;
    Addr own_addr;
    Addr peer_addr;
    Fd own;
    Fd peer;
    Connection c;
    Event rev;
    Event wev;
};

}  // namespace ngx::test
