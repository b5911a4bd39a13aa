#include "os/unix/udp_sendmsg_chain.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <netinet/udp.h>
#include <optional>

#include <fmt/format.h>

#include "core/buf.hpp"
#include "core/connection.hpp"
#include "event/event.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"

namespace ngx {

namespace {

constexpr ssize_t io_declined = static_cast<ssize_t>(Rc::declined);

/// The kernel's limits for one call: UDP_MAX_SEGMENTS datagrams, and the size of an IPv4 packet.
constexpr std::size_t max_segments = 64;
constexpr std::size_t max_segments_size = 65'507;

/// The largest datagram that fits in an Ethernet packet with IPv6.
constexpr std::size_t ethernet_segment = 1500 - 40 - 8;

/// The maximum size of datagrams that are sent several at once: 0 if the kernel accepts none, empty
/// if it is not known yet.
std::optional<std::size_t> max_segment;

struct Datagram {
    Chain* end = nullptr;  // the link after it
    std::size_t size = 0;
    std::size_t parts = 0;
    const Buf* bad = nullptr;  // a buffer that cannot be sent
};

/// Finds the end of the datagram that begins at `in`. Returns declined if the datagram is
/// incomplete.
Rc find_datagram(Chain* in, Datagram& d) noexcept
{
    const char* prev = nullptr;
    for (Chain* cl = in; cl; cl = cl->next) {
        const Buf& b = *cl->buf;
        if (!buf_special(b)) {
            if (!buf_in_memory(b)) {
                d.bad = &b;
                return Rc::error;
            }
            d.parts += b.pos != prev || d.parts == 0;
            d.size += buf_size(b);
            prev = b.last;
        }
        if (b.flush || b.last_buf) {
            d.end = cl->next;
            return Rc::ok;
        }
    }
    return Rc::declined;
}

void append_datagram(IoVec& vec, const Chain* in, const Chain* end) noexcept
{
    for (; in != end; in = in->next) {
        if (!buf_special(*in->buf)) {
            vec.append(in->buf->pos, buf_size(*in->buf));
        }
    }
}

Chain* bad_buf(const Buf& b, Log* log) noexcept
{
    log_error(log_alert, log, 0, "{} t:{} m:{} f:{} {} {}-{}",
              b.in_file ? "file buf in sendmsg" : "bad buf in output chain", unsigned{b.temporary},
              unsigned{b.memory}, unsigned{b.in_file}, fmt::ptr(b.start), fmt::ptr(b.pos),
              fmt::ptr(b.last));
    debug_point();
    return chain_error;
}

/// Skips special buffers; one after a datagram is not an empty datagram.
Chain* skip_special(Chain* in) noexcept
{
    while (in && buf_special(*in->buf)) {
        in = in->next;
    }
    return in;
}

Chain* datagrams_sent(Chain* in, const Chain* end) noexcept
{
    for (; in != end; in = in->next) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
    }
    return skip_special(in);
}

/// Tells whether UDP_SEGMENT works. Only IP sockets split a message into datagrams; another socket
/// ignores the control message and sends one large datagram. A kernel without UDP_SEGMENT behaves
/// the same.
bool has_segments(const Connection& c) noexcept
{
    if (!c.sockaddr || (c.sockaddr->sa_family != AF_INET && c.sockaddr->sa_family != AF_INET6)) {
        return false;
    }
    if (!max_segment) {
        int value = 0;
        socklen_t len = sizeof(value);
        const bool known = ::getsockopt(c.fd, SOL_UDP, UDP_SEGMENT, &value, &len) == 0;
        max_segment = known ? max_segments_size : 0;
        log_debug(log_debug_event, c.log, 0, "udp segments: {:d}", known);
    }
    return *max_segment != 0;
}

/// Appends the datagrams after the first that have its size; the last of them may be shorter.
/// Returns the link after them.
Chain* append_segments(IoVec& vec, Chain* in, std::size_t limit) noexcept
{
    const std::size_t segment = vec.size;
    if (segment == 0 || segment > *max_segment) {
        return in;
    }
    for (std::size_t n = 1; n < max_segments && vec.size < limit; n++) {
        Chain* const next = skip_special(in);
        Datagram d;
        if (find_datagram(next, d) != Rc::ok || d.size == 0 || d.size > segment ||
            d.parts > IoVec::max - vec.count || vec.size + d.size > max_segments_size) {
            break;
        }
        append_datagram(vec, next, d.end);
        in = d.end;
        if (d.size < segment) {
            break;
        }
    }
    return in;
}

bool is_segment_error(Err err) noexcept
{
    return err == EIO || err == EINVAL || err == ENOPROTOOPT || err == EOPNOTSUPP ||
           err == EMSGSIZE;
}

/// Reduces the size of datagrams that are sent several at once. EINVAL may also mean that they are
/// larger than a packet on this route; those that fit in any Ethernet packet may still be sent
/// together.
void segments_refused(const Connection& c, std::size_t segment, Err err) noexcept
{
    const bool too_large = (err == EINVAL || err == EMSGSIZE) && segment > ethernet_segment;
    max_segment = too_large ? ethernet_segment : 0;
    log_error(log_info, c.log, err, "sendmsg() of datagrams of {} bytes at once failed, {}",
              segment, too_large ? "only smaller ones are sent so" : "they are sent singly");
}

/// The control data of one sendmsg().
struct Control {
    static constexpr std::size_t size =
        CMSG_SPACE(sizeof(AddrInfo)) + CMSG_SPACE(sizeof(std::uint16_t));

