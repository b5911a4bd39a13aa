#include <algorithm>

#include "core/buf.hpp"
#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/module_api.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"

/// \file
/// `example;` in a server block sends back the client's data in capitals, until the client closes
/// its side or sends nothing for `example_timeout`.
///
/// A content handler is called once, after all phases of a connection. The session then belongs to
/// the module: the handler sets the handlers of the connection's two events and returns; these
/// handlers continue the session. No function may block: a call that would block is made later.
namespace ngx {

static_assert(module_api_version == 1, "written for another version of the module API");

// Defined at the end of the file.
extern Module example_module;

namespace {

constexpr Msec default_timeout = 60'000;
constexpr std::size_t default_buffer_size = 4096;

/// The module's configuration: one for the stream block and one for each server in it.
struct ExampleSrvConf {
    static constexpr Module* module = &example_module;  // for stream_get_module_srv_conf()

    std::optional<Msec> timeout{};
    std::optional<std::size_t> buffer_size{};
};

/// The module's data of a session. The pool of the connection owns it.
struct ExampleCtx {
    static constexpr Module* module = &example_module;  // for stream_get_module_ctx()

    Buf* buf = nullptr;  // [pos, last) is unsent, [last, end) is free
};

/// Converts ASCII letters only, independent of the server's locale.
char to_upper(char ch) noexcept
{
    return ch >= 'a' && ch <= 'z' ? static_cast<char>(ch - 'a' + 'A') : ch;
}

/// Reads until the socket has no more data or the buffer is full. Returns false on an error, which
/// recv() has logged.
///
/// The poller sets `ready`, and recv() clears it when it returns io_again. The loop reads as long
/// as `ready` is set, because an edge-triggered poller does not report the same data again.
bool fill_buffer(StreamSession& s, Connection& c, Buf& b) noexcept
{
    while (b.last < b.end && c.read->ready && !c.read->eof) {
        const ssize_t n = c.recv(c, b.last, static_cast<std::size_t>(b.end - b.last));
        if (n == io_error) {
            return false;
        }
        if (n > 0) {
            std::transform(b.last, b.last + n, b.last, to_upper);
            b.last += n;
            s.received += n;  // for the log
        }
    }
    return true;
}

/// Sends the buffer. The socket may accept a part of it; the rest remains in the buffer. Returns
/// false on an error.
bool send_buffer(Connection& c, Buf& b) noexcept
{
    while (b.pos < b.last && c.write->ready) {
        const ssize_t n = c.send(c, b.pos, buf_size(b));
        if (n == io_error) {
            return false;
        }
        b.pos += std::max<ssize_t>(n, 0);
    }
    if (b.pos == b.last) {
        b.pos = b.last = b.start;
    }
    return true;
}

/// Reads and sends until the socket has no more data or accepts no more. A full buffer stops the
/// reading, so a client that does not read its answers uses no more memory than this buffer.
/// Returns false on an error.
bool pump(StreamSession& s, Connection& c, Buf& b) noexcept
{
    do {
        if (!fill_buffer(s, c, b) || !send_buffer(c, b)) {
            return false;
        }
    } while (b.pos == b.last && c.read->ready && !c.read->eof);
    return true;
}

/// Runs the session until it would block. Then it either ends the session or leaves an active event
/// and a timer that continue it; a session without either is lost. After the end the session, its
/// context and its buffer must not be used: the pool that owned them is destroyed.
void example_process(StreamSession& s) noexcept
{
    Connection& c = *s.connection;
    Buf& b = *stream_get_module_ctx<ExampleCtx>(s)->buf;

    if (!pump(s, c, b) || (c.read->eof && b.pos == b.last)) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }

    // With every poller, these two functions watch the events that the session waits for and only
    // those. With a level-triggered poller, a full buffer would otherwise make the loop spin.
    const unsigned flags = c.read->eof ? close_event : 0;
    if (handle_read_event(*c.read, flags) != Rc::ok || handle_write_event(*c.write, 0) != Rc::ok) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    add_timer(*c.read, *stream_get_module_srv_conf<ExampleSrvConf>(s)->timeout);
}

/// The handler of both events. It tests what is ready, not which event called it.
void example_event_handler(Event& ev) noexcept
{
    StreamSession& s = session_of(ev);
    // True if the timer has expired, or if the worker exits and worker_shutdown_timeout has passed.
    if (stream_must_end(ev)) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }
    example_process(s);
}

