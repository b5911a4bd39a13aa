#pragma once

#include <string_view>

namespace ngx::contract {

/// One thing that a poller may do wrong. The event module of that name is a poller of edges that
/// does. The file of these modules has them all in the symbol `faults`, a std::span<const Fault>.
struct Fault {
    std::string_view name;
    void (*install)();        // changes the actions of the poller in use
    std::string_view breaks;  // the promise, by its name
};

}  // namespace ngx::contract
