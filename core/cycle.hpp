#pragma once

#include <ctime>
#include <list>
#include <memory>
#include <optional>
#include <sched.h>
#include <string>
#include <string_view>
#include <vector>

#include "core/conf_file.hpp"
#include "core/connection.hpp"
#include "core/log.hpp"
#include "core/palloc.hpp"
#include "core/slab.hpp"
#include "event/event.hpp"
#include "os/unix/shmem.hpp"

namespace ngx {

/// Memory by a name that all workers share. A reload finds it as it was if the name, the size and
/// the tag are the same.
///
/// nginx: ngx_shm_zone_t
struct ShmZone {
    void* data = nullptr;  // the owner's, of this cycle
    Shm shm{};
    SlabPool* pool = nullptr;

    /// Called when the memory is there. `old_data` is the `data` of the cycle before, if the memory
    /// is what that cycle had, else null.
    Rc (*init)(ShmZone& zone, void* old_data) = nullptr;

    const void* tag = nullptr;  // the module that it is of
    bool noreuse = false;       // new memory in each cycle
};

/// One configuration and all that came of it. Each start and each reload makes one in a pool of
/// its own; a reload takes over from `old_cycle` the sockets that stay.
///
/// nginx: ngx_cycle_t
struct Cycle {
    Cycle() = default;
    Cycle(const Cycle&) = delete;
    Cycle& operator=(const Cycle&) = delete;

    /// By Module::index: a core module's configuration; for events and stream, a BlockCtx.
    void** conf_ctx = nullptr;
    Pool* pool = nullptr;

    Log* log = nullptr;
    Log new_log{};
    bool log_use_stderr = false;

    Connection** files = nullptr;  // by descriptor, for pollers with use_fd_event
    Connection* free_connections = nullptr;
    std::size_t free_connection_n = 0;

    Module** modules = nullptr;  // ends in a null pointer
    std::size_t modules_n = 0;
    bool modules_used = false;  // too late to add a module

    ReusableConnections reusable_connections_queue{};
    std::size_t reusable_connections_n = 0;
    std::time_t connections_reuse_time = 0;

    std::vector<Listening> listening{};
    std::list<ConfDump> config_dump{};
    std::list<OpenFile> open_files{};
    std::list<ShmZone> shared_memory{};

    std::size_t connection_n = 0;
    std::size_t files_n = 0;

    std::unique_ptr<Connection[]> connections{};
    std::unique_ptr<Event[]> read_events{};
    std::unique_ptr<Event[]> write_events{};
    std::unique_ptr<Connection* []> files_storage {};

    Cycle* old_cycle = nullptr;

    std::size_t generation = 0;  // 1 at the start, one more with each reload

    std::string conf_file{};
    std::optional<std::string> conf_text{};  // read in place of the file, which is then but a name
    std::string conf_param{};
    std::string conf_prefix{};
    std::string prefix{};
    std::string error_log{};
    std::string lock_file{};
    std::string hostname{};
};

extern Module core_module;

/// What debug_point() does.
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
    bool transparent = false;  // workers may bind to addresses that are not this machine's

    std::optional<std::string_view> working_directory{};
    std::optional<std::string_view> lock_file{};

    std::optional<std::string_view> pid{};
    std::string oldpid{};

    std::vector<std::string_view> env{};  // NAME or NAME=VALUE
    std::vector<char*> environment{};     // made of `env`; ends in a null pointer
};

/// The cycle that runs; before the first, one that has only a log. The one name that keeps its
/// prefix: `cycle` is what nearly every function calls its parameter.
extern Cycle* ngx_cycle;

/// Without a master, the cycles before this one whose connections still live.
extern std::vector<Cycle*> old_cycles;

extern bool test_config;
extern bool dump_config;
extern bool quiet_mode;

/// An empty cycle in a pool of its own, with nothing but a log.
Cycle* create_cycle(Log* log);

/// Reads the configuration into a new cycle, opens its files and sockets, calls init_module of
/// every module, and closes what only the old cycle used. Null after an error, which has been
/// logged; the old cycle is then as it was, whatever has thrown. In a process without a master the
/// old cycle lives on until its last connection is closed; otherwise it is gone.
///
/// nginx: ngx_init_cycle()
Cycle* init_cycle(Cycle* old_cycle) noexcept;

/// Closes the files that a cycle opened and frees it with all that is in it.
///
/// nginx: ngx_destroy_cycle_pools()
void destroy_cycle_pools(Cycle* c);

/// nginx: ngx_is_init_cycle()
inline bool is_init_cycle(const Cycle& c) noexcept
{
    return c.conf_ctx == nullptr;
}

/// Writes the process's id to the file; under -t only makes sure that it could.
///
/// nginx: ngx_create_pidfile()
Rc create_pidfile(std::string_view name, Log* log);

/// nginx: ngx_delete_pidfile()
void delete_pidfile(const Cycle& c);

/// The zone of this name, added to the cycle if it is new; `size` may be 0 where somebody else
/// states it. Null, after a log line, when two declarations do not agree.
///
/// nginx: ngx_shared_memory_add()
ShmZone* shared_memory_add(Conf& cf, std::string_view name, std::size_t size, const void* tag);

/// Sends the signal that `sig` names to the process of the pid file. Returns the exit status.
///
/// nginx: ngx_signal_process()
int signal_process(Cycle& c, std::string_view sig);

/// Opens all files again by their names, for a log rotation; one that fails keeps its descriptor.
/// `user` becomes their owner, unless it is -1.
///
/// nginx: ngx_reopen_files()
void reopen_files(Cycle& c, uid_t user);

/// Starts the timer of worker_shutdown_timeout, if there is one.
///
/// nginx: ngx_set_shutdown_timer()
void set_shutdown_timer(Cycle& c);

}  // namespace ngx