/// Returns the buffer of the session. If an earlier phase has read data in advance, that is the
/// connection's buffer; otherwise it is new.
Buf* first_buffer(StreamSession& s) noexcept
{
    Connection& c = *s.connection;
    Buf* const b = c.buffer;
    if (!b || b->pos == b->last) {
        return create_temp_buf(*c.pool,
                               *stream_get_module_srv_conf<ExampleSrvConf>(s)->buffer_size);
    }
    std::transform(b->pos, b->last, b->pos, to_upper);
    s.received += static_cast<off_t>(buf_size(*b));
    return b;
}

void example_handler(StreamSession& s) noexcept
{
    Connection& c = *s.connection;
    c.log->action = "answering in capitals";  // "... while answering in capitals" in the log

    auto* const ctx = c.pool->create<ExampleCtx>();
    ctx->buf = first_buffer(s);
    stream_set_ctx(s, ctx);

    c.read->handler = example_event_handler;
    c.write->handler = example_event_handler;
    example_process(s);  // data may already have arrived
}

void* example_create_srv_conf(Conf& cf)
{
    return cf.pool->create<ExampleSrvConf>();
}

/// Sets each unset value of a server to the stream block's, or else to the default.
const char* example_merge_srv_conf(Conf&, void* parent, void* child)
{
    const auto& prev = *static_cast<ExampleSrvConf*>(parent);
    auto& conf = *static_cast<ExampleSrvConf*>(child);
    conf_merge_value(conf.timeout, prev.timeout, default_timeout);
    conf_merge_value(conf.buffer_size, prev.buffer_size, default_buffer_size);
    return conf_ok;
}

/// Refuses a configuration that the module cannot serve, instead of failing when a client connects.
/// When this function is called, all servers and their sockets are known.
Rc example_postconfiguration(Conf& cf)
{
    const auto& cmcf = *stream_conf_get_module_main_conf<StreamCoreMainConf>(cf);
    for (const StreamConfPort& port : cmcf.ports) {
        for (const StreamConfAddr& addr : port.addrs) {
            const auto is_ours = [](const StreamCoreSrvConf* server) {
                return server->handler == example_handler;
            };
            if (port.type == SOCK_DGRAM && std::ranges::any_of(addr.servers, is_ours)) {
                conf_log_error(log_emerg, cf, 0, "\"example\" does not serve datagrams");
                return Rc::error;
            }
        }
    }
    return Rc::ok;
}

/// Handles `example;`. A server has one content handler, and the last directive that sets it wins.
/// The same directive twice is an error.
const char* set_example(Conf& cf, const Command&, void*)
{
    auto& cscf = *stream_conf_get_module_srv_conf<StreamCoreSrvConf>(cf);
    if (cscf.handler == example_handler) {
        return "is duplicate";
    }
    cscf.handler = example_handler;
    return conf_ok;
}

/// Refuses 0, with which the session could never read.
const char* set_example_buffer_size(Conf& cf, const Command& cmd, void* conf)
{
    const char* const rv = conf_set_size_slot<&ExampleSrvConf::buffer_size>(cf, cmd, conf);
    return rv == conf_ok && *static_cast<ExampleSrvConf*>(conf)->buffer_size == 0
               ? "must not be zero"
               : rv;
}

constexpr std::uint32_t main_and_srv = stream_main_conf | stream_srv_conf;

constexpr Command example_commands[] = {
    {
        .name = "example",
        .type = stream_srv_conf | conf_noargs,
        .set = set_example,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "example_timeout",
        .type = main_and_srv | conf_take1,
        .set = conf_set_msec_slot<&ExampleSrvConf::timeout>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "example_buffer_size",
        .type = main_and_srv | conf_take1,
        .set = set_example_buffer_size,
        .conf = stream_srv_conf_offset,
    },
};

constexpr StreamModule example_module_ctx = {
    .postconfiguration = example_postconfiguration,
    .create_srv_conf = example_create_srv_conf,
    .merge_srv_conf = example_merge_srv_conf,
};

}  // namespace

constinit Module example_module = {
    .ctx = &example_module_ctx,
    .commands = example_commands,
    .type = ModuleType::stream,
};

}  // namespace ngx
