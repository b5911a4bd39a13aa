#include <array>
#include <cassert>

#include "core/buf.hpp"
#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "event/event_udp.hpp"
#include "stream/stream.hpp"

/// `echo;` sends back the data that it reads: the shortest module that handles read and write
/// events. Over UDP it sends back each datagram; the session ends when its client has been silent
/// for echo_timeout. nginx has no such module.
namespace ngx {

extern Module stream_echo_module;

namespace {

struct StreamEchoSrvConf {
    static constexpr Module* module = &stream_echo_module;

    std::optional<Msec> timeout{};
    std::optional<std::size_t> buffer_size{};
};

/// The data that has been read and not yet sent back. The buffer is allocated when data arrives.
struct StreamEchoCtx {
    static constexpr Module* module = &stream_echo_module;

    Buf* buf = nullptr;
};

std::array<char, 65'535> datagram;  // of any connection: it is sent at once or dropped

bool is_empty(const Buf& b) noexcept
{
    return b.pos == b.last;
}

/// Sends from the buffer until it is empty or the socket accepts no more. Returns false on an
/// error.
bool send_buffer(Connection& c, Buf& b) noexcept
{
    assert(b.start && b.pos <= b.last && b.last <= b.end);
    while (!is_empty(b) && c.write->ready) {
        const ssize_t n = c.send(c, b.pos, buf_size(b));
        if (n == io_error) {
            return false;
        }
        if (n > 0) {
            b.pos += n;
        }
    }
    if (is_empty(b)) {
        b.pos = b.start;
        b.last = b.start;
    }
    return true;
}

/// Reads until the buffer is full or there is no more data. Returns false on an error.
bool fill_buffer(StreamSession& s, Connection& c, Buf& b) noexcept
{
    while (b.last < b.end && c.read->ready && !c.read->eof) {
        const ssize_t n = c.recv(c, b.last, static_cast<std::size_t>(b.end - b.last));
        if (n == io_error) {
            return false;
        }
        if (n > 0) {
            b.last += n;
            s.received += n;
        }
    }
    return true;
}

/// Reads and sends until there is no more data or the socket accepts no more. Returns false on an
/// error. With a full buffer it does not read, so that a client that does not read its data has to
/// wait.
bool pump(StreamSession& s, Connection& c, Buf& b) noexcept
{
    for (;;) {
        if (!fill_buffer(s, c, b)) {
            return false;
        }
        if (is_empty(b)) {
            return true;
        }
        if (!send_buffer(c, b)) {
            return false;
        }
        if (!is_empty(b)) {
            return true;
        }
    }
}

/// Moves the data that can be moved now, then waits for the next event or ends the session. Similar
/// to ngx_stream_proxy_process().
void echo_process(StreamSession& s)
{
    Connection& c = *s.connection;
    const auto& srv_conf = *stream_get_module_srv_conf<StreamEchoSrvConf>(s);
    auto& ctx = *stream_get_module_ctx<StreamEchoCtx>(s);

    if (!ctx.buf && c.read->ready) {
        ctx.buf = create_temp_buf(*c.pool, *srv_conf.buffer_size);
    }
    if (ctx.buf && !pump(s, c, *ctx.buf)) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }
    if (c.read->eof && is_empty(*ctx.buf)) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }

    const unsigned flags = c.read->eof ? close_event : 0;
    if (handle_read_event(*c.read, flags) != Rc::ok || handle_write_event(*c.write, 0) != Rc::ok) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    add_timer(*c.read, *srv_conf.timeout);
}

void echo_handler(Event& ev) noexcept
{
    StreamSession& s = session_of(ev);
    if (stream_must_end(ev)) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }
    stream_run(s, [&] { echo_process(s); });
}

/// Sends a datagram back, or drops it if the socket has no room. Returns false on an error.
bool echo_datagram(Connection& c, Buf& b) noexcept
{
    b.last_buf = 1;
    Chain out{.buf = &b, .next = nullptr};
    const Chain* const left = c.send_chain(c, &out, 0);
    if (left && left != chain_error) {
        log_debug(log_debug_stream, c.log, 0, "stream echo: datagram dropped");
    }
    return left != chain_error;
}

