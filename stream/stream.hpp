#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <ctime>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "core/conf_file.hpp"
#include "core/connection.hpp"
#include "core/core.hpp"
#include "core/inet.hpp"
#include "core/module.hpp"
#include "event/event.hpp"

namespace ngx {

struct StreamSession;
struct StreamUpstream;
struct StreamVariable;

/// The blocks in which a stream command is allowed, for Command::type.
///
/// nginx: NGX_STREAM_MAIN_CONF, NGX_STREAM_SRV_CONF
inline constexpr std::uint32_t stream_main_conf = 0x02000000;
inline constexpr std::uint32_t stream_srv_conf = 0x04000000;

/// The levels of a stream context, for Command::conf.
///
/// nginx: NGX_STREAM_MAIN_CONF_OFFSET, NGX_STREAM_SRV_CONF_OFFSET
inline constexpr std::size_t stream_main_conf_offset = 0;
inline constexpr std::size_t stream_srv_conf_offset = 1;

/// How a session ended, for $status.
///
/// nginx: NGX_STREAM_OK, NGX_STREAM_BAD_REQUEST, NGX_STREAM_FORBIDDEN,
/// NGX_STREAM_INTERNAL_SERVER_ERROR, NGX_STREAM_BAD_GATEWAY, NGX_STREAM_SERVICE_UNAVAILABLE
enum class StreamStatus : unsigned {
    none = 0,
    ok = 200,
    bad_request = 400,
    forbidden = 403,
    internal_server_error = 500,
    bad_gateway = 502,
    service_unavailable = 503,
};

/// The content of a server: the function that serves each of its connections after the phases. From
/// this call on the content owns the session, and ends it with stream_finalize_session(). Called on
/// the loop's thread, within stream_run(), so that an exception ends the session.
///
/// nginx: ngx_stream_content_handler_pt
using StreamContentHandler = void (*)(StreamSession& s);

/// The phases of a session, in order. Modules add handlers to them with stream_add_phase_handler(),
/// except to `content`, which has the server's StreamContentHandler. The handlers of `log` are
/// called when the session ends.
///
/// nginx: ngx_stream_phases
enum class StreamPhase : unsigned { post_accept, preaccess, access, preread, content, log };

/// The result of a phase handler. ok: continue with the next phase; declined: with the next
/// handler; again: in the preread phase, call the handler again when more data has arrived; done:
/// wait, the handler itself makes the session continue. In the other phases again means the same as
/// done. A StreamStatus, or error, which stands for internal_server_error, ends the session.
struct StreamPhaseRc {
    StreamPhaseRc(Rc answer) noexcept : rc(answer) {}
    StreamPhaseRc(StreamStatus end) noexcept : rc(Rc::error), status(end) {}

    Rc rc;
    StreamStatus status = StreamStatus::internal_server_error;
};

/// A module's handler of a phase. Called on the loop's thread; it may throw. In the preread phase
/// `connection->buffer` holds the data that the client has sent so far; it is null at first.
///
/// nginx: ngx_stream_handler_pt
using StreamHandler = StreamPhaseRc (*)(StreamSession& s);

/// An entry of the list of the handlers of all phases; `next` is the index of the first handler of
/// the next phase. The checker calls the handler and acts on its result. It returns again if the
/// session continues at once, and ok if the session waits, belongs to the content, or has ended.
///
/// nginx: ngx_stream_phase_handler_t
struct StreamPhaseHandler {
    Rc (*checker)(StreamSession& s, const StreamPhaseHandler& ph) = nullptr;
    StreamHandler handler = nullptr;
    std::size_t next = 0;
};

/// The context of a stream module: functions that are called while the configuration is read. Each
/// may be null. Those that return Rc log their errors; those that return const char* return what a
/// directive's function does. The cycle's pool owns the configurations.
///
/// nginx: ngx_stream_module_t
struct StreamModule {
    Rc (*preconfiguration)(Conf& cf) = nullptr;   // before the stream block is read
    Rc (*postconfiguration)(Conf& cf) = nullptr;  // after the block has been read and merged

