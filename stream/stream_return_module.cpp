#include "core/buf.hpp"
#include "core/connection.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"
#include "stream/stream_script.hpp"

namespace ngx {

extern Module stream_return_module;

namespace {

constexpr Msec send_timeout = 5000;

/// nginx: ngx_stream_return_srv_conf_t
struct StreamReturnSrvConf {
    static constexpr Module* module = &stream_return_module;

    std::optional<StreamComplexValue> text{};
};

/// The text that has not been sent yet.
///
/// nginx: ngx_stream_return_ctx_t
struct StreamReturnCtx {
    static constexpr Module* module = &stream_return_module;

    Buf buf{};
    Chain out{};
};

/// nginx: ngx_stream_return_write_handler()
void stream_return_write_handler(Event& ev) noexcept
{
    Connection& c = connection_of(ev);
    StreamSession& s = session_of(ev);
    if (stream_must_end(ev)) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }

    auto& ctx = *stream_get_module_ctx<StreamReturnCtx>(s);
    const Chain* left = c.send_chain(c, &ctx.out, 0);
    if (left == chain_error) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    if (!left) {
        log_debug(log_debug_stream, c.log, 0, "stream return done sending");
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }
    if (handle_write_event(ev, 0) != Rc::ok) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    add_timer(ev, send_timeout);
}

/// Handles only the shutdown timer, which calls the read handler. Data from the client is not read.
void stream_return_read_handler(Event& rev) noexcept
{
    Connection& c = connection_of(rev);
    if (c.close) {
        stream_return_write_handler(*c.write);
    }
}

/// nginx: ngx_stream_return_handler()
void stream_return_handler(StreamSession& s)
{
    Connection& c = *s.connection;
    c.log->action = "returning text";

    const auto& rscf = *stream_get_module_srv_conf<StreamReturnSrvConf>(s);
    const std::string_view text = stream_complex_value(s, *rscf.text);
    log_debug(log_debug_stream, c.log, 0, "stream return text: \"{}\"", text);
    if (text.empty()) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }

    auto* ctx = c.pool->create<StreamReturnCtx>();
    stream_set_ctx(s, ctx);
    ctx->buf.pos = const_cast<char*>(text.data());
    ctx->buf.last = ctx->buf.pos + text.size();
    ctx->buf.memory = 1;
    ctx->buf.last_buf = 1;
    ctx->out.buf = &ctx->buf;

    c.read->handler = stream_return_read_handler;
    c.write->handler = stream_return_write_handler;
    stream_return_write_handler(*c.write);
}

/// nginx: ngx_stream_return_create_srv_conf()
void* stream_return_create_srv_conf(Conf& cf)
{
    return cf.pool->create<StreamReturnSrvConf>();
}

/// Handles `return TEXT;`.
///
/// nginx: ngx_stream_return()
const char* stream_return(Conf& cf, const Command&, void* conf)
{
    auto& rscf = *static_cast<StreamReturnSrvConf*>(conf);
    if (rscf.text) {
        return "is duplicate";
    }
    if (stream_compile_complex_value(cf, cf.args[1], rscf.text.emplace()) != Rc::ok) {
        return conf_error;
    }
    stream_conf_get_module_srv_conf<StreamCoreSrvConf>(cf)->handler = stream_return_handler;
    return conf_ok;
}

constexpr Command stream_return_commands[] = {
    {
        .name = "return",
        .type = stream_srv_conf | conf_take1,
        .set = stream_return,
        .conf = stream_srv_conf_offset,
    },
};

constexpr StreamModule stream_return_module_ctx = {
    .create_srv_conf = stream_return_create_srv_conf,
};

}  // namespace

constinit Module stream_return_module = {
    .ctx = &stream_return_module_ctx,
    .commands = stream_return_commands,
    .type = ModuleType::stream,
};

}  // namespace ngx
