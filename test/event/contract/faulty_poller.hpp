#pragma once

#include <span>
#include <string_view>

namespace ngx::contract {

/// One thing that a poller may do wrong, as a change to the actions of the one in use.
struct Fault {
    std::string_view name;
    void (*install)();        // for Subject::after_init
    std::string_view breaks;  // the promise, by its name
};

/// The faults, each to be put upon a poller that reports edges.
extern const std::span<const Fault> faults;

/// Makes a poller forget an event added with oneshot_event when it reports it, and declare that.
void install_oneshot();

/// Closes what faulty pollers have left open.
void close_leaked_descriptors();

}  // namespace ngx::contract
