#include <algorithm>
#include <cerrno>

#include "core/buf.hpp"
#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/module_api.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"

/// \file
/// `example;` in a server block sends back what the client sends, in capitals, until the client
/// has said all or has been silent for `example_timeout`.
///
/// A content handler is called once, when a connection has come through all phases. From then on
/// the session is its own: it sets the handlers of the connection's two events, leaves, and goes on
/// when one of them is called. Nothing may wait: a call that would block is left for later.
namespace ngx {

static_assert(module_api_version == 1, "written for another version of the module API");

// The descriptor of the module is the last thing in the file, and is needed before.
extern Module example_module;

namespace {

constexpr Msec default_timeout = 60'000;
constexpr std::size_t default_buffer_size = 4096;

/// One for the stream block and one for each server in it.
struct ExampleSrvConf {
    static constexpr Module* module = &example_module;  // for stream_get_module_srv_conf()

    std::optional<Msec> timeout{};
    std::optional<std::size_t> buffer_size{};
};

/// What the module keeps of a session, in the pool of its connection: it goes when that does.
struct ExampleCtx {
    static constexpr Module* module = &example_module;  // for stream_get_module_ctx()

    Buf* buf = nullptr;  // [pos, last) is to be sent, [last, end) is free
};

/// Only ASCII, and in no language: the server's locale has no say in it.
char to_upper(char ch) noexcept
{
    return ch >= 'a' && ch <= 'z' ? static_cast<char>(ch - 'a' + 'A') : ch;
}

/// Reads what there is and what there is room for. False on an error, which recv() has logged.
///
/// `ready` is what the poller, or the last call, knows. It is the condition of the loop, because
/// with a poller that reports changes nobody tells twice: one has to read until recv() answers
/// io_again, which clears it.
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

/// Sends what is there, of which the socket may take a part: the rest stays. False on an error.
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

/// Until the socket has nothing more, or takes nothing more. With a full buffer nothing is read:
/// a client that does not fetch its answers has to wait, and costs no more memory than this.
bool pump(StreamSession& s, Connection& c, Buf& b) noexcept
{
    do {
        if (!fill_buffer(s, c, b) || !send_buffer(c, b)) {
            return false;
        }
    } while (b.pos == b.last && c.read->ready && !c.read->eof);
    return true;
}

/// One step of the session. Each way out ends it, or leaves a timer and an event that go on with
/// it; whoever forgets both has lost a connection. After the end nothing may be touched: session,
/// context and buffer were in the pool that is gone.
void example_process(StreamSession& s) noexcept
{
    Connection& c = *s.connection;
    Buf& b = *stream_get_module_ctx<ExampleCtx>(s)->buf;

    if (!pump(s, c, b) || (c.read->eof && b.pos == b.last)) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }

    // Whatever the poller is like, these two see to it that it watches what is waited for, and no
    // more: with one that reports states, a full buffer would otherwise have the loop spin.
    const unsigned flags = c.read->eof ? close_event : 0;
    if (handle_read_event(*c.read, flags) != Rc::ok || handle_write_event(*c.write, 0) != Rc::ok) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    add_timer(*c.read, *stream_get_module_srv_conf<ExampleSrvConf>(s)->timeout);
}

/// Of both events: what is to be done follows from what is ready, not from who has called.
void example_event_handler(Event& ev) noexcept
{
    Connection& c = *static_cast<Connection*>(ev.data);
    StreamSession& s = *static_cast<StreamSession*>(c.data);

    if (ev.timedout) {
        connection_error(c, ETIMEDOUT, "connection timed out");
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }
    // The worker wants to end: worker_shutdown_timeout is over.
    if (c.close) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }
    example_process(s);
}

/// A phase before may have read ahead: then its buffer comes with the connection, and is used.
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
    example_process(s);  // something may have come already
}

void* example_create_srv_conf(Conf& cf)
{
    return cf.pool->create<ExampleSrvConf>();
}

/// The server's value, or the stream block's, or the default.
const char* example_merge_srv_conf(Conf&, void* parent, void* child)
{
    const auto& prev = *static_cast<ExampleSrvConf*>(parent);
    auto& conf = *static_cast<ExampleSrvConf*>(child);
    conf_merge_value(conf.timeout, prev.timeout, default_timeout);
    conf_merge_value(conf.buffer_size, prev.buffer_size, default_buffer_size);
    return conf_ok;
}

/// What cannot be served is refused when the configuration is read, and not when a client comes.
/// Here all servers and their sockets are known, in whatever order they stand in the file.
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

/// `example;`: a server has one content, and the last directive that sets it wins. To have it twice
/// is a slip.
const char* set_example(Conf& cf, const Command&, void*)
{
    auto& cscf = *stream_conf_get_module_srv_conf<StreamCoreSrvConf>(cf);
    if (cscf.handler == example_handler) {
        return "is duplicate";
    }
    cscf.handler = example_handler;
    return conf_ok;
}

/// A buffer of no size would never take anything.
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
