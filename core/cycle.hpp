#pragma once

#include <ctime>
#include <list>
#include <memory>
#include <optional>
#include <sched.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/conf_file.hpp"
#include "core/connection.hpp"
#include "core/log.hpp"
#include "core/palloc.hpp"
#include "core/slab.hpp"
#include "os/unix/shmem.hpp"

namespace ngx {

/// Named memory that all workers share. A reload keeps its contents if the name, the size and the
/// tag stay the same. The cycle owns the zone; the owner of the tag synchronizes access to the
/// memory.
///
/// nginx: ngx_shm_zone_t
struct ShmZone {
    void* data = nullptr;  // the owner's data of this cycle
    Shm shm{};
    SlabPool* pool = nullptr;

    /// Called when the memory is mapped. `old_data` is the `data` of the previous cycle's zone if
    /// the memory is the same, else null.
    Rc (*init)(ShmZone& zone, void* old_data) = nullptr;

    const void* tag = nullptr;  // identifies the module that uses it
    bool noreuse = false;       // each cycle gets new memory
};

/// One configuration and everything that belongs to it. Each start and each reload creates a cycle
/// in its own pool, which owns it; a reload takes over the sockets that stay from `old_cycle`. Only
/// the loop's thread, or the master's only thread, may use it.
///
/// nginx: ngx_cycle_t
struct Cycle {
    Cycle() noexcept;
    ~Cycle();
    Cycle(const Cycle&) = delete;
    Cycle& operator=(const Cycle&) = delete;

    /// Indexed by Module::index: a core module's configuration; for events and stream, a BlockCtx.
    void** conf_ctx = nullptr;
    Pool* pool = nullptr;

    Log* log = nullptr;
    Log new_log{};
    bool log_use_stderr = false;

    Connection** files = nullptr;  // by descriptor, for pollers with use_fd_event; see files_n
    Connection* free_connections = nullptr;
    std::size_t free_connection_n = 0;

    Module** modules = nullptr;  // ends in a null pointer
    std::size_t modules_n = 0;
    bool modules_used = false;  // no module may be added any more

    ReusableConnections reusable_connections_queue{};
    std::size_t reusable_connections_n = 0;
    std::time_t connections_reuse_time = 0;

    std::vector<Listening> listening{};
    std::list<ConfDump> config_dump{};
    std::list<OpenFile> open_files{};
    std::list<ShmZone> shared_memory{};

    std::size_t connection_n = 0;
    std::size_t files_n = 0;  // more than the descriptor of any connection

    std::unique_ptr<Connection[]> connections{};
    std::unique_ptr<Event[]> read_events{};
    std::unique_ptr<Event[]> write_events{};
    std::vector<Connection*> files_storage{};

    Cycle* old_cycle = nullptr;

    std::size_t generation = 0;  // 1 at the start; each reload adds 1

    std::string conf_file{};
    std::optional<std::string> conf_text{};  // replaces the file; conf_file is then only a name
    std::string conf_param{};
    std::string conf_prefix{};
    std::string prefix{};
    std::string error_log{};
    std::string lock_file{};
    std::string hostname{};
};

/// Returns all slots of a cycle, the free ones included; none before they are allocated.
inline std::span<Connection> connections_of(const Cycle& cycle) noexcept
{
    return {cycle.connections.get(), cycle.connections ? cycle.connection_n : 0};
}

/// nginx: ngx_core_module
extern Module core_module;

/// The actions of debug_point().
///
/// nginx: NGX_DEBUG_POINTS_STOP, NGX_DEBUG_POINTS_ABORT
enum class DebugPoints { off, stop, abort };

/// The configuration of the core module.
///
/// nginx: ngx_core_conf_t
struct CoreConf {
    static constexpr Module* module = &core_module;

    std::optional<bool> daemon{};
    std::optional<bool> master{};

    std::optional<Msec> timer_resolution{};
    std::optional<Msec> shutdown_timeout{};

    std::optional<std::int64_t> worker_processes{};
    std::optional<DebugPoints> debug_points{};

    std::optional<std::int64_t> rlimit_nofile{};
    std::optional<off_t> rlimit_core{};