    alignas(cmsghdr) std::array<char, size> data;
};

void set_segment_cmsg(cmsghdr& cmsg, std::uint16_t segment) noexcept
{
    cmsg.cmsg_level = SOL_UDP;
    cmsg.cmsg_type = UDP_SEGMENT;
    cmsg.cmsg_len = CMSG_LEN(sizeof(segment));
    std::memcpy(CMSG_DATA(&cmsg), &segment, sizeof(segment));
}

void set_control(const Connection& c, msghdr& msg, Control& control, std::uint16_t segment) noexcept
{
    const bool wildcard = c.listening && c.listening->wildcard && c.local_sockaddr;
    if (!wildcard && segment == 0) {
        return;
    }
    control.data.fill(0);
    auto* const first = reinterpret_cast<cmsghdr*>(control.data.data());
    std::size_t len = wildcard ? set_srcaddr_cmsg(*first, c.local_sockaddr) : 0;
    if (segment != 0) {
        set_segment_cmsg(*reinterpret_cast<cmsghdr*>(control.data.data() + len), segment);
        len += CMSG_SPACE(sizeof(segment));
    }
    msg.msg_control = len != 0 ? control.data.data() : nullptr;
    msg.msg_controllen = len;
}

ssize_t try_sendmsg(Connection& c, const msghdr& msg, int flags) noexcept
{
    ssize_t n = 0;
    do {
        n = io.sendmsg(c, msg, flags);
        log_debug(log_debug_event, c.log, 0, "sendmsg: fd:{} {}", c.fd, n);
    } while (n == -1 && errno == EINTR);
    return n;
}

ssize_t sendmsg_failed(Connection& c, Err err) noexcept
{
    if (err == EAGAIN) {
        log_debug(log_debug_event, c.log, err, "sendmsg() not ready");
        return io_again;
    }
    c.write->error = 1;
    connection_error(c, err, "sendmsg() failed");
    return io_error;
}

}  // namespace

Chain* udp_output_chain_to_iovec(IoVec& vec, Chain* in, Log* log) noexcept
{
    Datagram d;
    switch (find_datagram(in, d)) {
    case Rc::ok:
        break;
    case Rc::error:
        return bad_buf(*d.bad, log);
    default:
        return in;
    }
    if (d.parts > IoVec::max) {
        log_error(log_alert, log, 0, "too many parts in a datagram");
        return chain_error;
    }
    append_datagram(vec, in, d.end);
    return d.end;
}

ssize_t sendmsg_vec(Connection& c, IoVec& vec, std::uint16_t segment) noexcept
{
    Control control;
    msghdr msg{};
    if (c.socklen != 0) {
        msg.msg_name = c.sockaddr;
        msg.msg_namelen = c.socklen;
    }
    msg.msg_iov = vec.iovs.data();
    msg.msg_iovlen = vec.count;
    set_control(c, msg, control, segment);
    if (segment == 0) {
        return sendmsg(c, msg, 0);
    }

    const ssize_t n = try_sendmsg(c, msg, 0);
    if (n != -1) {
        return n;
    }
    const Err err = errno;
    if (is_segment_error(err)) {
        segments_refused(c, segment, err);
        return io_declined;
    }
    return sendmsg_failed(c, err);
}

