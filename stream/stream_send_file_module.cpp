#include <bit>
#include <cerrno>
#include <limits>
#include <utility>
#include <vector>

#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/file.hpp"
#include "core/output_chain.hpp"
#include "core/thread_pool.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "event/event_timer.hpp"
#include "os/unix/files.hpp"
#include "os/unix/os.hpp"
#include "stream/stream.hpp"

/// `send_file PATH;` sends a file to each client and closes the connection, in any of the ways to
/// send a file. nginx has no such directive; the other directives of this module are those of
/// nginx's http, with the same defaults.
namespace ngx {

extern Module stream_send_file_module;

namespace {

constexpr off_t directio_off_size = std::numeric_limits<off_t>::max();  // larger than any file
constexpr Msec task_timeout = 60'000;  // an alert is logged each time it has passed

enum class Aio { off, on, threads };

struct StreamSendFileSrvConf {
    static constexpr Module* module = &stream_send_file_module;

    std::string_view path{};

    std::optional<bool> sendfile{};
    std::optional<std::size_t> sendfile_max_chunk{};
    std::optional<Aio> aio{};
    ThreadPool* thread_pool = nullptr;  // for Aio::threads
    std::optional<off_t> directio{};
    std::optional<off_t> directio_alignment{};
    std::optional<Bufs> output_buffers{};
    std::optional<Msec> timeout{};
};

/// The places of `aio on` in the configuration, to be checked when the event method is known.
struct StreamSendFileMainConf {
    std::vector<ConfPlace> aio_on{};
};

/// A file that is being sent to a client. While `output.aio` is set, a thread or the kernel uses
/// the session's memory and descriptors: a session that should end then only sets `finished`, and
/// ends when the task has completed.
struct StreamSendFileCtx {
    static constexpr Module* module = &stream_send_file_module;

