#include <array>

#include "core/buf.hpp"
#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "event/event_udp.hpp"
#include "stream/stream.hpp"

/// `discard;` reads data and ignores it, over TCP until the client closes, over UDP until the
/// client has been silent for discard_timeout. nginx has no such module.
namespace ngx {

extern Module stream_discard_module;

namespace {

struct StreamDiscardSrvConf {
    static constexpr Module* module = &stream_discard_module;

    std::optional<Msec> timeout{};
};

std::array<char, 16'384> waste;  // shared by all connections: its content is never used

void discard_handler(Event& rev) noexcept
{
    Connection& c = connection_of(rev);
    StreamSession& s = session_of(rev);
    const auto& srv_conf = *stream_get_module_srv_conf<StreamDiscardSrvConf>(s);

    if (rev.timedout && c.type == SOCK_DGRAM) {
        log_error(log_info, c.log, 0, "udp timed out");
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }
    const bool must_end = stream_must_end(rev);
    while (rev.ready && !rev.eof && !rev.error) {
        const ssize_t n = c.recv(c, waste.data(), waste.size());
        s.received += n > 0 ? n : 0;
    }
    if (must_end || rev.eof || rev.error || udp_is_closing(c)) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }
    if (handle_read_event(rev, 0) != Rc::ok) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    add_timer(rev, *srv_conf.timeout);
}

/// Ignores write events: some pollers report both directions.
void discard_write_handler(Event& wev) noexcept
{
    log_debug(log_debug_stream, wev.log, 0, "stream discard has nothing to write");
}

void stream_discard_handler(StreamSession& s) noexcept
{
    Connection& c = *s.connection;
    c.log->action = "discarding data";
    if (c.buffer && c.type == SOCK_STREAM) {
        s.received += static_cast<off_t>(buf_size(*c.buffer));  // read in the preread phase
    }
    c.read->handler = discard_handler;
    c.write->handler = discard_write_handler;
    discard_handler(*c.read);
}

void* stream_discard_create_srv_conf(Conf& cf)
{
    return cf.pool->create<StreamDiscardSrvConf>();
}

const char* stream_discard_merge_srv_conf(Conf&, void* parent, void* child)
{
    const auto& prev = *static_cast<StreamDiscardSrvConf*>(parent);
    auto& conf = *static_cast<StreamDiscardSrvConf*>(child);
    conf_merge_value(conf.timeout, prev.timeout, Msec{60'000});
    return conf_ok;
}

/// Handles `discard;`.
const char* stream_discard(Conf& cf, const Command&, void*)
{
    auto& cscf = *stream_conf_get_module_srv_conf<StreamCoreSrvConf>(cf);
    if (cscf.handler == stream_discard_handler) {
        return "is duplicate";
    }
    cscf.handler = stream_discard_handler;
    return conf_ok;
}

constexpr Command stream_discard_commands[] = {
    {
        .name = "discard",
        .type = stream_srv_conf | conf_noargs,
        .set = stream_discard,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "discard_timeout",
        .type = stream_main_conf | stream_srv_conf | conf_take1,
        .set = conf_set_msec_slot<&StreamDiscardSrvConf::timeout>,
        .conf = stream_srv_conf_offset,
    },
};

constexpr StreamModule stream_discard_module_ctx = {
    .create_srv_conf = stream_discard_create_srv_conf,
    .merge_srv_conf = stream_discard_merge_srv_conf,
};

}  // namespace

constinit Module stream_discard_module = {
    .ctx = &stream_discard_module_ctx,
    .commands = stream_discard_commands,
    .type = ModuleType::stream,
};

}  // namespace ngx
