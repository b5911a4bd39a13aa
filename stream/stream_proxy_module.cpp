#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <limits>
#include <new>

#include "core/conf_slot.hpp"
#include "core/cycle.hpp"
#include "core/palloc.hpp"
#include "core/proxy_protocol.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_connect.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "event/event_udp.hpp"
#include "os/unix/os.hpp"
#include "stream/stream_script.hpp"
#include "stream/stream_upstream.hpp"
#include "stream/stream_upstream_round_robin.hpp"

namespace ngx {

extern Module stream_proxy_module;

namespace {

constexpr std::int64_t unlimited = std::numeric_limits<std::int32_t>::max();

/// Allocates the sessions' buffers and reuses released ones of the configured size. A session has a
/// buffer only while there is data in it, so that a few buffers serve all sessions. The
/// configuration owns the object; only the loop's thread uses it.
///
/// Differs from nginx: in nginx each session has two buffers from its start to its end.
class Buffers {
public:
    Buffers() = default;
    Buffers(const Buffers&) = delete;
    Buffers& operator=(const Buffers&) = delete;

    ~Buffers()
    {
        while (free_) {
            ::operator delete(std::exchange(free_, free_->next));
        }
    }

    /// Allocates memory for `b`, which is empty after the call: at least `size` bytes, and one more
    /// behind `end`, by which a datagram that is too large is recognized.
    void allocate(Buf& b, std::size_t size)
    {
        assert(!b.start && size != 0);
        if (size == block_size_ && free_) {
            assert(free_n_ > 0);
            b.start = reinterpret_cast<char*>(std::exchange(free_, free_->next));
            free_n_--;
        } else {
            b.start = static_cast<char*>(::operator new(std::max(size + 1, sizeof(Free))));
        }
        b.pos = b.start;
        b.last = b.start;
        b.end = b.start + size;
    }

    void release(Buf& b) noexcept
    {
        const auto size = static_cast<std::size_t>(b.end - b.start);
        if (!have_asan && size == block_size_ && free_n_ < max_free) {
            free_ = ::new (b.start) Free{free_};
            free_n_++;
        } else {
            ::operator delete(b.start);
        }
        b.start = nullptr;
        b.pos = nullptr;
        b.last = nullptr;
        b.end = nullptr;
    }

    /// Sets the size of the buffers that are reused.
    void set_size(std::size_t size) noexcept { block_size_ = size; }

private:
    struct Free {
        Free* next;
    };

    static constexpr std::size_t max_free = 64;

    Free* free_ = nullptr;
    std::size_t free_n_ = 0;
    std::size_t block_size_ = 0;
};

enum class ProxyProtocolVersion { off, v1, v2 };

constexpr ConfEnum<ProxyProtocolVersion> proxy_protocols[] = {
    {"off", ProxyProtocolVersion::off},
    {"on", ProxyProtocolVersion::v1},
    {"v2", ProxyProtocolVersion::v2},
};

/// The local address for connections to upstreams, of proxy_bind.
///
/// nginx: ngx_stream_upstream_local_t
struct StreamUpstreamLocal {
    Addr addr{};
    StreamComplexValue value{};  // the text of the address if it has variables
    bool transparent = false;
};

/// nginx: ngx_stream_proxy_srv_conf_t
struct StreamProxySrvConf {
    static constexpr Module* module = &stream_proxy_module;

    std::optional<Msec> connect_timeout{};
    std::optional<Msec> timeout{};
    std::optional<Msec> next_upstream_timeout{};
    std::optional<std::size_t> buffer_size{};
    std::optional<StreamComplexSize> upload_rate{};
    std::optional<StreamComplexSize> download_rate{};
    std::optional<std::int64_t> requests{};
    std::optional<std::int64_t> responses{};
    std::optional<std::int64_t> next_upstream_tries{};
    std::optional<bool> next_upstream{};
    std::optional<ProxyProtocolVersion> proxy_protocol{};
    std::optional<bool> half_close{};
    std::optional<StreamUpstreamLocal*> local{};
    std::optional<bool> socket_keepalive{};
    std::optional<std::size_t> socket_rcvbuf{};
    std::optional<std::size_t> socket_sndbuf{};

    StreamUpstreamSrvConf* upstream = nullptr;
    std::optional<StreamComplexValue> upstream_value{};

