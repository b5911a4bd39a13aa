#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/conf_file.hpp"
#include "core/connection.hpp"
#include "core/core.hpp"
#include "core/inet.hpp"
#include "core/module.hpp"

namespace ngx {

struct StreamSession;
struct StreamUpstream;
struct StreamVariable;

/// Where a stream command may stand.
inline constexpr std::uint32_t stream_main_conf = 0x02000000;
inline constexpr std::uint32_t stream_srv_conf = 0x04000000;

/// The levels of a stream context, for Command::conf.
inline constexpr std::size_t stream_main_conf_offset = 0;
inline constexpr std::size_t stream_srv_conf_offset = 1;

/// How a session ended.
enum class StreamStatus : unsigned {
    none = 0,
    ok = 200,
    bad_request = 400,
    forbidden = 403,
    internal_server_error = 500,
    bad_gateway = 502,
    service_unavailable = 503,
};

/// The content of a server: what happens on each of its connections. It owns the session from
/// then on and ends it with stream_finalize_session(). An exception ends it, too.
///
/// nginx: ngx_stream_content_handler_pt
using StreamContentHandler = void (*)(StreamSession& s);

/// The steps of a session, in order. Those before the content have the handlers that modules add to
/// them; the log's are called when the session ends.
///
/// nginx: ngx_stream_phases
enum class StreamPhase : unsigned { post_accept, preaccess, access, preread, content, log };

/// What a handler of a phase answers: ok, on to the next phase; declined, to the next handler;
/// again or done, wait: done if the handler itself has the session called again; a status, or error
/// for internal_server_error, ends the session.
struct StreamPhaseRc {
    StreamPhaseRc(Rc answer) noexcept : rc(answer) {}
    StreamPhaseRc(StreamStatus end) noexcept : rc(Rc::error), status(end) {}

    Rc rc;
    StreamStatus status = StreamStatus::internal_server_error;
};

/// A module's part of a phase. In the preread phase `connection->buffer`, null at first, has what
/// the client has sent so far.
///
/// nginx: ngx_stream_handler_pt
using StreamHandler = StreamPhaseRc (*)(StreamSession& s);

/// A handler among those of all phases; `next` is the first of the next phase. The checker calls it
/// and does what it answers: ok when that is all for now, again to go on with the session's next.
///
/// nginx: ngx_stream_phase_handler_t
struct StreamPhaseHandler {
    Rc (*checker)(StreamSession& s, const StreamPhaseHandler& ph) = nullptr;
    StreamHandler handler = nullptr;
    std::size_t next = 0;
};

/// The context of a stream module. The configurations are made before the block is read, the null
/// server's among them: its values are the defaults of every server, merged once the block is
/// read.
///
/// nginx: ngx_stream_module_t
struct StreamModule {
    Rc (*preconfiguration)(Conf& cf) = nullptr;
    Rc (*postconfiguration)(Conf& cf) = nullptr;

    void* (*create_main_conf)(Conf& cf) = nullptr;
    const char* (*init_main_conf)(Conf& cf, void* conf) = nullptr;

    void* (*create_srv_conf)(Conf& cf) = nullptr;
    const char* (*merge_srv_conf)(Conf& cf, void* prev, void* conf) = nullptr;

    /// Once the whole file is read, with the events block, which may stand behind this one. Logs
    /// its error and answers conf_error. Not in nginx.
    const char* (*init_conf)(Cycle& cycle, void* main_conf) = nullptr;
};

extern Module stream_module;
extern Module stream_core_module;

/// What `listen` says of an address.
///
/// nginx: ngx_stream_listen_opt_t
struct StreamListenOpt {
    Addr addr{};

    bool set = false;   // has options that belong to the address, not to the server
    bool bind = false;  // has to have a socket of its own
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

/// An address that servers listen on, and who they are, while the block is read.
///
/// nginx: ngx_stream_conf_addr_t
struct StreamConfAddr {
    StreamListenOpt opt{};
    StreamCoreSrvConf* default_server = nullptr;
    std::vector<const StreamCoreSrvConf*> servers{};

    bool protocols = false;          // whether `proxy_protocol` is what the servers are to say
    bool protocols_set = false;      // by the second of them
    bool protocols_changed = false;  // the servers do not say the same
};

/// A port and all the addresses on it.
///
/// nginx: ngx_stream_conf_port_t
struct StreamConfPort {
    sa_family_t family = AF_UNSPEC;
    int type = SOCK_STREAM;
    in_port_t port = 0;
    std::vector<StreamConfAddr> addrs{};
};

/// What a listening socket serves: the last address may be the wildcard.
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

/// A variable that a text has in it. Which one the name stands for is known once the block is read:
/// a module may add it after it was used.
struct StreamVariableUse {
    std::string_view name{};
    const StreamVariable* variable = nullptr;
};

/// nginx: ngx_stream_core_main_conf_t
struct StreamCoreMainConf {
    static constexpr Module* module = &stream_core_module;

    std::vector<StreamCoreSrvConf*> servers{};
    std::vector<StreamConfPort> ports{};
    std::vector<const StreamVariable*> variables{};  // that there are
    std::deque<StreamVariableUse> used_variables{};  // that texts have in them

