#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <sys/socket.h>
#include <utility>

#include "core/buf.hpp"
#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/palloc.hpp"
#include "core/proxy_protocol.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_counters.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"

namespace ngx {

namespace {

/// nginx: ngx_stream_close_connection()
void stream_close_connection(Connection& c) noexcept
{
    assert(c.pool && c.fd != invalid_socket);
    log_debug(log_debug_stream, c.log, 0, "close stream connection: {}", c.fd);
    stat_active->fetch_sub(1, std::memory_order_relaxed);

    Pool* const pool = c.pool;  // owns the session, the log and everything else of the connection
    close_connection(c);
    destroy_pool(pool);
}

const char* client_kind(const Connection& c) noexcept
{
    return c.type == SOCK_DGRAM ? "udp client" : "client";
}

/// nginx: ngx_stream_log_error()
char* stream_log_error(Log& log, char* buf, std::size_t len)
{
    const auto& s = *static_cast<const StreamSession*>(log.data);
    const Connection& c = *s.connection;
    char* const last = buf + len;

    char* p = log.action ? slprintf(buf, last, " while {}", log.action) : buf;
    p = slprintf(p, last, ", {}: {}, server: {}", client_kind(c), c.addr_text,
                 c.listening->addr_text);
    return s.log_handler ? s.log_handler(log, p, static_cast<std::size_t>(last - p)) : p;
}

/// nginx: ngx_stream_log_session()
void stream_log_session(StreamSession& s) noexcept
{
    const auto& cmcf = *stream_get_module_main_conf<StreamCoreMainConf>(s);
    try {
        for (const StreamHandler handler :
             cmcf.phases[static_cast<std::size_t>(StreamPhase::log)]) {
            handler(s);
        }
    } catch (...) {
        log_exception(s.connection->log);
    }
}

/// Returns the address that the client connected to; null after an error. A socket that serves
/// several addresses is a wildcard's, so that the address is known only from the connection.
const StreamPort::InAddr* find_addr(Connection& c)
{
    const auto& port = *static_cast<const StreamPort*>(c.listening->servers);
    if (port.addrs.size() == 1) {
        return &port.addrs.front();
    }
    if (connection_local_sockaddr(c, nullptr, nullptr, false) != Rc::ok) {
        return nullptr;
    }
    for (const StreamPort::InAddr& in : port.addrs) {
        if (cmp_sockaddr(c.local_sockaddr, c.local_socklen, &in.addr.sockaddr.any, in.addr.socklen,
                         false) == Rc::ok) {
            return &in;
        }
    }
    return &port.addrs.back();
}

StreamSession& create_session(Connection& c, const StreamCoreSrvConf& cscf)
{
    const Time& now = timeofday();
    StreamSession& s = *c.pool->create<StreamSession>();
    s.connection = &c;
    s.main_conf = cscf.ctx->conf[stream_main_conf_offset];
    s.srv_conf = cscf.ctx->conf[stream_srv_conf_offset];
    s.ctx = c.pool->pcalloc<void*>(stream_max_module);
    s.received = c.buffer ? static_cast<off_t>(buf_size(*c.buffer)) : 0;
    s.start_sec = now.sec;
    s.start_msec = now.msec;
    c.data = &s;
    return s;
}

/// Creates the session of the server at the address that the client connected to. Returns null if
/// the address is unknown or memory ran out, which is logged.
StreamSession* begin_session(Connection& c, const StreamPort::InAddr*& addr) noexcept
{
    try {
        addr = find_addr(c);
        return addr ? &create_session(c, *addr->default_server) : nullptr;
    } catch (...) {
        log_exception(c.log);
        return nullptr;
    }
}

void log_connected(const Connection& c) noexcept
{
    if (c.log->log_level < log_info) {
        return;
    }
    log_error(log_info, c.log, 0, "*{} {} {} connected to {}", c.number, client_kind(c),
              SockaddrText(c.sockaddr, c.socklen, true).view(), c.listening->addr_text);
}

/// Waits for the PROXY protocol header, for at most proxy_protocol_timeout in total.
void wait_for_header(StreamSession& s, Event& rev) noexcept
{
    if (!rev.timer_set()) {
        add_timer(rev, *stream_get_module_srv_conf<StreamCoreSrvConf>(s)->proxy_protocol_timeout);
    }
    if (handle_read_event(rev, 0) != Rc::ok) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
    }
}

using HeaderBuffer = std::array<char, proxy_protocol_max_header>;

/// Copies the part of a header that was read earlier into `buf`. Returns its size.
std::size_t restore_header(const Connection& c, HeaderBuffer& buf) noexcept
{
    const Buf* const b = c.buffer;
    return b ? static_cast<std::size_t>(std::copy(b->pos, b->last, buf.data()) - buf.data()) : 0;
}

/// Stores the part of a header that has been read. The buffer has room for the longest header, so
/// that a session allocates one buffer, however many pieces arrive.
void store_header(Connection& c, const HeaderBuffer& buf, std::size_t had)
{
    assert(had <= buf.size());
    if (had == 0) {
        return;
    }
    if (!c.buffer) {
        c.buffer = create_temp_buf(*c.pool, buf.size());
    }
    c.buffer->last = std::copy_n(buf.data(), had, c.buffer->pos);
}

/// Looks at the received data without reading it (MSG_PEEK). Data that is an incomplete header is
/// then read, so that a level-triggered poller does not report it again, and is counted in `had`.
/// Returns the result of the last recv(): the number of bytes in `buf` after the first `had`, which
/// are still in the socket and complete the header or cannot be part of one.
ssize_t peek_header(Connection& c, HeaderBuffer& buf, std::size_t& had) noexcept
{
    for (;;) {
        char* const p = buf.data() + had;
        const ssize_t n = ::recv(c.fd, p, buf.size() - had, MSG_PEEK);
        log_debug(log_debug_stream, c.log, 0, "recv(): {}", n);
        if (n <= 0) {
            return n;
        }
        // This data may have arrived after the last recv() had counted the rest.
        c.read->available = -1;
        if (!proxy_protocol_incomplete({buf.data(), had + static_cast<std::size_t>(n)})) {
            return n;
        }
        if (c.recv(c, p, static_cast<std::size_t>(n)) != n) {
            return -1;
        }
        had += static_cast<std::size_t>(n);
    }
}

/// Parses the header, removes the rest of it from the socket, and starts the phases. `had` bytes
/// have been read before, `seen` bytes are still in the socket.
void read_header(StreamSession& s, HeaderBuffer& buf, std::size_t had, std::size_t seen)
{
    Connection& c = *s.connection;
    c.buffer = nullptr;
    const auto size = proxy_protocol_read(c, {buf.data(), had + seen});
    if (!size) {
        stream_finalize_session(s, StreamStatus::bad_request);
        return;
    }
    if (c.recv(c, buf.data(), *size - had) != static_cast<ssize_t>(*size - had)) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    c.log->action = "initializing session";
    stream_session_handler(*c.read);
}

/// Reads the PROXY protocol header and not more: looks at the received data, then reads the header
/// from the socket.
///
/// Differs from nginx: the header may arrive in pieces, within proxy_protocol_timeout; nginx
/// rejects a header that does not arrive at once. Each piece costs a copy and a parse of what has
/// been received.
///
/// Differs from nginx: a session that worker_shutdown_timeout closes does not wait any longer.
///
/// nginx: ngx_stream_proxy_protocol_handler()
void stream_proxy_protocol_handler(Event& rev) noexcept
{
    Connection& c = connection_of(rev);
    StreamSession& s = session_of(rev);
    log_debug(log_debug_stream, c.log, 0, "stream PROXY protocol handler");

    if (c.close || rev.timedout) {
        if (rev.timedout) {
            log_error(log_info, c.log, ETIMEDOUT, "client timed out");
        }
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }

    HeaderBuffer buf;
    std::size_t had = restore_header(c, buf);
    const ssize_t n = peek_header(c, buf, had);
    if (n == -1 && errno == EAGAIN) {
        rev.ready = 0;
        stream_run(s, [&] {
            store_header(c, buf, had);
            wait_for_header(s, rev);
        });
        return;
    }
    if (n == -1) {
        connection_error(c, errno, "recv() failed");
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }
    if (rev.timer_set()) {
        del_timer(rev);
    }

    stream_run(s, [&] { read_header(s, buf, had, static_cast<std::size_t>(n)); });
}

}  // namespace

