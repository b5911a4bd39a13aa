#pragma once

/// \file
/// The parameters of `listen` in http, mail and stream, by nginx's rules.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tools/inspect/directive_table.hpp"

namespace ngx::inspect {

/// A `listen` with the addresses that it names, as they are written in messages. Those of a host
/// name are left out.
struct Listen {
    std::string block{};  // "http", "mail" or "stream"
    std::vector<std::string> parameters{};
    std::vector<std::string> addresses{};
};

/// An error of a `listen`, with nginx's message and what mends it.
struct WrongListen {
    std::string text{};
    std::string hint{};
};

/// Returns what is wrong with the parameters alone.
std::optional<WrongListen> wrong_parameters(const Listen& listen, const Program& program);

/// Finds what the directives of several servers have twice.
class ListenRepeats {
public:
    /// Begins another server.
    void next_server() { server_.clear(); }

    /// Returns what the directive repeats of those before it.
    std::optional<WrongListen> add(const Listen& listen, const Program& program);

private:
    struct Options {
        bool set = false;
        bool default_server = false;
    };

    std::set<std::string> server_{};  // the addresses of the current server
    std::map<std::string, Options> addresses_{};
};

}  // namespace ngx::inspect