    std::array<std::vector<StreamHandler>, static_cast<std::size_t>(StreamPhase::log) + 1> phases{};
    std::vector<StreamPhaseHandler> phase_engine{};  // all but the log's, the content last
};

/// Ends the session: runs the log phase and closes the connection, whose memory goes with it.
///
/// nginx: ngx_stream_finalize_session()
void stream_finalize_session(StreamSession& s, StreamStatus rc) noexcept;

/// A connection that stream serves.
///
/// nginx: ngx_stream_session_t
struct StreamSession {
    /// nginx: NGX_STREAM_MODULE
    static constexpr std::uint32_t right_signature = 0x4d525453;

    std::uint32_t signature = right_signature;
    Connection* connection = nullptr;

    off_t received = 0;
    std::time_t start_sec = 0;
    unsigned start_msec = 0;

    void** ctx = nullptr;  // by ctx_index: what each module keeps of the session
    void** main_conf = nullptr;
    void** srv_conf = nullptr;

    StreamUpstream* upstream = nullptr;
    LogHandler log_handler = nullptr;  // adds what the content has to say
    std::size_t phase_handler = 0;     // the next one of the engine

    /// Ends the session after an exception. A content that holds something beside the session's
    /// pool sets its own.
    void (*finalize)(StreamSession& s, StreamStatus rc) noexcept = stream_finalize_session;

    StreamStatus status = StreamStatus::none;
};

/// A module's main configuration. T names its module in `T::module`.
///
/// nginx: ngx_stream_get_module_main_conf()
template <typename T>
T* stream_get_module_main_conf(const StreamSession& s) noexcept
{
    return static_cast<T*>(s.main_conf[T::module->ctx_index]);
}

/// A module's server configuration. T names its module in `T::module`.
///
/// nginx: ngx_stream_get_module_srv_conf()
template <typename T>
T* stream_get_module_srv_conf(const StreamSession& s) noexcept
{
    return static_cast<T*>(s.srv_conf[T::module->ctx_index]);
}

/// A module's main configuration while the block is read.
///
/// nginx: ngx_stream_conf_get_module_main_conf()
template <typename T>
T* stream_conf_get_module_main_conf(const Conf& cf) noexcept
{
    return static_cast<T*>(cf.ctx->conf[stream_main_conf_offset][T::module->ctx_index]);
}

/// A module's server configuration while the server is read.
///
/// nginx: ngx_stream_conf_get_module_srv_conf()
template <typename T>
T* stream_conf_get_module_srv_conf(const Conf& cf) noexcept
{
    return static_cast<T*>(cf.ctx->conf[stream_srv_conf_offset][T::module->ctx_index]);
}

/// What a module keeps of a session. T names its module in `T::module`.
///
/// nginx: ngx_stream_get_module_ctx()
template <typename T>
T* stream_get_module_ctx(const StreamSession& s) noexcept
{
    return static_cast<T*>(s.ctx[T::module->ctx_index]);
}

/// nginx: ngx_stream_set_ctx()
template <typename T>
void stream_set_ctx(StreamSession& s, T* ctx) noexcept
{
    s.ctx[T::module->ctx_index] = ctx;
}

/// How many slots a stream context has.
extern std::size_t stream_max_module;

/// Calls `function(module, ctx)` for each stream module of the cycle; stops at the first answer
/// that is not conf_ok.
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

/// Adds an address to those that the server listens on.
///
/// nginx: ngx_stream_add_listen()
Rc stream_add_listen(Conf& cf, StreamCoreSrvConf& cscf, const StreamListenOpt& lsopt);

/// The handler of an accepted connection: finds its server, begins the session.
///
/// nginx: ngx_stream_init_connection()
void stream_init_connection(Connection& c) noexcept;

/// Runs the phases of the session, from where it stands.
///
/// nginx: ngx_stream_session_handler()
void stream_session_handler(Event& rev) noexcept;

/// Adds a handler to a phase. For a module's postconfiguration. Handlers of a phase are called in
/// reverse: the last one added is the first.
void stream_add_phase_handler(Conf& cf, StreamPhase phase, StreamHandler handler);

/// nginx: ngx_stream_core_run_phases()
void stream_core_run_phases(StreamSession& s) noexcept;

/// The checker of every phase but preread and content.
///
/// nginx: ngx_stream_core_generic_phase()
Rc stream_core_generic_phase(StreamSession& s, const StreamPhaseHandler& ph);

/// Reads ahead until the handler has seen enough, for preread_timeout and preread_buffer_size.
///
/// nginx: ngx_stream_core_preread_phase()
Rc stream_core_preread_phase(StreamSession& s, const StreamPhaseHandler& ph);

/// Gives the session to the server's content.
///
/// nginx: ngx_stream_core_content_phase()
Rc stream_core_content_phase(StreamSession& s, const StreamPhaseHandler& ph);

/// Logs the exception that is being handled, and ends the session by its `finalize`. Only within a
/// catch.
void stream_run_failed(StreamSession& s) noexcept;

/// Runs a step of a session. An exception, such as of memory that ran out, ends this session with
/// internal_server_error, and no other. The phases and the content run inside it; the handler of an
/// event that may throw calls it itself.
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
