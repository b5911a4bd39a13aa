#pragma once

/// \file
/// What the event subsystem uses of a configuration.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tools/inspect/configuration.hpp"
#include "tools/inspect/sockets.hpp"

namespace ngx::inspect {

/// A directive with the words behind its name.
struct Setting {
    std::string name{};
    std::vector<std::string> args{};
    std::string text{};  // the directive as it is written, without comments
    Place place{};
    bool refused = false;  // by the program
};

/// The destinations of the logs: each file is opened once.
struct Logs {
    std::set<std::string> files{};
    std::size_t remote = 0;  // syslog

    void add(const std::string& name, const std::string& prefix);
};

/// The directives of main and of the events block, and what takes connections and descriptors.
class Settings {
public:
    explicit Settings(const Configuration& configuration);

    /// Returns the settings of a directive of main or of the events block, in their order.
    [[nodiscard]] std::vector<const Setting*> all(std::string_view name) const;

    /// Returns the first argument of a directive, which counts if there are several; null if the
    /// configuration does not have it, or the program refuses it.
    [[nodiscard]] const std::string* value(std::string_view name) const;

    std::vector<Setting> main{};
    std::vector<Setting> events{};
    std::vector<Place> blocks{};  // those of events
    std::vector<Socket> sockets{};
    Logs logs{};
    Logs stream_logs{};  // those of main and stream
    std::size_t name_servers = 0;
    bool caches = false;

    /// The parts that ngxx does not have: "http", "mail", ...
    std::set<std::string> others{};

private:
    /// Whether `access_log` is in a block such as http, in its current server, and missing in one.
    struct AccessLogs {
        bool in_block = false;
        bool in_server = false;
        bool missing = false;

        [[nodiscard]] bool is_default() const { return missing && !in_block; }
    };

    void add(const Placed& placed);
    void add_log(const Placed& placed);
    void leave(const Placed& placed);

    const Configuration& configuration_;
    const std::string& prefix_;
    std::map<std::string_view, AccessLogs> access_logs_{};
    bool main_log_ = false;  // error_log
};

}  // namespace ngx::inspect
