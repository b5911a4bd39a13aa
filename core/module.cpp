#include "core/module.hpp"

#include <algorithm>

#include "core/conf_file.hpp"
#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/module_signature.hpp"
#include "core/palloc.hpp"

namespace ngx {

namespace {

std::size_t modules_n;

/// Tells whether `test` is true for a module of this cycle or of the previous one.
template <typename Test>
bool any_module(const Cycle& cycle, Test test) noexcept
{
    return std::ranges::any_of(modules_of(cycle), test) ||
           (cycle.old_cycle && std::ranges::any_of(modules_of(*cycle.old_cycle), test));
}

/// Returns the position of a module in the cycle's table, or the number of modules if it is not in
/// the table.
std::size_t find_module(const Cycle& cycle, std::string_view name) noexcept
{
    const auto list = modules_of(cycle);
    return static_cast<std::size_t>(std::ranges::find(list, name, &Module::name) - list.begin());
}

/// Returns the position of a new module in the cycle's table.
std::size_t module_place(const Cycle& cycle, const Module& module, const char* const* order)
{
    std::size_t place = cycle.modules_n;
    if (!order) {
        return place;
    }
    while (*order && module.name != *order) {
        order++;
    }
    for (; *order; order++) {
        place = std::min(place, find_module(cycle, *order));
    }
    return place;
}

void insert_module(Cycle& cycle, Module& module, std::size_t place) noexcept
{
    Module** const end = cycle.modules + cycle.modules_n++;
    std::copy_backward(cycle.modules + place, end, end + 1);
    cycle.modules[place] = &module;
}

void exit_dropped_modules(Cycle& old, const Cycle& cycle)
{
    const auto kept = modules_of(cycle);
    for (const Module* module : modules_of(old)) {
        if (module->exit_process && std::ranges::find(kept, module) == kept.end()) {
            module->exit_process(old);
        }
    }
}

/// Creates the configuration of a core module that the configuration file has loaded; the others
/// were created before the file was read.
Rc create_module_conf(Cycle& cycle, const Module& module)
{
    const auto& ctx = *static_cast<const CoreModule*>(module.ctx);
    if (!ctx.create_conf) {
        return Rc::ok;
    }
    void*& conf = cycle.conf_ctx[module.index];
    conf = ctx.create_conf(cycle);
    return conf ? Rc::ok : Rc::error;
}

}  // namespace

std::size_t max_module;

void preinit_modules()
{
    modules_n = 0;
    for (Module* const* module = modules; *module; module++) {
        (*module)->name = module_names[modules_n];
        (*module)->index = modules_n++;
    }
    max_module = modules_n + max_dynamic_modules;
}

void cycle_modules(Cycle& cycle)
{
    cycle.modules = cycle.pool->pcalloc<Module*>(max_module + 1);
    std::copy_n(modules, modules_n, cycle.modules);
    cycle.modules_n = modules_n;
}

Rc add_module(Conf& cf, std::string_view file, Module& module, const char* const* order)
{
    Cycle& cycle = *cf.cycle;
    if (cycle.modules_n >= max_module) {
        conf_log_error(log_emerg, cf, 0, "too many modules loaded");
        return Rc::error;
    }
    if (check_module_signature(cf, file, module.signature->text.data()) != Rc::ok) {
        return Rc::error;
    }
    if (find_module(cycle, module.name) != cycle.modules_n) {
        conf_log_error(log_emerg, cf, 0, "module \"{}\" is already loaded", module.name);
        return Rc::error;
    }

    // A module that an older cycle has loaded keeps its index.
    if (module.index == module_unset_index) {
        module.index = module_index(cycle);
        if (module.index >= max_module) {
            conf_log_error(log_emerg, cf, 0, "too many modules loaded");
            return Rc::error;
        }
    }

    insert_module(cycle, module, module_place(cycle, module, order));
    return module.type == ModuleType::core ? create_module_conf(cycle, module) : Rc::ok;
}

Rc init_modules(Cycle& cycle)
{
    for (const Module* module : modules_of(cycle)) {
        if (module->init_module && module->init_module(cycle) != Rc::ok) {
            return Rc::error;
        }
    }
    return Rc::ok;
}

Rc init_process_modules(Cycle& cycle)
{
    for (const Module* module : modules_of(cycle)) {
        if (module->init_process && module->init_process(cycle) == Rc::error) {
            return Rc::error;
        }
    }
    if (cycle.old_cycle) {
        exit_dropped_modules(*cycle.old_cycle, cycle);
    }
    return Rc::ok;
}

void exit_process_modules(Cycle& cycle)
{
    for (const Module* module : modules_of(cycle)) {
        if (module->exit_process) {
            (void)no_throw(cycle.log, [&] {
                module->exit_process(cycle);
                return Rc::ok;
            });
        }
    }
}

std::size_t count_modules(Cycle& cycle, ModuleType type)
{
    std::size_t next = 0;
    std::size_t max = 0;

    for (Module* module : modules_of(cycle)) {
        if (module->type != type) {
            continue;
        }
        if (module->ctx_index == module_unset_index) {
            module->ctx_index = module_ctx_index(cycle, type, next);
        }
        next = module->ctx_index == next ? next + 1 : next;
        max = std::max(max, module->ctx_index);
    }

    // The old cycle may have more modules of this type, and is used again if this one fails.
    if (cycle.old_cycle) {
        for (const Module* module : modules_of(*cycle.old_cycle)) {
            max = module->type == type ? std::max(max, module->ctx_index) : max;
        }
    }

    cycle.modules_used = true;
    return max + 1;
}

std::size_t module_index(const Cycle& cycle) noexcept
{
    std::size_t index = 0;
    while (any_module(cycle, [&](const Module* module) { return module->index == index; })) {
        index++;
    }
    return index;
}

std::size_t module_ctx_index(const Cycle& cycle, ModuleType type, std::size_t index) noexcept
{
    while (any_module(cycle, [&](const Module* module) {
        return module->type == type && module->ctx_index == index;
    })) {
        index++;
    }
    return index;
}

std::span<Module* const> modules_of(const Cycle& cycle) noexcept
{
    return {cycle.modules, cycle.modules_n};
}

}  // namespace ngx