bool echo_next_datagram(StreamSession& s, Connection& c) noexcept
{
    const ssize_t n = c.recv(c, datagram.data(), datagram.size());
    if (n < 0) {
        return n == io_again;
    }
    s.received += n;
    Buf b;
    b.pos = datagram.data();
    b.last = b.pos + n;
    b.memory = 1;
    return echo_datagram(c, b);
}

void echo_datagram_handler(Event& ev) noexcept
{
    Connection& c = connection_of(ev);
    StreamSession& s = session_of(ev);

    if (ev.timedout || c.close || udp_is_closing(c)) {
        if (ev.timedout) {
            log_error(log_info, c.log, 0, "udp timed out");
        }
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }
    if (c.read->ready && !echo_next_datagram(s, c)) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    if (handle_write_event(*c.write, 0) != Rc::ok) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    if (!ev.write) {
        add_timer(*c.read, *stream_get_module_srv_conf<StreamEchoSrvConf>(s)->timeout);
    }
}

void echo_datagrams(StreamSession& s)
{
    Connection& c = *s.connection;
    c.read->handler = echo_datagram_handler;
    c.write->handler = echo_datagram_handler;
    if (!echo_datagram(c, *c.buffer)) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    // Another datagram may have arrived before the session started.
    echo_datagram_handler(*c.read);
}

void stream_echo_handler(StreamSession& s)
{
    Connection& c = *s.connection;
    c.log->action = "echoing data";
    if (c.type == SOCK_DGRAM) {
        echo_datagrams(s);
        return;
    }

    auto* ctx = c.pool->create<StreamEchoCtx>();
    if (c.buffer && !is_empty(*c.buffer)) {
        ctx->buf = c.buffer;  // read in the preread phase
        s.received += static_cast<off_t>(buf_size(*c.buffer));
    }
    stream_set_ctx(s, ctx);
    c.read->handler = echo_handler;
    c.write->handler = echo_handler;
    echo_process(s);
}

void* stream_echo_create_srv_conf(Conf& cf)
{
    return cf.pool->create<StreamEchoSrvConf>();
}

const char* stream_echo_merge_srv_conf(Conf&, void* parent, void* child)
{
    const auto& prev = *static_cast<StreamEchoSrvConf*>(parent);
    auto& conf = *static_cast<StreamEchoSrvConf*>(child);
    conf_merge_value(conf.timeout, prev.timeout, Msec{60'000});
    conf_merge_value(conf.buffer_size, prev.buffer_size, std::size_t{16'384});
    return conf_ok;
}

/// Handles `echo;`.
const char* stream_echo(Conf& cf, const Command&, void*)
{
    auto& cscf = *stream_conf_get_module_srv_conf<StreamCoreSrvConf>(cf);
    if (cscf.handler == stream_echo_handler) {
        return "is duplicate";
    }
    cscf.handler = stream_echo_handler;
    return conf_ok;
}

/// Handles `echo_buffer_size SIZE;`. With a size of 0 nothing could be read.
const char* stream_echo_buffer_size(Conf& cf, const Command& cmd, void* conf)
{
    const char* rv = conf_set_size_slot<&StreamEchoSrvConf::buffer_size>(cf, cmd, conf);
    const auto& srv_conf = *static_cast<StreamEchoSrvConf*>(conf);
    return rv == conf_ok && *srv_conf.buffer_size == 0 ? "must not be zero" : rv;
}

constexpr std::uint32_t main_and_srv = stream_main_conf | stream_srv_conf;

constexpr Command stream_echo_commands[] = {
    {
        .name = "echo",
        .type = stream_srv_conf | conf_noargs,
        .set = stream_echo,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "echo_timeout",
        .type = main_and_srv | conf_take1,
        .set = conf_set_msec_slot<&StreamEchoSrvConf::timeout>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "echo_buffer_size",
        .type = main_and_srv | conf_take1,
        .set = stream_echo_buffer_size,
        .conf = stream_srv_conf_offset,
    },
};

constexpr StreamModule stream_echo_module_ctx = {
    .create_srv_conf = stream_echo_create_srv_conf,
    .merge_srv_conf = stream_echo_merge_srv_conf,
};

}  // namespace

constinit Module stream_echo_module = {
    .ctx = &stream_echo_module_ctx,
    .commands = stream_echo_commands,
    .type = ModuleType::stream,
};

}  // namespace ngx