    void* (*create_main_conf)(Conf& cf) = nullptr;                  // before the block is read
    const char* (*init_main_conf)(Conf& cf, void* conf) = nullptr;  // after the block has been read

    /// Creates the configuration of a server, before the server is read; called also for the stream
    /// block, whose values are the defaults of all servers.
    void* (*create_srv_conf)(Conf& cf) = nullptr;

    /// Called for each server after the block has been read: sets the values that the server does
    /// not set in `conf` to those of the stream block, `prev`, or to their defaults.
    const char* (*merge_srv_conf)(Conf& cf, void* prev, void* conf) = nullptr;

    /// Called when the whole file has been read, and with it the events block, which may follow the
    /// stream block. Returns conf_ok, or conf_error after logging. nginx has no such function.
    const char* (*init_conf)(Cycle& cycle, void* main_conf) = nullptr;
};

/// nginx: ngx_stream_module, ngx_stream_core_module
extern Module stream_module;
extern Module stream_core_module;

/// The options of an address from its `listen` directives. -1 means the system's default.
///
/// nginx: ngx_stream_listen_opt_t
struct StreamListenOpt {
    Addr addr{};

    bool set = false;  // has options of the socket, which only one `listen` of the address may have
    bool bind = false;  // needs its own socket, even if a wildcard address has the same port
    bool wildcard = false;
    bool default_server = false;
    bool ipv6only = true;
    bool deferred_accept = false;
    bool reuseport = false;
    bool proxy_protocol = false;
    unsigned so_keepalive = 0;

    int type = SOCK_STREAM;
    int protocol = 0;
    int backlog = Listening::listen_backlog;
    int rcvbuf = -1;
    int sndbuf = -1;
    int fastopen = -1;
    int tcp_keepidle = 0;
    int tcp_keepintvl = 0;
    int tcp_keepcnt = 0;
};

/// The core module's configuration of a server. The cycle's pool owns it.
///
/// nginx: ngx_stream_core_srv_conf_t
struct StreamCoreSrvConf {
    static constexpr Module* module = &stream_core_module;

    StreamContentHandler handler = nullptr;
    BlockCtx* ctx = nullptr;

    std::string_view file_name{};
    std::size_t line = 0;

    std::optional<bool> tcp_nodelay{};
    std::optional<std::size_t> preread_buffer_size{};
    std::optional<Msec> preread_timeout{};
    std::optional<Msec> proxy_protocol_timeout{};
    Log* error_log = nullptr;
    bool listen = false;
};

/// Returns the bytes of an address, which tell it from others: parse_url() has zeroed the unused
/// ones.
inline std::string_view stream_addr_bytes(const Addr& addr) noexcept
{
    return {reinterpret_cast<const char*>(&addr.sockaddr), addr.socklen};
}

/// An address and the servers that listen on it, while the block is read.
///
/// nginx: ngx_stream_conf_addr_t
struct StreamConfAddr {
    StreamListenOpt opt{};
    StreamCoreSrvConf* default_server = nullptr;
    std::vector<const StreamCoreSrvConf*> servers{};

    bool protocols = false;          // whether `proxy_protocol` is expected of further servers
    bool protocols_set = false;      // `protocols` is set: there are two servers or more
    bool protocols_changed = false;  // the servers differ in `proxy_protocol`
};

/// A port with all its addresses, while the block is read.
///
/// nginx: ngx_stream_conf_port_t
struct StreamConfPort {
    sa_family_t family = AF_UNSPEC;
    int type = SOCK_STREAM;
    in_port_t port = 0;
    std::vector<StreamConfAddr> addrs{};
    std::unordered_map<std::string, std::size_t> addr_index{};  // by stream_addr_bytes()
};

/// The family, type and port of a StreamConfPort.
using StreamPortKey = std::tuple<sa_family_t, int, in_port_t>;

/// The addresses that a listening socket serves; if one of them is the wildcard, it is the last.
/// Listening::servers points to it, and the cycle's pool owns it.
///
/// nginx: ngx_stream_port_t
struct StreamPort {
    struct InAddr {
        Addr addr{};
        StreamCoreSrvConf* default_server = nullptr;
        bool proxy_protocol = false;
    };
    std::vector<InAddr> addrs{};
};

/// A variable that is used in a text, first at `place`. `variable` is set at the end of the block,
/// because a module may add the variable after its use.
struct StreamVariableUse {
    std::string_view name{};
    ConfPlace place{};
    const StreamVariable* variable = nullptr;
};

/// The core module's configuration of the stream block. The cycle's pool owns it.
///
/// nginx: ngx_stream_core_main_conf_t
struct StreamCoreMainConf {
    static constexpr Module* module = &stream_core_module;