ssize_t sendmsg(Connection& c, const msghdr& msg, int flags) noexcept
{
    const ssize_t n = try_sendmsg(c, msg, flags);
    return n != -1 ? n : sendmsg_failed(c, errno);
}

std::size_t set_srcaddr_cmsg(cmsghdr& cmsg, const sockaddr* local_sockaddr) noexcept
{
    if (local_sockaddr->sa_family == AF_INET) {
        in_pktinfo pkt{};
        pkt.ipi_spec_dst = reinterpret_cast<const sockaddr_in*>(local_sockaddr)->sin_addr;
        cmsg.cmsg_level = IPPROTO_IP;
        cmsg.cmsg_type = IP_PKTINFO;
        cmsg.cmsg_len = CMSG_LEN(sizeof(pkt));
        std::memcpy(CMSG_DATA(&cmsg), &pkt, sizeof(pkt));
        return CMSG_SPACE(sizeof(pkt));
    }
    if (local_sockaddr->sa_family == AF_INET6) {
        in6_pktinfo pkt{};
        pkt.ipi6_addr = reinterpret_cast<const sockaddr_in6*>(local_sockaddr)->sin6_addr;
        cmsg.cmsg_level = IPPROTO_IPV6;
        cmsg.cmsg_type = IPV6_PKTINFO;
        cmsg.cmsg_len = CMSG_LEN(sizeof(pkt));
        std::memcpy(CMSG_DATA(&cmsg), &pkt, sizeof(pkt));
        return CMSG_SPACE(sizeof(pkt));
    }
    return 0;
}

bool get_srcaddr_cmsg(const cmsghdr& cmsg, sockaddr* local_sockaddr) noexcept
{
    const auto is = [&](int level, int type) {
        return cmsg.cmsg_level == level && cmsg.cmsg_type == type;
    };
    const sa_family_t family = local_sockaddr->sa_family;
    if (family == AF_INET && is(IPPROTO_IP, IP_PKTINFO)) {
        in_pktinfo pkt;
        std::memcpy(&pkt, CMSG_DATA(&cmsg), sizeof(pkt));
        reinterpret_cast<sockaddr_in*>(local_sockaddr)->sin_addr = pkt.ipi_addr;
        return true;
    }
    if (family == AF_INET6 && is(IPPROTO_IPV6, IPV6_PKTINFO)) {
        in6_pktinfo pkt;
        std::memcpy(&pkt, CMSG_DATA(&cmsg), sizeof(pkt));
        reinterpret_cast<sockaddr_in6*>(local_sockaddr)->sin6_addr = pkt.ipi6_addr;
        return true;
    }
    return false;
}

void udp_reset_segments() noexcept
{
    max_segment.reset();
}

/// Differs from nginx: datagrams of one size are passed to the kernel in one call, and it splits
/// them (UDP_SEGMENT); nginx makes one call for each.
Chain* udp_unix_sendmsg_chain(Connection& c, Chain* in, off_t limit) noexcept
{
    Event& wev = *c.write;
    if (!wev.ready) {
        return in;
    }

    const std::size_t max =
        limit == 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(limit);
    std::size_t send = 0;

    for (;;) {
        IoVec vec;
        Chain* end = udp_output_chain_to_iovec(vec, in, c.log);
        if (end == chain_error || end == in) {
            return end;
        }

        const std::size_t segment = vec.size;
        if (end && has_segments(c)) {
            end = append_segments(vec, end, max - send);
        }
        const bool several = vec.size > segment;
        const ssize_t n = sendmsg_vec(c, vec, static_cast<std::uint16_t>(several ? segment : 0));

        if (n == io_declined) {
            continue;
        }
        if (n == io_error) {
            return chain_error;
        }
        if (n == io_again) {
            wev.ready = 0;
            return in;
        }
        c.sent += n;
        send += static_cast<std::size_t>(n);
        in = datagrams_sent(in, end);
        if (send >= max || !in) {
            return in;
        }
    }
}

}  // namespace ngx
