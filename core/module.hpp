#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// The kind of a module: which block it belongs to. As in nginx, the values spell names in memory.
///
/// nginx: NGX_CORE_MODULE, NGX_CONF_MODULE, NGX_EVENT_MODULE, NGX_STREAM_MODULE
enum class ModuleType : std::uint32_t {
    core = 0x45524F43,    // "CORE"
    conf = 0x464E4F43,    // "CONF"
    event = 0x544E5645,   // "EVNT"
    stream = 0x4d525453,  // "STRM"
};

/// The signature of the file that contains the module, the server or a loaded file; each file has
/// its own. See module_signature.hpp.
struct ModuleSignature;
[[gnu::visibility("hidden")]] extern const ModuleSignature module_signature;

/// nginx: NGX_MODULE_UNSET_INDEX
inline constexpr std::size_t module_unset_index = static_cast<std::size_t>(-1);

/// The number of modules that can be added to the static table.
///
/// nginx: NGX_MAX_DYNAMIC_MODULES
inline constexpr std::size_t max_dynamic_modules = 128;

/// A module: its kind, its directives and its hooks. Each is a static aggregate at the end of its
/// file; hooks that it does not need are left out. `ctx` points to what depends on `type`: a
/// CoreModule, EventModule or StreamModule. The hooks are called on the process's main thread.
///
/// If init_module returns an error or throws, the configuration is refused, which ends a start with
/// status 1. If init_process does, the process ends with status 2.
///
/// nginx: ngx_module_t
struct Module {
    std::size_t ctx_index = module_unset_index;  // among the modules of its type
    std::size_t index = module_unset_index;      // in the table
    std::string_view name{};                     // the table's spelling, "ngx_epoll_module"
    const ModuleSignature* signature = &module_signature;

    const void* ctx = nullptr;
    std::span<const Command> commands{};
    ModuleType type;

    Rc (*init_master)(Log* log) = nullptr;       // never called; nginx does not call it either
    Rc (*init_module)(Cycle& cycle) = nullptr;   // after a configuration, in the first process
    Rc (*init_process)(Cycle& cycle) = nullptr;  // in each worker, before its loop
    Rc (*init_thread)(Cycle& cycle) = nullptr;   // never called; nginx does not call it either
    void (*exit_thread)(Cycle& cycle) = nullptr;
    void (*exit_process)(Cycle& cycle) = nullptr;
    void (*exit_master)(Cycle& cycle) = nullptr;
};

/// The context of a core module. `create_conf` creates its configuration before the file is read;
/// null is an error. `init_conf` sets what the file left unset, and returns conf_ok, or conf_error
/// after logging. The cycle's pool owns the configuration.
///
/// nginx: ngx_core_module_t
struct CoreModule {
    std::string_view name;
    void* (*create_conf)(Cycle& cycle) = nullptr;
    const char* (*init_conf)(Cycle& cycle, void* conf) = nullptr;
};

/// The static table, in the order of the calls, which a null pointer ends, and the modules' names.
///
/// nginx: ngx_modules, ngx_module_names
extern Module* const modules[];
extern const std::string_view module_names[];

/// The maximum number of modules of a cycle: the size of each `conf_ctx`.
///
/// nginx: ngx_max_module
extern std::size_t max_module;

/// Sets the name and the index of each module of the static table.
///
/// nginx: ngx_preinit_modules()
void preinit_modules();

/// Copies the static table into the cycle, which may add modules.
///
/// nginx: ngx_cycle_modules()
void cycle_modules(Cycle& cycle);

/// Calls every init_module in order. Returns error at the first that fails.
///
/// nginx: ngx_init_modules()
Rc init_modules(Cycle& cycle);

/// Calls every init_process in order. Returns error at the first that fails. If the process has run
/// another cycle, it then calls exit_process of the modules that only that cycle had, as they may
/// be unloaded with it.
Rc init_process_modules(Cycle& cycle);

/// Calls every exit_process in order. Logs exceptions and goes on.
void exit_process_modules(Cycle& cycle);

/// Sets the ctx_index of each module of `type`, and returns the size that a context needs. An index
/// does not change once it is set, because an older cycle may still use it. After this call no
/// module can be added to the cycle.
///
/// nginx: ngx_count_modules()
std::size_t count_modules(Cycle& cycle, ModuleType type);

/// Adds a module of `file` to the cycle that is being configured: checks its signature, sets its
/// index, and inserts it into the cycle's modules, before the first of those that follow it in
/// `order` (names, ended by a null pointer; may be null), or else last. Creates the configuration
/// of a core module at once. Returns error after logging.
///
/// nginx: ngx_add_module()
Rc add_module(Conf& cf, std::string_view file, Module& module, const char* const* order);

/// Returns the first index that is unused in this cycle and the previous one. The next added module
/// gets it.
///
/// nginx: ngx_module_index()
std::size_t module_index(const Cycle& cycle) noexcept;

/// Returns the first ctx_index from `index` on that no module of `type` has in this cycle or the
/// previous one.
///
/// nginx: ngx_module_ctx_index()
std::size_t module_ctx_index(const Cycle& cycle, ModuleType type, std::size_t index) noexcept;

/// Returns the modules of `cycle`, for range loops.
std::span<Module* const> modules_of(const Cycle& cycle) noexcept;

}  // namespace ngx
