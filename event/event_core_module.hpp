#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/conf_file.hpp"
#include "core/core.hpp"
#include "core/inet.hpp"
#include "core/module.hpp"
#include "event/event_actions.hpp"

namespace ngx {

/// nginx: ngx_events_module, ngx_event_core_module
extern Module events_module;
extern Module event_core_module;

/// Allows a directive in the events block.
///
/// nginx: NGX_EVENT_CONF
inline constexpr std::uint32_t event_conf = 0x02000000;

/// nginx: ngx_event_conf_t
struct EventConf {
    static constexpr Module* module = &event_core_module;

    std::optional<std::int64_t> connections{};
    std::optional<std::size_t> use{};  // the ctx_index of the event module
    std::string_view use_file{};       // where the file says so; empty for the default
    std::size_t use_line = 0;
    std::optional<bool> multi_accept{};
    std::optional<bool> accept_mutex{};
    std::optional<Msec> accept_mutex_delay{};
    std::string_view name{};
    std::vector<Cidr> debug_connection{};
};

/// Returns a module's configuration in the events block; `T::module` is the module.
///
/// nginx: ngx_event_get_conf()
template <typename T>
T* event_get_conf(void* const* conf_ctx) noexcept
{
    const auto* block = static_cast<const BlockCtx*>(conf_ctx[events_module.index]);
    return static_cast<T*>(block->conf[0][T::module->ctx_index]);
}

/// Returns the context of an event module.
inline const EventModule& event_ctx(const Module& module) noexcept
{
    return *static_cast<const EventModule*>(module.ctx);
}

/// Returns the event module that a configuration has chosen. Valid once its events block was read.
const EventModule& event_method(const Cycle& cycle) noexcept;

}  // namespace ngx