    std::vector<StreamCoreSrvConf*> servers{};
    std::vector<StreamConfPort> ports{};
    std::map<StreamPortKey, std::size_t> port_index{};
    std::vector<const StreamVariable*> variables{};  // all known variables
    std::deque<StreamVariableUse> used_variables{};  // variables used by some directive

    std::array<std::vector<StreamHandler>, static_cast<std::size_t>(StreamPhase::log) + 1> phases{};
    std::vector<StreamPhaseHandler> phase_engine{};  // all phases except log; the content is last
};

/// Ends the session with `rc`: calls the handlers of the log phase, closes the connection and
/// destroys its pool, in which the session is. Called on the loop's thread; after it neither the
/// session nor its connection may be used.
///
/// nginx: ngx_stream_finalize_session()
void stream_finalize_session(StreamSession& s, StreamStatus rc) noexcept;

/// A connection of a client, or a UDP client, that a stream server serves. Allocated in the
/// connection's pool, which owns it. Only the loop's thread uses it.
///
/// nginx: ngx_stream_session_t
struct StreamSession {
    /// nginx: NGX_STREAM_MODULE
    static constexpr std::uint32_t right_signature = 0x4d525453;

    std::uint32_t signature = right_signature;
    Connection* connection = nullptr;

    off_t received = 0;         // bytes from the client
    std::time_t start_sec = 0;  // wall clock
    unsigned start_msec = 0;

    void** ctx = nullptr;  // by ctx_index: the modules' own data of this session
    void** main_conf = nullptr;
    void** srv_conf = nullptr;

    StreamUpstream* upstream = nullptr;
    LogHandler log_handler = nullptr;  // appends the content's details to log lines
    std::size_t phase_handler = 0;     // index of the next handler in phase_engine

    /// Ends the session after an exception. A content that has resources outside the session's pool
    /// sets its own function, which releases them.
    void (*finalize)(StreamSession& s, StreamStatus rc) noexcept = stream_finalize_session;

