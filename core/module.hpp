#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// What a module is of. The values spell their names in memory, as nginx's do.
enum class ModuleType : std::uint32_t {
    core = 0x45524F43,    // "CORE"
    conf = 0x464E4F43,    // "CONF"
    event = 0x544E5645,   // "EVNT"
    stream = 0x4d525453,  // "STRM"
};

/// The signature of the file that a module is in, the server or one that it loads: each has its
/// own. See module_signature.hpp.
struct ModuleSignature;
[[gnu::visibility("hidden")]] extern const ModuleSignature module_signature;

inline constexpr std::size_t module_unset_index = static_cast<std::size_t>(-1);

/// The room for modules that are not in the static table.
inline constexpr std::size_t max_dynamic_modules = 128;

/// A module: what it is of, what it understands in a configuration, and when it wants to be
/// called. Each is one aggregate, the last thing in its file; a hook that is not needed is left
/// out. What it does beyond that stands in `ctx`, whose type follows from `type`: CoreModule,
/// EventModule or StreamModule.
///
/// A hook that returns an error or throws: init_module's refuses the configuration, which ends a
/// start with status 1; init_process's ends the process with status 2.
///
/// nginx: ngx_module_t
struct Module {
    std::size_t ctx_index = module_unset_index;  // among the modules of its type
    std::size_t index = module_unset_index;      // in the table
    std::string_view name{};                     // as the table spells it, "ngx_epoll_module"
    const ModuleSignature* signature = &module_signature;

    const void* ctx = nullptr;
    std::span<const Command> commands{};
    ModuleType type;

    Rc (*init_master)(Log* log) = nullptr;       // never called, by nginx neither
    Rc (*init_module)(Cycle& cycle) = nullptr;   // a new configuration, in the first process
    Rc (*init_process)(Cycle& cycle) = nullptr;  // in each worker, before its loop
    Rc (*init_thread)(Cycle& cycle) = nullptr;   // never called, by nginx neither
    void (*exit_thread)(Cycle& cycle) = nullptr;
    void (*exit_process)(Cycle& cycle) = nullptr;
    void (*exit_master)(Cycle& cycle) = nullptr;
};

/// The context of a core module. `create_conf` makes its configuration before the file is read,
/// null meaning that memory ran out; `init_conf` fills in what the file left unset and answers
/// conf_ok, or logs and answers conf_error.
///
/// nginx: ngx_core_module_t
struct CoreModule {
    std::string_view name;
    void* (*create_conf)(Cycle& cycle) = nullptr;
    const char* (*init_conf)(Cycle& cycle, void* conf) = nullptr;
};

/// The static table, in the order of the calls; a null pointer ends it. And the modules' names.
extern Module* const modules[];
extern const std::string_view module_names[];

/// The most modules that any cycle may have: the size of each `conf_ctx`.
extern std::size_t max_module;

/// Gives each module of the table its name and its index.
///
/// nginx: ngx_preinit_modules()
Rc preinit_modules();

/// Clones the table into the cycle, which may add to it.
///
/// nginx: ngx_cycle_modules()
Rc cycle_modules(Cycle& cycle);

/// Calls every init_module, in order; stops at the first that fails.
///
/// nginx: ngx_init_modules()
Rc init_modules(Cycle& cycle);

/// Calls every init_process, in order; stops at the first that fails. In a process that has served
/// with another cycle, then calls exit_process of those modules that only that one had, since they
/// may be unloaded with it.
Rc init_process_modules(Cycle& cycle);

/// Calls every exit_process, in order.
void exit_process_modules(Cycle& cycle);

/// Gives each module of `type` its ctx_index and returns how many slots a context needs. An
/// index once given stays, because an older cycle may still use it. After this call no module
/// may be added to the cycle.
///
/// nginx: ngx_count_modules()
std::size_t count_modules(Cycle& cycle, ModuleType type);

/// Adds a module of `file` to the cycle that is being configured: checks its signature, gives it
/// an index, and puts it into the cycle's modules, before the first of those that stand behind
/// it in `order` (names, a null pointer ends them; may be null), or else last. A core module's
/// configuration is made at once. error after a log line.
///
/// nginx: ngx_add_module()
Rc add_module(Conf& cf, std::string_view file, Module& module, const char* const* order);

/// The first index that no module of this cycle or of the one before it has: the next module
/// that is added takes it.
///
/// nginx: ngx_module_index()
std::size_t module_index(const Cycle& cycle) noexcept;

/// The first ctx_index from `index` on that no module of `type` has, here or in the cycle before.
///
/// nginx: ngx_module_ctx_index()
std::size_t module_ctx_index(const Cycle& cycle, ModuleType type, std::size_t index) noexcept;

/// The modules of `cycle`, for range loops.
std::span<Module* const> modules_of(const Cycle& cycle) noexcept;

}  // namespace ngx