    File file{};
    Buf buf{};
    Chain chain{};
    Chain* in = nullptr;  // the chain, until it is passed to `output`
    OutputChainCtx output{};
    ChainWriterCtx writer{};
    StreamStatus finished = StreamStatus::none;
};

/// Ends the session now, or after its running task.
void finish(StreamSession& s, StreamStatus status) noexcept
{
    auto& ctx = *stream_get_module_ctx<StreamSendFileCtx>(s);
    if (!ctx.output.aio) {
        stream_finalize_session(s, status);
        return;
    }
    ctx.finished = status;
    if (s.connection->write->timer_set()) {
        del_timer(*s.connection->write);
    }
}

/// Sends what can be sent now, then waits for the client or for the file.
void send_more(StreamSession& s)
{
    Event& wev = *s.connection->write;
    auto& ctx = *stream_get_module_ctx<StreamSendFileCtx>(s);
    if (ctx.output.aio) {
        return;
    }

    const Rc rc = output_chain(ctx.output, std::exchange(ctx.in, nullptr));
    if (rc == Rc::ok) {
        log_debug(log_debug_stream, wev.log, 0, "stream send file done");
        finish(s, StreamStatus::ok);
        return;
    }
    if (rc == Rc::error || handle_write_event(wev, 0) != Rc::ok) {
        finish(s, StreamStatus::internal_server_error);
        return;
    }
    if (!ctx.output.aio) {
        const auto& conf = *stream_get_module_srv_conf<StreamSendFileSrvConf>(s);
        add_timer(wev, *conf.timeout);
    } else if (wev.timer_set()) {
        del_timer(wev);  // waiting for the file, not for the client
    }
}

void send_file_write_handler(Event& wev) noexcept
{
    StreamSession& s = session_of(wev);
    if (stream_must_end(wev)) {
        finish(s, StreamStatus::ok);
        return;
    }
    stream_run(s, [&] { send_more(s); });
}

/// Handles only the shutdown timer, which calls the read handler. Data from the client is not read.
void send_file_read_handler(Event& rev) noexcept
{
    if (connection_of(rev).close) {
        finish(session_of(rev), StreamStatus::ok);
    }
}

/// Continues the session after a task. If task_timeout has passed instead, only logs an alert and
/// waits on, because neither a thread nor the kernel's read can be stopped.
void task_handler(Event& ev, StreamSession& s, const char* what) noexcept
{
    if (ev.timedout) {
        ev.timedout = 0;
        log_error(log_alert, s.connection->log, 0, "{} operation took too long", what);
        add_timer(ev, task_timeout);
        return;
    }
    if (ev.timer_set()) {
        del_timer(ev);
    }

    auto& ctx = *stream_get_module_ctx<StreamSendFileCtx>(s);
    ctx.output.aio = false;
    if (ctx.finished != StreamStatus::none) {
        stream_finalize_session(s, ctx.finished);
        return;
    }
    stream_run(s, [&] { send_more(s); });
}

/// In nginx's http: ngx_http_copy_aio_event_handler()
void aio_event_handler(Event& ev) noexcept
{
    const auto& aio = *static_cast<EventAio*>(ev.data);
    task_handler(ev, *static_cast<StreamSession*>(aio.data), "aio");
}

/// In nginx's http: ngx_http_copy_aio_handler()
void aio_handler(OutputChainCtx& output, File& file) noexcept
{
    const Connection& c = *static_cast<ChainWriterCtx*>(output.filter_ctx)->connection;
    file.aio->data = c.data;
    file.aio->handler = aio_event_handler;
    add_timer(file.aio->event, task_timeout);
    output.aio = true;
}

/// In nginx's http: ngx_http_copy_thread_event_handler()
void thread_event_handler(Event& ev) noexcept
{
    task_handler(ev, session_of(ev), "thread");
}

/// In nginx's http: ngx_http_copy_thread_handler()
Rc thread_handler(ThreadTask& task, File& file) noexcept
{
    Connection& c = *static_cast<ChainWriterCtx*>(file.thread_ctx)->connection;
    const StreamSession& s = *static_cast<StreamSession*>(c.data);
    const auto& conf = *stream_get_module_srv_conf<StreamSendFileSrvConf>(s);

    task.event.data = &c;
    task.event.handler = thread_event_handler;
    if (thread_task_post(*conf.thread_pool, task) != Rc::ok) {
        return Rc::error;
    }
    add_timer(task.event, task_timeout);
    stream_get_module_ctx<StreamSendFileCtx>(s)->output.aio = true;
    return Rc::ok;
}

void close_session_file(void* data) noexcept
{
    if (const int fd = static_cast<File*>(data)->fd; fd != invalid_file) {
        (void)close_file(fd);
    }
}

/// Opens the file of the session; the connection's pool will close it. Returns false after logging.
bool open_session_file(Connection& c, const StreamSendFileSrvConf& conf, File& file)
{
    file.name = conf.path;
    file.log = c.log;
    c.pool->cleanup_add(close_session_file, &file);
    // Without O_NONBLOCK, opening a FIFO would wait for a writer.
    file.fd = open_file(file.name.data(), O_RDONLY | O_NONBLOCK);
    if (file.fd == invalid_file) {
        log_error(log_err, c.log, errno, "open() \"{}\" failed", file.name);
        return false;
    }

    if (fd_info(file.fd, &file.info) == -1) {
        log_error(log_crit, c.log, errno, "fstat() \"{}\" failed", file.name);
        return false;
    }
    if (!S_ISREG(file.info.st_mode)) {
        log_error(log_err, c.log, 0, "\"{}\" is {}", file.name,
                  S_ISDIR(file.info.st_mode) ? "a directory" : "not a regular file");
        return false;
    }
    if (file.info.st_size >= *conf.directio) {
        file.directio = directio_on(file.fd) != -1;
        if (!file.directio) {
            log_error(log_alert, c.log, errno, "fcntl(O_DIRECT) \"{}\" failed", file.name);
        }
    }
    return true;
}

/// Sets how the file is read and sent, according to the configuration.
void init_output(StreamSession& s, const StreamSendFileSrvConf& conf, StreamSendFileCtx& ctx)
{
    Connection& c = *s.connection;
    c.sendfile = *conf.sendfile && (io.flags & io_sendfile) != 0;

    ctx.writer.connection = &c;
    ctx.writer.limit = static_cast<off_t>(*conf.sendfile_max_chunk);

    OutputChainCtx& output = ctx.output;
    output.sendfile = c.sendfile;
    output.alignment = *conf.directio_alignment;
    output.bufs = *conf.output_buffers;
    output.pool = c.pool;
    output.aio_handler = *conf.aio == Aio::on && file_aio ? aio_handler : nullptr;
    output.thread_handler = *conf.aio == Aio::threads ? thread_handler : nullptr;
    output.output_filter = chain_writer;
    output.filter_ctx = &ctx.writer;
}

void stream_send_file_handler(StreamSession& s)
{
    Connection& c = *s.connection;
    c.log->action = "sending a file";

    const auto& conf = *stream_get_module_srv_conf<StreamSendFileSrvConf>(s);
    auto& ctx = *c.pool->create<StreamSendFileCtx>();
    if (c.type != SOCK_STREAM) {
        log_error(log_err, c.log, 0, "\"send_file\" cannot send datagrams");
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    if (!open_session_file(c, conf, ctx.file)) {
        stream_finalize_session(s, StreamStatus::internal_server_error);
        return;
    }
    if (ctx.file.info.st_size == 0) {
        stream_finalize_session(s, StreamStatus::ok);
        return;
    }

    stream_set_ctx(s, &ctx);
    s.finalize = finish;
    init_output(s, conf, ctx);
    ctx.buf.file = &ctx.file;
    ctx.buf.in_file = 1;
    ctx.buf.file_last = ctx.file.info.st_size;
    ctx.buf.last_buf = 1;
    ctx.chain.buf = &ctx.buf;
    ctx.in = &ctx.chain;

    c.read->handler = send_file_read_handler;
    c.write->handler = send_file_write_handler;
    send_more(s);
}

void* stream_send_file_create_main_conf(Conf& cf)
{
    return cf.pool->create<StreamSendFileMainConf>();
}

/// Checks that the event method can complete the reads of `aio on`. The thread pool module checks
/// the pools.
const char* stream_send_file_init_conf(Cycle& cycle, void* main_conf)
{
    const EventModule& method = event_method(cycle);
    const auto& places = static_cast<StreamSendFileMainConf*>(main_conf)->aio_on;
    if (method.file_aio || places.empty()) {
        return conf_ok;
    }
    conf_log_error(log_emerg, cycle.log, places.front(), 0,
                   "\"aio on\" is unsupported by the event method \"{}\"", method.name);
    return conf_error;
}

void* stream_send_file_create_srv_conf(Conf& cf)
{
    return cf.pool->create<StreamSendFileSrvConf>();
}

const char* stream_send_file_merge_srv_conf(Conf& cf, void* parent, void* child)
{
    const auto& prev = *static_cast<StreamSendFileSrvConf*>(parent);
    auto& conf = *static_cast<StreamSendFileSrvConf*>(child);

    conf.thread_pool = conf.aio ? conf.thread_pool : prev.thread_pool;
    conf_merge_value(conf.aio, prev.aio, Aio::off);
    conf_merge_value(conf.sendfile, prev.sendfile, false);
    conf_merge_value(conf.sendfile_max_chunk, prev.sendfile_max_chunk, std::size_t{2} << 20);
    conf_merge_value(conf.directio, prev.directio, directio_off_size);
    conf_merge_value(conf.directio_alignment, prev.directio_alignment, 512);
    conf_merge_value(conf.output_buffers, prev.output_buffers, Bufs{2, 32'768});
    conf_merge_value(conf.timeout, prev.timeout, Msec{60'000});

    const auto alignment = static_cast<std::size_t>(*conf.directio_alignment);
    if (*conf.directio != directio_off_size && conf.output_buffers->size % alignment != 0) {
        conf_log_error(log_emerg, cf, 0,
                       "with \"directio\" the size of \"output_buffers\" must be a multiple of "
                       "\"directio_alignment\", {}",
                       alignment);
        return conf_error;
    }
    return conf_ok;
}

/// Handles `send_file PATH;`.
const char* stream_send_file(Conf& cf, const Command&, void* conf)
{
    auto& srv_conf = *static_cast<StreamSendFileSrvConf*>(conf);
    if (!srv_conf.path.empty()) {
        return "is duplicate";
    }
    if (cf.args[1].empty()) {
        return "needs a path";
    }
    srv_conf.path = conf_full_name(*cf.cycle, cf.args[1], false);
    stream_conf_get_module_srv_conf<StreamCoreSrvConf>(cf)->handler = stream_send_file_handler;
    return conf_ok;
}

/// Handles `aio on|off|threads[=POOL];`.
///
/// In nginx's http: ngx_http_core_set_aio()
const char* stream_send_file_aio(Conf& cf, const Command&, void* conf)
{
    constexpr std::string_view threads = "threads";
    auto& srv_conf = *static_cast<StreamSendFileSrvConf*>(conf);
    const std::string_view value = cf.args[1];
    if (srv_conf.aio) {
        return "is duplicate";
    }

    if (value == "off") {
        srv_conf.aio = Aio::off;
        return conf_ok;
    }
    if (value == "on") {
        srv_conf.aio = Aio::on;
        auto& main = *static_cast<StreamSendFileMainConf*>(
            cf.ctx->conf[stream_main_conf_offset][stream_send_file_module.ctx_index]);
        main.aio_on.push_back({cf.pool->pstrdup(cf.conf_file->name), cf.conf_file->line});
        return conf_ok;
    }
    if (value == threads) {
        srv_conf.thread_pool = &thread_pool_add(cf);
    } else if (value.starts_with("threads=") && value.size() > threads.size() + 1) {
        srv_conf.thread_pool = &thread_pool_add(cf, value.substr(threads.size() + 1));
    } else {
        return "invalid value";
    }
    srv_conf.aio = Aio::threads;
    return conf_ok;
}

/// Handles `directio SIZE|off;`.
const char* stream_send_file_directio(Conf& cf, const Command& cmd, void* conf)
{
    auto& directio = static_cast<StreamSendFileSrvConf*>(conf)->directio;
    if (cf.args[1] != "off") {
        return conf_set_off_slot<&StreamSendFileSrvConf::directio>(cf, cmd, conf);
    }
    if (directio) {
        return "is duplicate";
    }
    directio = directio_off_size;
    return conf_ok;
}

/// Handles `directio_alignment SIZE;`.
///
/// Differs from nginx's http: nginx accepts any number, and with most of them reads fail.
const char* stream_send_file_directio_alignment(Conf& cf, const Command& cmd, void* conf)
{
    const char* rv = conf_set_off_slot<&StreamSendFileSrvConf::directio_alignment>(cf, cmd, conf);
    if (rv != conf_ok) {
        return rv;
    }
    const off_t value = *static_cast<StreamSendFileSrvConf*>(conf)->directio_alignment;
    return std::has_single_bit(static_cast<std::uint64_t>(value)) ? conf_ok
                                                                  : "must be a power of 2";
}

constexpr std::uint32_t main_and_srv = stream_main_conf | stream_srv_conf;

constexpr Command stream_send_file_commands[] = {
    {
        .name = "send_file",
        .type = stream_srv_conf | conf_take1,
        .set = stream_send_file,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "sendfile",
        .type = main_and_srv | conf_flag,
        .set = conf_set_flag_slot<&StreamSendFileSrvConf::sendfile>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "sendfile_max_chunk",
        .type = main_and_srv | conf_take1,
        .set = conf_set_size_slot<&StreamSendFileSrvConf::sendfile_max_chunk>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "aio",
        .type = main_and_srv | conf_take1,
        .set = stream_send_file_aio,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "directio",
        .type = main_and_srv | conf_take1,
        .set = stream_send_file_directio,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "directio_alignment",
        .type = main_and_srv | conf_take1,
        .set = stream_send_file_directio_alignment,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "output_buffers",
        .type = main_and_srv | conf_take2,
        .set = conf_set_bufs_slot<&StreamSendFileSrvConf::output_buffers>,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "send_file_timeout",
        .type = main_and_srv | conf_take1,
        .set = conf_set_msec_slot<&StreamSendFileSrvConf::timeout>,
        .conf = stream_srv_conf_offset,
    },
};

constexpr StreamModule stream_send_file_module_ctx = {
    .create_main_conf = stream_send_file_create_main_conf,
    .create_srv_conf = stream_send_file_create_srv_conf,
    .merge_srv_conf = stream_send_file_merge_srv_conf,
    .init_conf = stream_send_file_init_conf,
};

}  // namespace

constinit Module stream_send_file_module = {
    .ctx = &stream_send_file_module_ctx,
    .commands = stream_send_file_commands,
    .type = ModuleType::stream,
};

}  // namespace ngx
