#pragma once

/// \file
/// The values of the directives of nginx's core and of its event modules.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ngx::inspect {

/// Returns nginx's message about the arguments of a directive if their number is right and a value
/// is not; nothing for the other directives. Host names are not resolved.
std::optional<std::string> wrong_value(std::string_view name, const std::vector<std::string>& args);

/// Returns a value in a form that is the same for all spellings: "010" is "10", "ON" is "on", a
/// time of events is in milliseconds.
std::string normal_value(std::string_view name, const std::string& value);

/// An event method of nginx, and the system that alone has it; empty for those that a build for any
/// system can have.
struct EventMethod {
    std::string_view name;
    std::string_view system;
};

/// Returns the event methods of nginx.
std::span<const EventMethod> event_methods() noexcept;

/// Returns the system whose event methods have a directive of this module: "Linux", ...; empty for
/// another module.
std::string_view system_of_module(std::string_view module);

/// Returns the system that alone has an event method; empty for "select" and "poll".
std::string_view system_of_method(std::string_view method);

}  // namespace ngx::inspect