    std::int64_t priority = 0;

    bool cpu_affinity_auto = false;
    std::vector<cpu_set_t> cpu_affinity{};

    std::string_view username{};
    std::optional<uid_t> user{};
    gid_t group = 0;
    bool transparent = false;  // workers may bind to addresses of other machines

    std::optional<std::string_view> working_directory{};
    std::optional<std::string_view> lock_file{};

    std::optional<std::string_view> pid{};
    std::string oldpid{};

    std::vector<std::string_view> env{};  // each NAME or NAME=VALUE
    std::vector<char*> environment{};     // built from `env`; ends in a null pointer
};

/// The current cycle. Before the first one it is a cycle that has only a log. It keeps nginx's
/// prefix, as ngx_worker does, because `cycle` is the name of a parameter of nearly every function.
///
/// nginx: ngx_cycle
extern Cycle* ngx_cycle;

/// Earlier cycles whose connections are still open; used only without a master.
///
/// nginx: ngx_old_cycles
extern std::vector<Cycle*> old_cycles;

/// Whether a connection of the cycle is in use, a listener's included. Looks at the descriptors,
/// since the slots of an old cycle are freed to the new one.
bool has_connections(const Cycle& cycle) noexcept;

/// The options -t, -T and -q of the command line.
///
/// nginx: ngx_test_config, ngx_dump_config, ngx_quiet_mode
extern bool test_config;
extern bool dump_config;
extern bool quiet_mode;

/// Creates an empty cycle with its own pool; `log` becomes its log. destroy_cycle_pools() frees it.
Cycle* create_cycle(Log* log);

/// Reads the configuration into a new cycle, opens its files and sockets, calls init_module of
/// every module, and closes what only the old cycle used. Returns null after logging an error or
/// exception; the old cycle is then unchanged. After success the old cycle is destroyed, or in a
/// process without a master as soon as its last connection is closed. The caller makes the new
/// cycle ngx_cycle.
///
/// nginx: ngx_init_cycle()
Cycle* init_cycle(Cycle* old_cycle) noexcept;

/// Closes the files that a cycle opened and frees its pool, with the cycle itself.
///
/// nginx: ngx_destroy_cycle_pools()
void destroy_cycle_pools(Cycle* c);

/// Tells whether the cycle is the first one, which has no configuration.
///
/// nginx: ngx_is_init_cycle()
inline bool is_init_cycle(const Cycle& c) noexcept
{
    return c.conf_ctx == nullptr;
}

/// Writes the process id to the file. Under -t it only checks that the file can be opened. Does
/// nothing in a worker. Returns error after logging.
///
/// nginx: ngx_create_pidfile()
Rc create_pidfile(std::string_view name, Log* log);

/// Deletes the cycle's pid file; while a new binary runs, the one with the suffix .oldbin.
///
/// nginx: ngx_delete_pidfile()
void delete_pidfile(const Cycle& c);

/// Returns the cycle's zone of this name, and adds it if necessary. `size` is in bytes; 0 leaves it
/// to another declaration. Returns null after logging if two declarations differ. The cycle owns
/// the zone.
///
/// nginx: ngx_shared_memory_add()
ShmZone* shared_memory_add(Conf& cf, std::string_view name, std::size_t size, const void* tag);

/// Sends the signal that `sig` names to the process in the pid file. Returns the exit status.
///
/// nginx: ngx_signal_process()
int signal_process(Cycle& c, std::string_view sig);

/// Reopens all files by their names, for log rotation. A file that cannot be opened keeps its
/// descriptor; the failure is logged. `user` becomes the owner of the files, unless it is -1.
///
/// nginx: ngx_reopen_files()
void reopen_files(Cycle& c, uid_t user);

/// Redirects descriptor 2 to the first file log, unless a log uses stderr. Returns error after
/// logging.
///
/// nginx: ngx_log_redirect_stderr()
Rc log_redirect_stderr(Cycle& cycle);

/// Starts the timer of worker_shutdown_timeout, if it is set. The timer closes all connections.
///
/// nginx: ngx_set_shutdown_timer()
void set_shutdown_timer(Cycle& c);

}  // namespace ngx
