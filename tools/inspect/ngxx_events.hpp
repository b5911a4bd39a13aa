#pragma once

/// \file
/// The answer of ngxx's own parser to the directives of a configuration that concern events.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/inspect/limits.hpp"
#include "tools/inspect/settings.hpp"

namespace ngx::inspect {

/// Lets the server's parser read the directives of main and of the events block that concern
/// events, and nothing else of the configuration. A directive that it refuses is left out.
class NgxxEvents {
public:
    NgxxEvents(const Settings& settings, const Machine& machine);

    /// Returns false if ngxx refuses the values together: there are then no values.
    [[nodiscard]] bool ok() const noexcept { return !values_.empty(); }

    /// Returns each directive with its effective value; an empty one for none.
    [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& values() const noexcept
    {
        return values_;
    }
    [[nodiscard]] const std::string* value(std::string_view name) const;

    [[nodiscard]] const std::string& method() const noexcept { return method_; }
    [[nodiscard]] const Json& method_json() const noexcept { return method_json_; }
    [[nodiscard]] std::size_t connections() const noexcept { return connections_; }

    /// Returns what ngxx refuses.
    [[nodiscard]] const std::vector<Problem>& refused() const noexcept { return refused_; }

    /// Returns the number of log files that are open without a directive.
    [[nodiscard]] static std::size_t default_logs(const Settings& settings);

private:
    void read(const std::vector<Setting>& main, const std::vector<Setting>& events,
              const Machine& machine);
    void take(const Reading& reading, const Machine& machine);
    void take_main(const Cycle& cycle, const Machine& machine);
    void take_method(const Reading& reading);

    std::vector<std::pair<std::string, std::string>> values_{};
    std::string method_{};
    Json method_json_{};
    std::size_t connections_ = 0;
    std::vector<Problem> refused_{};
    bool auto_processes_ = false;
};

}  // namespace ngx::inspect