void stream_init_connection(Connection& c) noexcept
{
    assert(c.pool && c.listening && c.listening->servers);
    const StreamPort::InAddr* addr = nullptr;
    StreamSession* const begun = begin_session(c, addr);
    if (!begun) {
        stream_close_connection(c);
        return;
    }
    StreamSession& s = *begun;

    set_connection_log(c, *addr->default_server->error_log);
    log_connected(c);
    c.log->connection = c.number;
    c.log->handler = stream_log_error;
    c.log->data = &s;
    c.log->action = "initializing session";
    c.log_error = ConnectionError::info;

    Event& rev = *c.read;
    rev.handler = stream_session_handler;

    if (addr->proxy_protocol) {
        c.log->action = "reading PROXY protocol";
        rev.handler = stream_proxy_protocol_handler;
        if (!rev.ready) {
            wait_for_header(s, rev);
            return;
        }
    }

    // The accept mutex is held: the session starts after it is released, so that other workers need
    // not wait for it.
    if (use_accept_mutex) {
        post_event(rev, posted_events);
        return;
    }
    rev.handler(rev);
}

void stream_session_handler(Event& rev) noexcept
{
    stream_core_run_phases(session_of(rev));
}

bool stream_must_end(const Event& ev) noexcept
{
    Connection& c = connection_of(ev);
    if (ev.timedout) {
        connection_error(c, ETIMEDOUT, "connection timed out");
        return true;
    }
    return c.close;
}

void stream_run_failed(StreamSession& s) noexcept
{
    log_exception(s.connection->log);
    s.finalize(s, StreamStatus::internal_server_error);
}

void stream_finalize_session(StreamSession& s, StreamStatus rc) noexcept
{
    assert(in_loop_thread());
    assert(s.connection && s.connection->data == &s);
    log_debug(log_debug_stream, s.connection->log, 0, "finalize stream session: {}",
              static_cast<unsigned>(rc));
    s.status = rc;
    stream_log_session(s);
    stream_close_connection(*s.connection);
}

}  // namespace ngx
