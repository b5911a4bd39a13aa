#pragma once

#include <string_view>

namespace ngx::contract {

/// The pollers upon which a fault can be put.
inline constexpr unsigned upon_edges = 1;
inline constexpr unsigned upon_levels = 2;

/// One thing that a poller may do wrong. The event module of that name is a poller that does. The
/// file of these modules is of one poller, whose name is in the symbol `faults_base`, a
/// std::string_view; it has all faults in the symbol `faults`, a std::span<const Fault>.
struct Fault {
    std::string_view name;
    void (*install)();        // changes the actions of the poller in use
    std::string_view breaks;  // the promise, by its name
    unsigned upon = upon_edges | upon_levels;
};

}  // namespace ngx::contract
