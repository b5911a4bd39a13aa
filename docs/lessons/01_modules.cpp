/// \file
/// Lesson 1: the table of modules, and the place of each module's configuration.

#include <vector>

#include "core/module.hpp"
#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "event/event_core_module.hpp"

namespace ngx::lesson {

namespace {

constexpr const char* conf = "master_process off;"
                             "events { use poll; worker_connections 64; multi_accept on; }";

const char* type_name(const Module& module)
{
    switch (module.type) {
    case ModuleType::core:
        return "core";
    case ModuleType::event:
        return "event";
    case ModuleType::stream:
        return "stream";
    default:
        return "conf";
    }
}

void show_module(const Module& module)
{
    say("  index ~%zu, ctx_index %zu, %s: %.*s", module.index, module.ctx_index, type_name(module),
        static_cast<int>(module.name.size()), module.name.data());
}

void show_table(const Cycle& cycle)
{
    say("The event modules and ngx_events_module, in the order of the table:");
    for (const Module* module : modules_of(cycle)) {
        if (module->type == ModuleType::event) {
            show_module(*module);
        }
    }
    say("  index ~%zu, core: ngx_events_module", events_module.index);
}

void show_picture(const Cycle& cycle)
{
    say("conf_ctx[index of a core module]");
    const auto* const core = static_cast<CoreConf*>(cycle.conf_ctx[core_module.index]);
    say("  of ngx_core_module is its configuration: master_process %s",
        *core->master ? "on" : "off");

    const auto* const block = static_cast<BlockCtx*>(cycle.conf_ctx[events_module.index]);
    say("  of ngx_events_module is the block's context, conf[0][ctx_index of an event module]");
    const auto* const ecf = static_cast<EventConf*>(block->conf[0][event_core_module.ctx_index]);
    say("    of ngx_event_core_module: worker_connections %ld, multi_accept %s",
        static_cast<long>(*ecf->connections), *ecf->multi_accept ? "on" : "off");

    say("event_get_conf<EventConf>() returns the same: %s",
        yes_no(event_get_conf<EventConf>(cycle.conf_ctx) == ecf));
}

void show()
{
    const Loop loop(conf);
    show_table(*loop);
    show_picture(*loop);

    const EventConf& ecf = *event_get_conf<EventConf>(loop->conf_ctx);
    say("`use poll` has stored the ctx_index %zu, and init_process has called that module's init:",
        *ecf.use);
    say("  event_actions is poll's table: %s",
        yes_no(event_actions.process_events == event_method(*loop).actions.process_events));

    say("accept_mutex is not in the file, so init_conf has set the default: %s",
        *ecf.accept_mutex ? "on" : "off");
}

void check(Checker& checker)
{
    const Loop loop(conf);
    std::vector<std::uint32_t> types;
    for (const Module* module : modules_of(*loop)) {
        types.push_back(static_cast<std::uint32_t>(module->type));
    }

    for (const Module* module : modules_of(*loop)) {
        const std::string name(module->name);
        const int index = static_cast<int>(module->index);
        long long slot = -1;
        if (module->type == ModuleType::core) {
            slot = index;
        } else if (module->type == ModuleType::event) {
            slot = static_cast<long long>(events_module.index);
            checker.same(1, name, static_cast<long long>(module->ctx_index),
                         exercise::ctx_index(types.data(), index));
        }
        checker.same(2, name, slot, exercise::conf_ctx_slot(types.data(), index));
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
