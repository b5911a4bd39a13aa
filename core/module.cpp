#include "core/module.hpp"

#include <algorithm>

#include "core/cycle.hpp"
#include "core/palloc.hpp"

namespace ngx {

namespace {

std::size_t modules_n;

/// Whether a module of this cycle, or of the one before it, passes `test`.
template <typename Test>
bool any_module(const Cycle& cycle, Test test) noexcept
{
    return std::ranges::any_of(modules_of(cycle), test) ||
           (cycle.old_cycle && std::ranges::any_of(modules_of(*cycle.old_cycle), test));
}

}  // namespace

std::size_t max_module;

Rc preinit_modules()
{
    modules_n = 0;
    for (Module* const* module = modules; *module; module++) {
        (*module)->name = module_names[modules_n];
        (*module)->index = modules_n++;
    }
    max_module = modules_n + max_dynamic_modules;
    return Rc::ok;
}

Rc cycle_modules(Cycle& cycle)
{
    cycle.modules = cycle.pool->pcalloc<Module*>(max_module + 1);
    std::copy_n(modules, modules_n, cycle.modules);
    cycle.modules_n = modules_n;
    return Rc::ok;
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

    // The old cycle may have had more of them, and may come back if this one fails.
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
