#include "core/conf_slot.hpp"
#include "core/cycle.hpp"
#include "core/module.hpp"

/// The smallest module with a visible effect: `hello TEXT;` at the main level is logged after the
/// configuration was read.
namespace ngx {

extern Module hello_module;

namespace {

struct HelloConf {
    static constexpr Module* module = &hello_module;

    std::optional<std::string_view> text{};
};

void* hello_create_conf(Cycle& cycle)
{
    return cycle.pool->create<HelloConf>();
}

Rc hello_init_module(Cycle& cycle)
{
    const HelloConf& conf = *get_conf<HelloConf>(cycle.conf_ctx);
    if (conf.text) {
        log_error(log_notice, cycle.log, 0, "hello: {}", *conf.text);
    }
    return Rc::ok;
}

constexpr Command hello_commands[] = {
    {
        .name = "hello",
        .type = main_conf | direct_conf | conf_take1,
        .set = conf_set_str_slot<&HelloConf::text>,
    },
};

constexpr CoreModule hello_module_ctx = {
    .name = "hello",
    .create_conf = hello_create_conf,
};

}  // namespace

constinit Module hello_module = {
    .ctx = &hello_module_ctx,
    .commands = hello_commands,
    .type = ModuleType::core,
    .init_module = hello_init_module,
};

}  // namespace ngx
