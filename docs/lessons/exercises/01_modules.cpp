#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. What count_modules() gives an event module as its ctx_index. `types[0]` to `types[module]`
/// are the types of the modules in the table's order; an event module's is 0x544E5645, "EVNT".
int ctx_index([[maybe_unused]] const std::uint32_t* types, [[maybe_unused]] int module)
{
    return -1;
}

/// 2. The index in conf_ctx from which the module's configuration is reached: a core module's
/// (0x45524F43, "CORE") own, an event module's that of ngx_events_module, which is the nearest
/// core module before it in the table; -1 for a module of another type.
int conf_ctx_slot([[maybe_unused]] const std::uint32_t* types, [[maybe_unused]] int module)
{
    return -2;
}

}  // namespace ngx::exercise
