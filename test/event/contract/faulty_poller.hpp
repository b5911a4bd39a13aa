#pragma once

#include <string_view>

namespace ngx::contract {

/// The pollers to which a fault can be added.
inline constexpr unsigned upon_edges = 1;
inline constexpr unsigned upon_levels = 2;

/// A fault of a poller. The event module with this name is a poller with the fault. A file of
/// modules belongs to one poller, whose name is the symbol `faults_base`, a std::string_view; all
/// its faults are in the symbol `faults`, a std::span<const Fault>.
struct Fault {
    std::string_view name;
    void (*install)();        // changes event_actions
    std::string_view breaks;  // the name of the promise
    unsigned upon = upon_edges | upon_levels;
};

}  // namespace ngx::contract
