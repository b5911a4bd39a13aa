#include <stdexcept>

#include "core/conf_slot.hpp"
#include "core/cycle.hpp"
#include "core/module.hpp"
#include "event/event_posted.hpp"
#include "stream/stream_variables.hpp"

/// \file
/// Two modules in a file, which is built twice with different SAY_VERSION. `say TEXT;` at the main
/// level: the module's hooks log the text with the version; with `say "throw HOOK";` that hook
/// throws, and with `say "throw event";` the handler of an event in the first turn. In a stream,
/// `$say_version` is the version.

namespace ngx {

extern Module say_module;

namespace {

struct SayConf {
    static constexpr Module* module = &say_module;

    std::optional<std::string_view> text{};
};

void* say_create_conf(Cycle& cycle)
{
    return cycle.pool->create<SayConf>();
}

void throw_if(std::string_view text, std::string_view when)
{
    if (text.starts_with("throw ") && text.ends_with(when)) {
        throw std::runtime_error("say throws");
    }
}

const char* say_text(Conf& cf, const Command& cmd, void* conf)
{
    throw_if(cf.args[1], "directive");
    return conf_set_str_slot<&SayConf::text>(cf, cmd, conf);
}

/// Throws out of a handler that is noexcept.
void throw_in_first_turn(Cycle& cycle)
{
    static Connection c;
    static Event ev;
    ev.data = &c;
    ev.log = cycle.log;
    ev.handler = [](Event&) noexcept { throw_if("throw event", "event"); };
    post_event(ev, posted_next_events);
}

void say(Cycle& cycle, const char* when)
{
    const SayConf& conf = *get_conf<SayConf>(cycle.conf_ctx);
    throw_if(conf.text.value_or(""), when);
    log_error(log_notice, cycle.log, 0, "say {} version {}: {}", when, SAY_VERSION,
              conf.text.value_or("nothing"));
}

Rc say_init_module(Cycle& cycle)
{
    say(cycle, "module");
    return Rc::ok;
}

Rc say_init_process(Cycle& cycle)
{
    say(cycle, "process");
    if (get_conf<SayConf>(cycle.conf_ctx)->text == "throw event") {
        throw_in_first_turn(cycle);
    }
    return Rc::ok;
}

void say_exit_process(Cycle& cycle)
{
    say(cycle, "exit");
}

constexpr Command say_commands[] = {
    {
        .name = "say",
        .type = main_conf | direct_conf | conf_take1,
        .set = say_text,
    },
};

constexpr CoreModule say_module_ctx = {
    .name = "say",
    .create_conf = say_create_conf,
};

std::string_view say_version(StreamSession&, std::uintptr_t)
{
    return SAY_VERSION;
}

constexpr StreamVariable version_variable{.name = "say_version", .get_handler = say_version};

Rc stream_say_preconfiguration(Conf& cf)
{
    return stream_add_variable(cf, version_variable);
}

constexpr StreamModule stream_say_module_ctx = {
    .preconfiguration = stream_say_preconfiguration,
};

}  // namespace

constinit Module say_module = {
    .ctx = &say_module_ctx,
    .commands = say_commands,
    .type = ModuleType::core,
    .init_module = say_init_module,
    .init_process = say_init_process,
    .exit_process = say_exit_process,
};

constinit Module stream_say_module = {
    .ctx = &stream_say_module_ctx,
    .type = ModuleType::stream,
};

}  // namespace ngx
