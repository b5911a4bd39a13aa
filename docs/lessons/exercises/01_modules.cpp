#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Returns the ctx_index that count_modules() gives to an event module. `types[0]` to
/// `types[module]` are the types of the modules in the table's order; an event module's type is
/// 0x544E5645, "EVNT".
int ctx_index([[maybe_unused]] const std::uint32_t* types, [[maybe_unused]] int module)
{
    return -1;
}

/// 2. Returns the index in conf_ctx that leads to the module's configuration. For a core module
/// (0x45524F43, "CORE") it is the module's own index; for an event module that of
/// ngx_events_module, which is the nearest core module before it in the table; for other types -1.
int conf_ctx_slot([[maybe_unused]] const std::uint32_t* types, [[maybe_unused]] int module)
{
    return -2;
}

}  // namespace ngx::exercise