    Buffers buffers{};
};

StreamProxySrvConf& srv_conf(const StreamSession& s) noexcept
{
    return *stream_get_module_srv_conf<StreamProxySrvConf>(s);
}

void release_buffers(StreamSession& s) noexcept
{
    for (StreamFlow* flow : {&s.upstream->downstream, &s.upstream->upstream}) {
        if (flow->buf.start) {
            srv_conf(s).buffers.release(flow->buf);
        }
    }
}

/// Logs at level info without the log handler, whose details are in the message already.
template <typename... Args>
void log_session(const Connection& c, fmt::format_string<Args...> format, const Args&... args)
{
    const LogHandler handler = std::exchange(c.log->handler, nullptr);
    log_error(log_info, c.log, 0, format, args...);
    c.log->handler = handler;
}

/// nginx: ngx_stream_proxy_log_error()
char* stream_proxy_log_error(Log& log, char* buf, std::size_t len)
{
    const auto& s = *static_cast<const StreamSession*>(log.data);
    const StreamUpstream& u = *s.upstream;
    const Connection* const pc = u.peer.connection;
    char* const last = buf + len;

    char* p = buf;
    if (!u.peer.name.empty()) {
        p = slprintf(p, last, ", upstream: \"{}\"", u.peer.name);
    }
    return slprintf(p, last, ", bytes from/to client:{}/{}, bytes from/to upstream:{}/{}",
                    s.received, s.connection->sent, u.received, pc ? pc->sent : 0);
}

/// nginx: ngx_stream_proxy_finalize()
void stream_proxy_finalize(StreamSession& s, StreamStatus rc) noexcept
{
    assert(s.upstream);
    log_debug(log_debug_stream, s.connection->log, 0, "finalize stream proxy: {}",
              static_cast<unsigned>(rc));
    StreamUpstream& u = *s.upstream;
    Connection* const pc = u.peer.connection;

    if (u.peer.free && u.peer.sockaddr) {
        const bool failed = pc && pc->type == SOCK_DGRAM && (pc->read->error || pc->write->error);
        const unsigned untried = u.connected ? 0 : peer_next;
        u.peer.free(u.peer, u.peer.data, failed ? peer_failed : untried);
        u.peer.sockaddr = nullptr;
    }
    if (pc) {
        log_debug(log_debug_stream, s.connection->log, 0,
                  "close stream proxy upstream connection: {}", pc->fd);
        close_connection(*pc);
        u.peer.connection = nullptr;
    }
    release_buffers(s);
    stream_finalize_session(s, rc);
}

void stream_proxy_connect(StreamSession& s);

/// Gives up the current peer and its connection, if there is one, and connects to another peer if
/// that is allowed; otherwise ends the session. `state` tells the balancing method how the use of
/// the peer ended.
///
/// nginx: ngx_stream_proxy_next_upstream()
void stream_proxy_next_upstream(StreamSession& s, unsigned state = peer_failed)
{
    log_debug(log_debug_stream, s.connection->log, 0, "stream proxy next upstream");
    StreamUpstream& u = *s.upstream;
    u.downstream.out = nullptr;  // UDP: the next peer gets the first datagram again

    if (u.peer.sockaddr) {
        u.peer.free(u.peer, u.peer.data, state);
        u.peer.sockaddr = nullptr;
    }

    const StreamProxySrvConf& pscf = srv_conf(s);
    const Msec timeout = *pscf.next_upstream_timeout;
    if (u.peer.tries == 0 || !*pscf.next_upstream ||
        (timeout != 0 && current_msec - u.peer.start_time >= timeout)) {
        stream_proxy_finalize(s, StreamStatus::bad_gateway);
        return;
    }

    if (Connection* const pc = std::exchange(u.peer.connection, nullptr)) {
        log_debug(log_debug_stream, s.connection->log, 0, "close proxy upstream connection: {}",
                  pc->fd);
        close_connection(*pc);
    }
    stream_proxy_connect(s);
}

void set_handlers(Connection& c, EventHandler handler) noexcept
{
    c.read->handler = handler;
    c.write->handler = handler;
}

/// Appends a datagram to `out`; without `flush` it is only the first piece of one.
void add_datagram(StreamSession& s, Chain*& out, char* pos, char* last, bool flush)
{
    assert(pos <= last);
    struct Link : Chain {
        Buf datagram{};
    };

    Chain*& free = s.upstream->free;
    Chain* cl = free;
    if (cl) {
        free = cl->next;
        cl->next = nullptr;
    } else {
        auto* link = s.connection->pool->create<Link>();
        link->buf = &link->datagram;
        cl = link;
    }
    Buf& b = *cl->buf;
    b.pos = pos;
    b.last = last;
    b.temporary = pos != last;
    b.flush = flush;

    Chain** end = &out;
    while (*end) {
        end = &(*end)->next;
    }
    *end = cl;
}

/// Releases the links of `out` before `left` for reuse.
void free_links(StreamSession& s, StreamFlow& flow, const Chain* left) noexcept
{
    while (flow.out != left) {
        Chain* const sent = std::exchange(flow.out, flow.out->next);
        sent->next = std::exchange(s.upstream->free, sent);
    }
}

/// Sends the datagrams of `out`. Returns the links that were not sent, or chain_error.
///
/// Differs from nginx: if sending to the upstream fails, it is tried once more, because the socket
/// may have reported the error of an earlier datagram, for which the error counts as the answer.
/// nginx ends the session and loses the datagram.
Chain* send_out(StreamSession& s, StreamFlow& flow) noexcept
{
    Connection& dst = *flow.dst;
    Chain* const left = dst.send_chain(dst, flow.out, 0);
    if (left != chain_error || dst.shared) {
        return left;
    }
    const Chain* unsent = flow.out;
    while (unsent && unsent->buf->temporary && unsent->buf->pos == unsent->buf->last) {
        unsent = unsent->next;
    }
    free_links(s, flow, unsent);
    s.upstream->upstream.packets++;
    s.upstream->answered = 1;
    dst.write->error = 0;
    return dst.send_chain(dst, flow.out, 0);
}

/// Sends as many datagrams as possible. Returns false on an error.
bool send_datagrams(StreamSession& s, StreamFlow& flow) noexcept
{
    Chain* const left = send_out(s, flow);
    if (left == chain_error) {
        return false;
    }
    if (flow.out != left) {
        flow.dst->read->error = 0;  // an error of an earlier datagram is over
        free_links(s, flow, left);
    }
    flow.dst->buffered = left != nullptr;
    if (!left) {
        flow.buf.pos = flow.buf.start;
        flow.buf.last = flow.buf.start;
    }
    return true;
}

/// Sends as much of the buffer as possible. Returns false on an error.
bool send_bytes(StreamFlow& flow) noexcept
{
    assert(flow.dst && flow.buf.start);
    assert(flow.buf.pos <= flow.buf.last);
    Buf& b = flow.buf;
    Connection& dst = *flow.dst;
    while (dst.write->ready) {
        const ssize_t n = dst.send(dst, b.pos, static_cast<std::size_t>(b.last - b.pos));
        if (n == io_error) {
            return false;
        }
        if (n > 0) {
            b.pos += n;
        }
        if (b.pos == b.last) {
            b.pos = b.start;
            b.last = b.start;
            dst.buffered = 0;
            return true;
        }
    }
    dst.buffered = 1;
    return true;
}

/// Sends as much as possible of the data that waits for the destination. Returns false on an error.
/// nginx calls ngx_stream_top_filter() and ngx_chain_update_chains() for this.
bool send_output(StreamSession& s, StreamFlow& flow) noexcept
{
    if (flow.out) {
        s.connection->log->action = flow.send_action;
        return send_datagrams(s, flow);
    }
    if (flow.buf.pos != flow.buf.last && s.connection->type == SOCK_STREAM) {
        s.connection->log->action = flow.send_action;
        return send_bytes(flow);
    }
    return true;
}

/// Returns how many of `size` bytes may be read under the rate limit. 0: none for now; then the
/// source's timer is set.
///
/// Differs from nginx: the time is that of the monotonic clock. In nginx a session stops for as
/// long as the wall clock is set back.
std::size_t limit_size(const StreamSession& s, StreamFlow& flow, std::size_t size) noexcept
{
    assert(flow.limit_rate != 0);
    const auto rate = static_cast<off_t>(flow.limit_rate);
    const auto seconds = static_cast<off_t>((current_msec - s.upstream->peer.start_time) / 1000);
    off_t allowed = 0;
    if (__builtin_mul_overflow(rate, seconds + 1, &allowed)) {
        return size;
    }
    const off_t limit = allowed - *flow.received;
    if (limit <= 0) {
        flow.src->read->delayed = 1;
        add_timer(*flow.src->read, static_cast<Msec>(-limit * 1000 / rate + 1));
        return 0;
    }
    return s.connection->type == SOCK_STREAM ? std::min(size, static_cast<std::size_t>(limit))
                                             : size;
}

/// Delays the next read for as long as `n` bytes take at the limit.
void delay_next_read(StreamFlow& flow, ssize_t n) noexcept
{
    assert(flow.limit_rate != 0);
    const Msec delay = static_cast<Msec>(n) * 1000 / flow.limit_rate;
    if (delay > 0) {
        flow.src->read->delayed = 1;
        add_timer(*flow.src->read, delay);
    }
}

/// Whether the source has to wait while datagrams wait for the destination. An upstream has to: its
/// socket queues the datagrams. Those of a client, which share the listener's socket, are read
/// while the buffer has room for the whole next datagram and the number of those waiting is not too
/// large.
///
/// Differs from nginx: nginx reads all of them into the room that is left, truncates them, and has
/// no limit for their number.
bool has_to_wait(const StreamFlow& flow) noexcept
{
    constexpr std::size_t max_waiting = 256;
    if (!flow.src->shared) {
        return true;
    }
    std::size_t waiting = 0;
    for (const Chain* cl = flow.out; cl; cl = cl->next) {
        waiting++;
    }
    return waiting >= max_waiting ||
           udp_datagram_size(*flow.src) > static_cast<std::size_t>(flow.buf.end - flow.buf.last);
}

/// Counts a datagram that was truncated, and logs the first one.
///
/// Differs from nginx: nginx truncates datagrams without a message.
void count_cut(StreamSession& s, StreamFlow& flow, std::size_t size) noexcept
{
    if (flow.cut++ == 0) {
        log_error(log_warn, s.connection->log, 0, "datagrams of more than {} bytes are cut", size);
    }
}

/// Receives a datagram, truncated to `size` bytes. Returns its size, or io_again or io_error.
ssize_t receive_datagram(StreamSession& s, StreamFlow& flow, std::size_t size) noexcept
{
    const ssize_t n = flow.src->recv(*flow.src, flow.buf.last, size + 1);
    if (n <= static_cast<ssize_t>(size)) {
        return n;
    }
    count_cut(s, flow, size);
    return static_cast<ssize_t>(size);
}

/// Adds `n` bytes to the counters and to the buffer, and applies the rate limit.
void add_received(StreamFlow& flow, ssize_t n) noexcept
{
    assert(n >= 0 && n <= flow.buf.end - flow.buf.last);
    if (flow.limit_rate != 0) {
        delay_next_read(flow, n);
    }
    flow.packets++;
    *flow.received += n;
    flow.buf.last += n;
}

/// Reads a datagram. Returns ok; again if there is none; error if the socket cannot be read any
/// more.
///
/// An error of recv() is that of a datagram which was sent before, and counts as its answer. The
/// socket has no end, and may have datagrams queued behind the error, so that it is read once more.
/// A second error is one of the socket itself.
///
/// Differs from nginx: in nginx an error ends the reading, permanently with a level-triggered
/// poller.
[[gnu::noinline]] Rc receive_datagram_input(StreamSession& s, StreamFlow& flow, std::size_t size)
{
    ssize_t n = receive_datagram(s, flow, size);
    if (n == io_error) {
        flow.packets++;
        s.upstream->answered = 1;
        flow.src->read->ready = 1;
        n = receive_datagram(s, flow, size);
    }
    if (n == io_again || n == io_error) {
        return n == io_again ? Rc::again : Rc::error;
    }
    add_datagram(s, flow.out, flow.buf.last, flow.buf.last + n, true);
    flow.src->read->error = 0;  // an error of an earlier datagram is over
    s.upstream->answered = &flow == &s.upstream->upstream;
    add_received(flow, n);
    return Rc::ok;
}

/// Reads once, if the source is ready and there is room. Returns ok; again if nothing was read;
/// error if a UDP socket cannot be read any more. The end of a TCP source, or its error, sets
/// `eof`.
Rc receive_input(StreamSession& s, StreamProxySrvConf& pscf, StreamFlow& flow)
{
    Event& rev = *flow.src->read;
    if (!rev.ready || rev.delayed) {
        return Rc::again;
    }
    if (!flow.buf.start) {
        pscf.buffers.allocate(flow.buf, *pscf.buffer_size);
    }
    if (flow.out && has_to_wait(flow)) {
        return Rc::again;
    }
    auto size = static_cast<std::size_t>(flow.buf.end - flow.buf.last);
    if (size != 0 && flow.limit_rate != 0) {
        size = limit_size(s, flow, size);
    }
    if (size == 0) {
        return Rc::again;
    }

    s.connection->log->action = flow.recv_action;
    if (s.connection->type == SOCK_DGRAM) {
        return receive_datagram_input(s, flow, size);
    }
    ssize_t n = flow.src->recv(*flow.src, flow.buf.last, size);
    if (n == io_again) {
        return Rc::again;
    }
    if (n == io_error) {
        rev.eof = 1;
        n = 0;
    }
    add_received(flow, n);
    return Rc::ok;
}

/// Whether a UDP session is done: each request has had its responses, if their number is
/// configured.
bool is_udp_done(const StreamSession& s, const StreamProxySrvConf& pscf) noexcept
{
    const Connection& c = *s.connection;
    const StreamUpstream& u = *s.upstream;
    const auto requests = static_cast<std::size_t>(*pscf.requests);

    if (requests != 0) {
        if (u.downstream.packets < requests) {
            return false;
        }
        // The client's next datagram starts a new session.
        delete_udp_connection(*s.connection);
    }
    if (*pscf.responses == unlimited ||
        u.upstream.packets < static_cast<std::size_t>(*pscf.responses) * u.downstream.packets) {
        return false;
    }
    return u.connected && !c.buffered && !u.peer.connection->buffered;
}

/// Whether a datagram is still to be sent, or an answer is missing. Without proxy_responses one
/// answer per request is expected; further ones are lost when the listener is closed.
bool has_unanswered(const StreamSession& s, const StreamProxySrvConf& pscf) noexcept
{
    const StreamUpstream& u = *s.upstream;
    if (!u.connected || s.connection->buffered || u.peer.connection->buffered) {
        return true;
    }
    if (*pscf.responses == unlimited) {
        return !u.answered || u.upstream.packets < u.downstream.packets;
    }
    return u.upstream.packets < static_cast<std::size_t>(*pscf.responses) * u.downstream.packets;
}

/// Whether a client has gone while there is no upstream connection: its connection has failed, or
/// it has closed without having sent data. With proxy_half_close such a client may still expect an
/// answer.
///
/// Differs from nginx: nginx notices this only when the upstream is connected or
/// proxy_connect_timeout has passed. The end of a client that has filled the buffer is not noticed,
/// because nothing is read.
bool client_has_gone(const StreamSession& s, const StreamProxySrvConf& pscf) noexcept
{
    const Connection& c = *s.connection;
    const bool said_nothing = s.received == 0 && !(c.buffer && buf_size(*c.buffer) != 0);
    return c.read->eof && (c.read->error || (!*pscf.half_close && said_nothing));
}

/// Whether a TCP session is done: one side has ended, and the other side has been sent all its
/// data. If both have ended, or with proxy_half_close, only when both sides have been sent all.
///
/// Differs from nginx: without proxy_half_close, nginx discards the buffered data when both sides
/// have ended. A side that does not read its data keeps the session open for up to proxy_timeout.
bool is_tcp_done(const StreamSession& s, const StreamProxySrvConf& pscf) noexcept
{
    const Connection& c = *s.connection;
    const Connection* const pc = s.upstream->connected ? s.upstream->peer.connection : nullptr;

    if (!pc) {
        return client_has_gone(s, pscf);
    }
    const bool client_ended = c.read->eof;
    const bool upstream_ended = pc->read->eof;
    const bool all_sent = !c.buffered && !pc->buffered;
    if (client_ended && upstream_ended) {
        return all_sent;
    }
    // Data for the side that has ended will never be sent.
    return !*pscf.half_close &&
           ((client_ended && !pc->buffered) || (upstream_ended && !c.buffered));
}

/// Logs how many datagrams of the session were dropped or truncated, if any.
void log_lost(const StreamSession& s) noexcept
{
    const StreamUpstream& u = *s.upstream;
    const std::size_t dropped = s.connection->udp ? s.connection->udp->dropped : 0;
    if (dropped + u.downstream.cut + u.upstream.cut != 0) {
        log_session(*s.connection,
                    "udp packets from client dropped:{}, packets from client/upstream cut:{}/{}",
                    dropped, u.downstream.cut, u.upstream.cut);
    }
}

void log_udp(const StreamSession& s, const char* what) noexcept
{
    log_lost(s);
    const StreamUpstream& u = *s.upstream;
    const Connection* const pc = u.peer.connection;
    log_session(*s.connection,
                "udp {}, packets from/to client:{}/{}, bytes from/to client:{}/{}, bytes from/to "
                "upstream:{}/{}",
                what, u.downstream.packets, u.upstream.packets, s.received, s.connection->sent,
                u.received, pc ? pc->sent : 0);
}

void end_on_shutdown(StreamSession& s) noexcept
{
    log_lost(s);
    log_session(*s.connection, "disconnected on shutdown");
    stream_proxy_finalize(s, StreamStatus::ok);
}

/// Whether a UDP session whose listener is closing can end, because no answer is missing.
bool ends_on_shutdown(const StreamSession& s) noexcept
{
    return udp_is_closing(*s.connection) && !has_unanswered(s, srv_conf(s));
}

/// Whether the session may be done. A TCP session is not before one side has ended.
bool may_be_done(const Connection& c, const StreamFlow& flow) noexcept
{
    return c.type == SOCK_DGRAM || flow.src->read->eof || (flow.dst && flow.dst->read->eof);
}

/// Ends the session if it is done. Returns ok if it was, else declined.
///
/// nginx: ngx_stream_proxy_test_finalize()
Rc stream_proxy_test_finalize(StreamSession& s, const StreamProxySrvConf& pscf,
                              const StreamFlow& flow) noexcept
{
    const Connection& c = *s.connection;
    const Connection* const pc = s.upstream->peer.connection;

    if (c.type == SOCK_DGRAM) {
        if (!is_udp_done(s, pscf)) {
            if (!ends_on_shutdown(s)) {
                return Rc::declined;
            }
            end_on_shutdown(s);
            return Rc::ok;
        }
        log_udp(s, "done");
    } else {
        if (!is_tcp_done(s, pscf)) {
            return Rc::declined;
        }
        log_session(c, "{} disconnected, bytes from/to client:{}/{}, bytes from/to upstream:{}/{}",
                    flow.dst == &c ? "upstream" : "client", s.received, c.sent,
                    s.upstream->received, pc ? pc->sent : 0);
    }
    stream_proxy_finalize(s, StreamStatus::ok);
    return Rc::ok;
}

/// Closes the sending direction to the destination, if all data of the source, which has ended, has
/// been sent.
Rc half_close(StreamSession& s, const StreamFlow& flow) noexcept
{
    assert(flow.dst && flow.src->read->eof);
    StreamUpstream& u = *s.upstream;
    if (flow.dst->type != SOCK_STREAM || u.half_closed || flow.dst->buffered) {
        return Rc::ok;
    }
    if (io.shutdown(*flow.dst, SHUT_WR) == -1) {
        connection_error(*s.connection, errno, "shutdown() failed");
        return Rc::error;
    }
    u.half_closed = 1;
    log_debug(log_debug_stream, s.connection->log, 0, "stream proxy {} socket shutdown",
              flow.dst == s.connection ? "client" : "upstream");
    return Rc::ok;
}

/// Adds the events that the session waits for to the poller, and sets its timer to proxy_timeout. A
/// session that is delayed by a rate limit has no timeout.
Rc wait_for_more(StreamSession& s, const StreamProxySrvConf& pscf, const StreamFlow& flow) noexcept
{
    if (handle_read_event(*flow.src->read, flow.src->read->eof ? close_event : 0) != Rc::ok) {
        return Rc::error;
    }
    if (!flow.dst) {
        return Rc::ok;
    }
    if (flow.src->read->eof && *pscf.half_close && half_close(s, flow) != Rc::ok) {
        return Rc::error;
    }
    if (handle_write_event(*flow.dst->write, 0) != Rc::ok) {
        return Rc::error;
    }

    Connection& c = *s.connection;
    if (!flow.src->read->delayed && !flow.dst->read->delayed) {
        add_timer(*c.write, *pscf.timeout);
    } else if (c.write->timer_set()) {
        del_timer(*c.write);
    }
    return Rc::ok;
}

/// Moves data from source to destination until the source has no more data, or the destination
/// accepts no more and the buffer is full.
///
/// Differs from nginx: after udp_max_per_turn datagrams the rest waits for the next turn of the
/// loop, so that a side that sends without end does not block the loop. The poller is called once
/// more for each 64 datagrams.
///
/// nginx: ngx_stream_proxy_process()
void stream_proxy_process(StreamSession& s, StreamFlow& flow, bool do_write)
{
    assert(flow.src && flow.received);
    Connection& c = *s.connection;
    StreamProxySrvConf& pscf = srv_conf(s);
    Rc rc = Rc::ok;
    int left = udp_max_per_turn;
    do {
        if (do_write && flow.dst && !send_output(s, flow)) {
            stream_proxy_finalize(s, StreamStatus::ok);
            return;
        }
        do_write = true;
        if (c.type == SOCK_DGRAM && left-- == 0) {
            post_event(*flow.src->read, posted_next_events);
            break;
        }
        rc = receive_input(s, pscf, flow);
    } while (rc == Rc::ok);

    if (rc == Rc::error) {
        stream_proxy_finalize(s, StreamStatus::bad_gateway);
        return;
    }

    c.log->action = "proxying connection";
    if (may_be_done(c, flow) && stream_proxy_test_finalize(s, pscf, flow) == Rc::ok) {
        return;
    }
    if (flow.buf.start && flow.empty()) {
        pscf.buffers.release(flow.buf);
    }
    if (wait_for_more(s, pscf, flow) != Rc::ok) {
        stream_proxy_finalize(s, StreamStatus::internal_server_error);
    }
}

/// Handles proxy_timeout. For a UDP session this is the normal end, unless responses are missing.
void handle_timeout(StreamSession& s) noexcept
{
    const StreamProxySrvConf& pscf = srv_conf(s);
    const StreamUpstream& u = *s.upstream;
    Connection& c = *s.connection;

    if (c.type == SOCK_STREAM) {
        connection_error(c, ETIMEDOUT, "connection timed out");
        stream_proxy_finalize(s, StreamStatus::ok);
        return;
    }
    if (*pscf.responses == unlimited ||
        u.upstream.packets >= static_cast<std::size_t>(*pscf.responses) * u.downstream.packets) {
        log_udp(s, "timed out");
        stream_proxy_finalize(s, StreamStatus::ok);
        return;
    }
    connection_error(*u.peer.connection, ETIMEDOUT, "upstream timed out");
    u.peer.connection->read->error = 1;
    stream_proxy_finalize(s, StreamStatus::bad_gateway);
}

/// Handles the end of a rate limit's delay. Returns false if there is nothing to read yet, or the
/// session has ended.
bool end_delay(StreamSession& s, Event& ev) noexcept
{
    ev.delayed = 0;
    if (ev.ready) {
        return true;
    }
    if (handle_read_event(ev, 0) != Rc::ok) {
        stream_proxy_finalize(s, StreamStatus::internal_server_error);
        return false;
    }
    const StreamUpstream& u = *s.upstream;
    if (u.connected && !s.connection->read->delayed && !u.peer.connection->read->delayed) {
        add_timer(*s.connection->write, *srv_conf(s).timeout);
    }
    return false;
}

/// Whether the event reports only room in a socket for which no data waits: edge-triggered epoll
/// reports it together with any other event.
///
/// Differs from nginx: nginx handles such an event with a whole pass that moves no data.
bool has_nothing_to_move(const Event& ev, const StreamFlow& flow) noexcept
{
    return ev.write && (event_flags & use_clear_event) != 0 && !ev.timedout && flow.empty() &&
           flow.src && !flow.src->read->ready;
}

/// Handles events that are not about data: those that end the session, its timer, and events during
/// a delay. Returns whether data is to be moved.
[[gnu::noinline]] bool is_about_data(StreamSession& s, Event& ev) noexcept
{
    const Connection& c = connection_of(ev);

    if ((c.close && c.type == SOCK_DGRAM) || ends_on_shutdown(s)) {
        end_on_shutdown(s);
        return false;
    }
    if (c.close) {
        log_error(log_info, c.log, 0, "shutdown timeout");
        stream_proxy_finalize(s, StreamStatus::ok);
        return false;
    }

    if (ev.timedout) {
        ev.timedout = 0;
        if (!ev.delayed) {
            handle_timeout(s);
            return false;
        }
        return end_delay(s, ev);
    }
    if (ev.delayed) {
        log_debug(log_debug_stream, c.log, 0, "stream connection delayed");
        if (handle_read_event(ev, 0) != Rc::ok) {
            stream_proxy_finalize(s, StreamStatus::internal_server_error);
        }
        return false;
    }
    return true;
}

/// nginx: ngx_stream_proxy_process_connection()
void stream_proxy_process_connection(StreamSession& s, Event& ev, StreamFlow& flow)
{
    const Connection& c = connection_of(ev);
    const bool is_plain = c.type == SOCK_STREAM && !c.close && !ev.timedout && !ev.delayed;
    if (!is_plain && !is_about_data(s, ev)) {
        return;
    }
    if (flow.src) {
        stream_proxy_process(s, flow, ev.write);
    }
}

/// nginx: ngx_stream_proxy_downstream_handler()
void stream_proxy_downstream_handler(Event& ev) noexcept
{
    StreamSession& s = session_of(ev);
    StreamUpstream& u = *s.upstream;
    StreamFlow& flow = ev.write ? u.upstream : u.downstream;
    if (!has_nothing_to_move(ev, flow)) {
        stream_run(s, [&] { stream_proxy_process_connection(s, ev, flow); });
    }
}

/// nginx: ngx_stream_proxy_upstream_handler()
void stream_proxy_upstream_handler(Event& ev) noexcept
{
    StreamSession& s = session_of(ev);
    StreamUpstream& u = *s.upstream;
    StreamFlow& flow = ev.write ? u.downstream : u.upstream;
    if (!has_nothing_to_move(ev, flow)) {
        stream_run(s, [&] { stream_proxy_process_connection(s, ev, flow); });
    }
}

void log_connected(const StreamSession& s, Connection& pc)
{
    const Connection& c = *s.connection;
    std::array<char, sockaddr_strlen> text;
    std::size_t len = 0;
    if (c.log->log_level < log_info ||
        connection_local_sockaddr(pc, text.data(), &len, true) != Rc::ok) {
        return;
    }
    log_session(c, "{}proxy {} connected to {}", pc.type == SOCK_DGRAM ? "udp " : "",
                std::string_view(text.data(), len), s.upstream->peer.name);
}

/// Returns the PROXY protocol header for the upstream, written to `buf`; empty if there is none to
/// send; a null view after an error, which is logged.
std::string_view proxy_protocol_header(StreamSession& s, char* buf, std::size_t size)
{
    Connection& c = *s.connection;
    const ProxyProtocolVersion version = *srv_conf(s).proxy_protocol;
    if (version == ProxyProtocolVersion::off) {
        return {buf, 0};
    }
    log_debug(log_debug_stream, c.log, 0, "stream proxy add PROXY protocol header");
    const char* const end = version == ProxyProtocolVersion::v2
                                ? proxy_protocol_v2_write(c, buf, buf + size)
                                : proxy_protocol_write(c, buf, buf + size);
    return end ? std::string_view(buf, static_cast<std::size_t>(end - buf)) : std::string_view{};
}

/// Queues the datagram with which the session started, with the PROXY protocol header in front of
/// it.
Rc add_first_datagram(StreamSession& s)
{
    const Connection& c = *s.connection;
    StreamUpstream& u = *s.upstream;

    std::array<char, proxy_protocol_v1_max_header> buf;
    const std::string_view header = proxy_protocol_header(s, buf.data(), buf.size());
    if (!header.data()) {
        return Rc::error;
    }
    if (!header.empty()) {
        char* const copy = const_cast<char*>(c.pool->pstrdup(header).data());
        add_datagram(s, u.downstream.out, copy, copy + header.size(), false);
    }
    add_datagram(s, u.downstream.out, c.buffer->pos, c.buffer->last, true);
    return Rc::ok;
}

/// Starts to move data when the upstream is connected.
///
/// nginx: ngx_stream_proxy_init_upstream()
void stream_proxy_init_upstream(StreamSession& s)
{
    assert(s.upstream->peer.connection && !s.upstream->connected);
    StreamUpstream& u = *s.upstream;
    Connection& pc = *u.peer.connection;
    const StreamProxySrvConf& pscf = srv_conf(s);

    if (pc.type == SOCK_STREAM && *stream_get_module_srv_conf<StreamCoreSrvConf>(s)->tcp_nodelay &&
        tcp_nodelay(pc) != Rc::ok) {
        stream_proxy_next_upstream(s);
        return;
    }
    log_connected(s, pc);
    if (u.peer.notify) {
        u.peer.notify(u.peer, u.peer.data, stream_upstream_notify_connect);
    }

    if (pc.type == SOCK_DGRAM && add_first_datagram(s) != Rc::ok) {
        stream_proxy_finalize(s, StreamStatus::internal_server_error);
        return;
    }
    u.downstream.limit_rate = stream_complex_value_size(s, pscf.upload_rate, 0);
    u.upstream.limit_rate = stream_complex_value_size(s, pscf.download_rate, 0);
    u.connected = 1;
    u.downstream.dst = &pc;
    u.upstream.src = &pc;

    set_handlers(pc, stream_proxy_upstream_handler);
    if (pc.read->ready) {
        post_event(*pc.read, posted_events);
    }
    stream_proxy_process(s, u.downstream, true);
}

/// Returns whether connect() has succeeded, by SO_ERROR. Logs the error if not.
///
/// nginx: ngx_stream_proxy_test_connect()
Rc stream_proxy_test_connect(Connection& c) noexcept
{
    int err = 0;
    socklen_t len = sizeof(err);
    if (::getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1) {
        err = errno;
    }
    if (err != 0) {
        connection_error(c, err, "connect() failed");
        return Rc::error;
    }
    return Rc::ok;
}

/// nginx: ngx_stream_proxy_connect_handler()
void stream_proxy_connect_handler(Event& ev) noexcept
{
    Connection& c = connection_of(ev);
    StreamSession& s = session_of(ev);

    Rc rc = Rc::error;
    if (ev.timedout) {
        log_error(log_err, c.log, ETIMEDOUT, "upstream timed out");
    } else {
        del_timer(*c.write);
        log_debug(log_debug_stream, c.log, 0, "stream proxy connect upstream");
        rc = stream_proxy_test_connect(c);
    }

    stream_run(s, [&] {
        if (rc == Rc::ok) {
            stream_proxy_init_upstream(s);
        } else {
            stream_proxy_next_upstream(s);
        }
    });
}

/// Adds the client's read event to the poller while the upstream is being connected, so that the
/// client's data and its end are noticed. It would have to be added later anyway.
void watch_client(StreamSession& s) noexcept
{
    Event& rev = *s.connection->read;
    if (!rev.eof && handle_read_event(rev, 0) != Rc::ok) {
        stream_proxy_finalize(s, StreamStatus::internal_server_error);
    }
}

/// nginx: ngx_stream_proxy_connect()
void stream_proxy_connect(StreamSession& s)
{
    Connection& c = *s.connection;
    StreamUpstream& u = *s.upstream;
    c.log->action = "connecting to upstream";
    u.connected = 0;

    const Rc rc = event_connect_peer(u.peer);
    log_debug(log_debug_stream, c.log, 0, "proxy connect: {}", static_cast<int>(rc));

    switch (rc) {
    case Rc::error:
        stream_proxy_finalize(s, StreamStatus::internal_server_error);
        return;
    case Rc::busy:
        log_error(log_err, c.log, 0, "no live upstreams");
        stream_proxy_finalize(s, StreamStatus::bad_gateway);
        return;
    case Rc::declined:
        stream_proxy_next_upstream(s);
        return;
    case Rc::abort:
        stream_proxy_next_upstream(s, peer_next);
        return;
    default:
        break;
    }

    Connection& pc = *u.peer.connection;
    pc.data = &s;
    pc.pool = c.pool;
    if (rc == Rc::again) {
        set_handlers(pc, stream_proxy_connect_handler);
        add_timer(*pc.write, *srv_conf(s).connect_timeout);
        watch_client(s);
        return;
    }
    stream_proxy_init_upstream(s);
}

/// nginx: ngx_stream_proxy_set_local()
void stream_proxy_set_local(StreamSession& s, const StreamUpstreamLocal* local)
{
    PeerConnection& pc = s.upstream->peer;
    if (!local) {
        return;
    }
    pc.transparent = local->transparent;
    if (!local->value.has_variables()) {
        pc.local = &local->addr;
        return;
    }

    const std::string_view text = stream_complex_value(s, local->value);
    if (text.empty()) {
        return;
    }
    auto* addr = s.connection->pool->create<Addr>();
    if (parse_addr_port(*addr, text) != Rc::ok) {
        log_error(log_err, s.connection->log, 0, "invalid local address \"{}\"", text);
        return;
    }
    addr->name = text;
    pc.local = addr;
}

/// Parses the text of proxy_pass with its variables: the name of an upstream, or an address.
/// Returns error after logging.
///
/// nginx: ngx_stream_proxy_eval()
Rc stream_proxy_eval(StreamSession& s, const StreamComplexValue& value, StreamUpstreamResolved& ur)
{
    Pool& pool = *s.connection->pool;
    Url url{.url = stream_complex_value(s, value), .no_resolve = true};
    if (parse_url(pool, url) != Rc::ok) {
        log_error(log_err, s.connection->log, 0, "{} in upstream \"{}\"", url.err, url.url);
        return Rc::error;
    }
    ur.host = url.host;
    ur.port = url.port;
    if (!url.addrs.empty()) {
        ur.addr = pool.create<Addr>(url.addrs.front());
    }
    return Rc::ok;
}

StreamUpstreamSrvConf* find_upstream(const StreamSession& s,
                                     const StreamUpstreamResolved& ur) noexcept
{
    const auto& umcf =
        *static_cast<StreamUpstreamMainConf*>(s.main_conf[stream_upstream_module.ctx_index]);
    return stream_upstream_find(umcf, ur.host, ur.port);
}

/// Prepares a session for an address that is not an upstream of the configuration. Returns error
/// after logging.
///
/// Differs from nginx: names are resolved only when the configuration is read.
Rc init_resolved_peer(StreamSession& s, const StreamUpstreamResolved& ur)
{
    Log* const log = s.connection->log;
    const bool has_port = ur.port != 0 || (ur.addr && ur.addr->sockaddr.any.sa_family == AF_UNIX);
    if (!has_port) {
        log_error(log_err, log, 0, "no port in upstream \"{}\"", ur.host);
        return Rc::error;
    }
    if (!ur.addr) {
        log_error(log_err, log, 0, "no resolver defined to resolve {}", ur.host);
        return Rc::error;
    }
    stream_upstream_create_round_robin_peer(s, ur);
    return Rc::ok;
}

/// Finds the upstream of the session and lets it prepare the choice of a peer.
Rc init_peer(StreamSession& s, const StreamProxySrvConf& pscf)
{
    StreamUpstreamSrvConf* uscf = pscf.upstream;
    if (pscf.upstream_value) {
        StreamUpstreamResolved ur;
        if (stream_proxy_eval(s, *pscf.upstream_value, ur) != Rc::ok) {
            return Rc::error;
        }
        uscf = find_upstream(s, ur);
        if (!uscf) {
            return init_resolved_peer(s, ur);
        }
    }
    return uscf->peer.init(s, *uscf);
}

void init_peer_connection(StreamSession& s, const StreamProxySrvConf& pscf)
{
    PeerConnection& pc = s.upstream->peer;
    pc.log = s.connection->log;
    pc.log_error = ConnectionError::err;
    pc.type = s.connection->type;
    pc.so_keepalive = *pscf.socket_keepalive;
    pc.rcvbuf = static_cast<int>(*pscf.socket_rcvbuf);
    pc.sndbuf = static_cast<int>(*pscf.socket_sndbuf);
    stream_proxy_set_local(s, *pscf.local);
}

/// Stores the data that a TCP upstream gets first in the buffer: the PROXY protocol header, then
/// the data that the preread phase has read.
Rc add_preread(StreamSession& s, StreamProxySrvConf& pscf)
{
    const Connection& c = *s.connection;
    std::array<char, proxy_protocol_v1_max_header> buf;
    const std::string_view header = proxy_protocol_header(s, buf.data(), buf.size());
    if (!header.data()) {
        return Rc::error;
    }
    const std::size_t preread = c.buffer ? buf_size(*c.buffer) : 0;
    if (header.size() + preread == 0) {
        return Rc::ok;
    }
    log_debug(log_debug_stream, c.log, 0, "stream proxy add preread buffer: {}", preread);

    Buf& b = s.upstream->downstream.buf;
    pscf.buffers.allocate(b, std::max(*pscf.buffer_size, header.size() + preread));
    b.last = std::ranges::copy(header, b.last).out;
    if (preread != 0) {
        b.last = std::copy(c.buffer->pos, c.buffer->last, b.last);
    }
    return Rc::ok;
}

StreamUpstream& create_upstream(StreamSession& s)
{
    StreamUpstream& u = *s.connection->pool->create<StreamUpstream>();
    u.downstream = {
        .src = s.connection,
        .received = &s.received,
        .packets = 1,
        .recv_action = "proxying and reading from client",
        .send_action = "proxying and sending to upstream",
    };
    u.upstream = {
        .dst = s.connection,
        .received = &u.received,
        .recv_action = "proxying and reading from upstream",
        .send_action = "proxying and sending to client",
    };
    s.upstream = &u;
    s.log_handler = stream_proxy_log_error;
    s.finalize = stream_proxy_finalize;
    return u;
}

/// nginx: ngx_stream_proxy_handler()
void stream_proxy_handler(StreamSession& s)
{
    Connection& c = *s.connection;
    StreamProxySrvConf& pscf = srv_conf(s);
    log_debug(log_debug_stream, c.log, 0, "proxy connection handler");

    StreamUpstream& u = create_upstream(s);
    init_peer_connection(s, pscf);

    set_handlers(c, stream_proxy_downstream_handler);
    if (c.read->ready) {
        post_event(*c.read, posted_events);
    }

    if ((c.type == SOCK_STREAM && add_preread(s, pscf) != Rc::ok) || init_peer(s, pscf) != Rc::ok) {
        stream_proxy_finalize(s, StreamStatus::internal_server_error);
        return;
    }
    u.peer.start_time = current_msec;
    const auto tries = static_cast<std::size_t>(*pscf.next_upstream_tries);
    if (tries != 0) {
        u.peer.tries = std::min(u.peer.tries, tries);
    }
    stream_proxy_connect(s);
}

/// nginx: ngx_stream_proxy_create_srv_conf()
void* stream_proxy_create_srv_conf(Conf& cf)
{
    return cf.pool->create<StreamProxySrvConf>();
}

/// nginx: ngx_stream_proxy_merge_srv_conf()
const char* stream_proxy_merge_srv_conf(Conf&, void* parent, void* child)
{
    const auto& prev = *static_cast<StreamProxySrvConf*>(parent);
    auto& conf = *static_cast<StreamProxySrvConf*>(child);

    conf_merge_value(conf.connect_timeout, prev.connect_timeout, Msec{60'000});
    conf_merge_value(conf.timeout, prev.timeout, Msec{10 * 60'000});
    conf_merge_value(conf.next_upstream_timeout, prev.next_upstream_timeout, Msec{0});
    conf_merge_value(conf.buffer_size, prev.buffer_size, std::size_t{16'384});
    if (!conf.upload_rate) {
        conf.upload_rate = prev.upload_rate;
    }
    if (!conf.download_rate) {
        conf.download_rate = prev.download_rate;
    }
    conf_merge_value(conf.requests, prev.requests, 0);
    conf_merge_value(conf.responses, prev.responses, unlimited);
    conf_merge_value(conf.next_upstream_tries, prev.next_upstream_tries, 0);
    conf_merge_value(conf.next_upstream, prev.next_upstream, true);
    conf_merge_value(conf.proxy_protocol, prev.proxy_protocol, ProxyProtocolVersion::off);
    conf_merge_value(conf.local, prev.local, nullptr);
    conf_merge_value(conf.socket_keepalive, prev.socket_keepalive, false);
    conf_merge_value(conf.socket_rcvbuf, prev.socket_rcvbuf, std::size_t{0});
    conf_merge_value(conf.socket_sndbuf, prev.socket_sndbuf, std::size_t{0});
    conf_merge_value(conf.half_close, prev.half_close, false);

    conf.buffers.set_size(*conf.buffer_size);
    return conf_ok;
}

/// Handles `proxy_pass ADDRESS;`.
///
/// nginx: ngx_stream_proxy_pass()
const char* stream_proxy_pass(Conf& cf, const Command&, void* conf)
{
    auto& pscf = *static_cast<StreamProxySrvConf*>(conf);
    if (pscf.upstream || pscf.upstream_value) {
        return "is duplicate";
    }
    stream_conf_get_module_srv_conf<StreamCoreSrvConf>(cf)->handler = stream_proxy_handler;

    StreamComplexValue value;
    if (stream_compile_complex_value(cf, cf.args[1], value) != Rc::ok) {
        return conf_error;
    }
    if (value.has_variables()) {
        pscf.upstream_value = std::move(value);
        return conf_ok;
    }
    Url u{.url = cf.args[1], .no_resolve = true};
    pscf.upstream = stream_upstream_add(cf, u, 0);
    return pscf.upstream ? conf_ok : conf_error;
}

const char* parse_local(Conf& cf, StreamUpstreamLocal& local)
{
    if (stream_compile_complex_value(cf, cf.args[1], local.value) != Rc::ok) {
        return conf_error;
    }
    if (!local.value.has_variables() && parse_addr_port(local.addr, cf.args[1]) != Rc::ok) {
        conf_log_error(log_emerg, cf, 0, "invalid address \"{}\"", cf.args[1]);
        return conf_error;
    }
    local.addr.name = cf.args[1];
    return conf_ok;
}

/// Handles `proxy_bind ADDRESS [transparent];` and `proxy_bind off;`.
///
/// nginx: ngx_stream_proxy_bind()
const char* stream_proxy_bind(Conf& cf, const Command&, void* conf)
{
    auto& pscf = *static_cast<StreamProxySrvConf*>(conf);
    if (pscf.local) {
        return "is duplicate";
    }
    if (cf.args.size() == 2 && cf.args[1] == "off") {
        pscf.local = nullptr;
        return conf_ok;
    }

    auto* local = cf.pool->create<StreamUpstreamLocal>();
    pscf.local = local;
    if (const char* rv = parse_local(cf, *local); rv != conf_ok) {
        return rv;
    }
    if (cf.args.size() == 2) {
        return conf_ok;
    }
    if (cf.args[2] != "transparent") {
        conf_log_error(log_emerg, cf, 0, "invalid parameter \"{}\"", cf.args[2]);
        return conf_error;
    }
    get_conf<CoreConf>(cf.cycle->conf_ctx)->transparent = true;
    local->transparent = true;
    return conf_ok;
}

constexpr ConfDeprecated stream_proxy_downstream_buffer{
    .old_name = "proxy_downstream_buffer",
    .new_name = "proxy_buffer_size",
};

constexpr ConfDeprecated stream_proxy_upstream_buffer{
    .old_name = "proxy_upstream_buffer",
    .new_name = "proxy_buffer_size",
};

/// Handles `proxy_buffer_size SIZE;` and its two older names. With a size of 0 nothing could be
/// read.
///
/// Differs from nginx: nginx accepts 0, and sessions hang.
template <auto Post = nullptr>
const char* stream_proxy_buffer_size(Conf& cf, const Command& cmd, void* conf)
{
    const char* rv = conf_set_size_slot<&StreamProxySrvConf::buffer_size, Post>(cf, cmd, conf);
    const auto& pscf = *static_cast<StreamProxySrvConf*>(conf);
    return rv == conf_ok && *pscf.buffer_size == 0 ? "must not be zero" : rv;
}

constexpr std::uint32_t main_and_srv = stream_main_conf | stream_srv_conf;

constexpr Command stream_proxy_commands[] = {
    {
        .name = "proxy_pass",
        .type = stream_srv_conf | conf_take1,
        .set = stream_proxy_pass,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_bind",
        .type = main_and_srv | conf_take12,
        .set = stream_proxy_bind,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_socket_keepalive",
        .type = main_and_srv | conf_flag,
        .set = conf_set_flag_slot<&StreamProxySrvConf::socket_keepalive>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_socket_rcvbuf",
        .type = main_and_srv | conf_take1,
        .set = conf_set_size_slot<&StreamProxySrvConf::socket_rcvbuf>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_socket_sndbuf",
        .type = main_and_srv | conf_take1,
        .set = conf_set_size_slot<&StreamProxySrvConf::socket_sndbuf>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_connect_timeout",
        .type = main_and_srv | conf_take1,
        .set = conf_set_msec_slot<&StreamProxySrvConf::connect_timeout>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_timeout",
        .type = main_and_srv | conf_take1,
        .set = conf_set_msec_slot<&StreamProxySrvConf::timeout>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_buffer_size",
        .type = main_and_srv | conf_take1,
        .set = stream_proxy_buffer_size<>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_downstream_buffer",
        .type = main_and_srv | conf_take1,
        .set = stream_proxy_buffer_size<&stream_proxy_downstream_buffer>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_upstream_buffer",
        .type = main_and_srv | conf_take1,
        .set = stream_proxy_buffer_size<&stream_proxy_upstream_buffer>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_upload_rate",
        .type = main_and_srv | conf_take1,
        .set = stream_set_complex_value_size_slot<&StreamProxySrvConf::upload_rate>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_download_rate",
        .type = main_and_srv | conf_take1,
        .set = stream_set_complex_value_size_slot<&StreamProxySrvConf::download_rate>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_requests",
        .type = main_and_srv | conf_take1,
        .set = conf_set_num_slot<&StreamProxySrvConf::requests>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_responses",
        .type = main_and_srv | conf_take1,
        .set = conf_set_num_slot<&StreamProxySrvConf::responses>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_next_upstream",
        .type = main_and_srv | conf_flag,
        .set = conf_set_flag_slot<&StreamProxySrvConf::next_upstream>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_next_upstream_tries",
        .type = main_and_srv | conf_take1,
        .set = conf_set_num_slot<&StreamProxySrvConf::next_upstream_tries>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_next_upstream_timeout",
        .type = main_and_srv | conf_take1,
        .set = conf_set_msec_slot<&StreamProxySrvConf::next_upstream_timeout>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_protocol",
        .type = main_and_srv | conf_take1,
        .set = conf_set_enum_slot<&StreamProxySrvConf::proxy_protocol, proxy_protocols>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "proxy_half_close",
        .type = main_and_srv | conf_flag,
        .set = conf_set_flag_slot<&StreamProxySrvConf::half_close>,
        .conf = stream_srv_conf_offset,
    },
};

constexpr StreamModule stream_proxy_module_ctx = {
    .create_srv_conf = stream_proxy_create_srv_conf,
    .merge_srv_conf = stream_proxy_merge_srv_conf,
};

}  // namespace

constinit Module stream_proxy_module = {
    .ctx = &stream_proxy_module_ctx,
    .commands = stream_proxy_commands,
    .type = ModuleType::stream,
};

}  // namespace ngx