    StreamStatus status = StreamStatus::none;
};

/// Returns a module's configuration of the stream block. T names its module in `T::module`.
///
/// nginx: ngx_stream_get_module_main_conf()
template <typename T>
T* stream_get_module_main_conf(const StreamSession& s) noexcept
{
    return static_cast<T*>(s.main_conf[T::module->ctx_index]);
}

/// Returns a module's configuration of the session's server. T names its module in `T::module`.
///
/// nginx: ngx_stream_get_module_srv_conf()
template <typename T>
T* stream_get_module_srv_conf(const StreamSession& s) noexcept
{
    return static_cast<T*>(s.srv_conf[T::module->ctx_index]);
}

/// Returns a module's configuration of the stream block while the block is read.
///
/// nginx: ngx_stream_conf_get_module_main_conf()
template <typename T>
T* stream_conf_get_module_main_conf(const Conf& cf) noexcept
{
    return static_cast<T*>(cf.ctx->conf[stream_main_conf_offset][T::module->ctx_index]);
}

/// Returns a module's configuration of the server that is being read.
///
/// nginx: ngx_stream_conf_get_module_srv_conf()
template <typename T>
T* stream_conf_get_module_srv_conf(const Conf& cf) noexcept
{
    return static_cast<T*>(cf.ctx->conf[stream_srv_conf_offset][T::module->ctx_index]);
}

/// Returns the session of an event of one of its connections.
inline StreamSession& session_of(const Event& ev) noexcept
{
    assert(connection_of(ev).data);
    return *static_cast<StreamSession*>(connection_of(ev).data);
}

/// Whether the handler of `ev` has to end its TCP session: the event's timer has expired, which is
/// logged, or worker_shutdown_timeout has passed. In nginx each content has these steps.
bool stream_must_end(const Event& ev) noexcept;

/// Returns a module's own data of a session; null before stream_set_ctx(). T names its module in
/// `T::module`.
///
/// nginx: ngx_stream_get_module_ctx()
template <typename T>
T* stream_get_module_ctx(const StreamSession& s) noexcept
{
    return static_cast<T*>(s.ctx[T::module->ctx_index]);
}

/// Sets a module's own data of a session. The session does not own `ctx`, which is usually in the
/// connection's pool.
///
/// nginx: ngx_stream_set_ctx()
template <typename T>
void stream_set_ctx(StreamSession& s, T* ctx) noexcept
{
    s.ctx[T::module->ctx_index] = ctx;
}

/// The number of entries in each level of a stream context.
///
/// nginx: ngx_stream_max_module
extern std::size_t stream_max_module;

/// Calls `function(module, ctx)` for each stream module of the cycle, until a result is not
/// conf_ok. Returns that result.
template <typename Function>
const char* for_stream_modules(Conf& cf, Function function)
{
    for (const Module* module : modules_of(*cf.cycle)) {
        if (module->type != ModuleType::stream) {
            continue;
        }
        const auto& ctx = *static_cast<const StreamModule*>(module->ctx);
        if (const char* rv = function(*module, ctx); rv != conf_ok) {
            return rv;
        }
    }
    return conf_ok;
}

/// Adds the address in `lsopt` to those that the server listens on. The sockets are opened after
/// the whole file has been read. Returns error after logging, for example if another server has set
/// options of the same address.
///
/// nginx: ngx_stream_add_listen()
Rc stream_add_listen(Conf& cf, StreamCoreSrvConf& cscf, const StreamListenOpt& lsopt);

/// The handler of accepted connections and new UDP clients: creates the session of the server that
/// listens on the address, and starts its phases or reads the PROXY protocol header first. With the
/// accept mutex that is done after the mutex is released. An error is logged and closes the
/// connection.
///
/// nginx: ngx_stream_init_connection()
void stream_init_connection(Connection& c) noexcept;

/// The read handler of a connection during the phases: continues the session at its current phase.
///
/// nginx: ngx_stream_session_handler()
void stream_session_handler(Event& rev) noexcept;

/// Adds a handler to a phase. To be called by a module's postconfiguration. The last handler added
/// is called first; in the log phase it is called last.
void stream_add_phase_handler(Conf& cf, StreamPhase phase, StreamHandler handler);

/// Calls phase handlers, from the session's current one on, until the session waits, belongs to the
/// content or has ended. The session may not exist after this call.
///
/// nginx: ngx_stream_core_run_phases()
void stream_core_run_phases(StreamSession& s) noexcept;

/// The checker of the phases before preread.
///
/// nginx: ngx_stream_core_generic_phase()
Rc stream_core_generic_phase(StreamSession& s, const StreamPhaseHandler& ph);

/// The checker of the preread phase: reads into `connection->buffer` and calls the handler whenever
/// data has arrived, until it does not return again. The session ends if the buffer of
/// preread_buffer_size is full, or preread_timeout has passed, before that.
///
/// nginx: ngx_stream_core_preread_phase()
Rc stream_core_preread_phase(StreamSession& s, const StreamPhaseHandler& ph);

/// The checker of the content phase: passes the session to the server's content handler. A server
/// without one ends the session with internal_server_error.
///
/// nginx: ngx_stream_core_content_phase()
Rc stream_core_content_phase(StreamSession& s, const StreamPhaseHandler& ph);

/// Logs the current exception and ends the session with its `finalize`. Call it only within a catch
/// block.
void stream_run_failed(StreamSession& s) noexcept;

/// Calls `step` and handles its exceptions: an exception, for example std::bad_alloc, ends this
/// session with internal_server_error and affects no other. The phases and the content run inside a
/// stream_run(); an event handler that may throw calls it itself.
template <typename Step>
void stream_run(StreamSession& s, const Step& step) noexcept
{
    try {
        step();
    } catch (...) {
        stream_run_failed(s);
    }
}

}  // namespace ngx
