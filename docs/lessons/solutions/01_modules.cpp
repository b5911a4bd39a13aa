#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

namespace {

constexpr std::uint32_t core = 0x45524F43;
constexpr std::uint32_t event = 0x544E5645;

}  // namespace

int ctx_index(const std::uint32_t* types, int module)
{
    int before = 0;
    for (int i = 0; i < module; i++) {
        before += types[i] == types[module] ? 1 : 0;
    }
    return before;
}

int conf_ctx_slot(const std::uint32_t* types, int module)
{
    if (types[module] != core && types[module] != event) {
        return -1;
    }
    while (types[module] != core) {
        module--;
    }
    return module;
}

}  // namespace ngx::exercise
