#pragma once

/// \file
/// How many clients a server can have at once.

#include <cstddef>
#include <optional>
#include <string>

#include "tools/inspect/json.hpp"

namespace ngx::inspect {

/// The machine of the server, as far as the options tell it.
struct Machine {
    std::optional<std::size_t> processors{};
    std::optional<std::size_t> files{};  // the limit of open files
};

/// The connections and descriptors of a worker, and the parts of a configuration that take them. A
/// number that depends on a machine that is not known is empty.
struct Budget {
    std::string program{};
    std::string method{};
    std::size_t connections = 0;           // worker_connections
    std::optional<std::size_t> workers{};  // one if there is no master
    std::optional<std::size_t> files{};    // the limit of open files of a worker
    std::string files_from{};              // what sets it, in words
    bool master = true;
    bool waker = false;           // without a master, a connection takes the channel's place
    std::size_t sockets = 0;      // on which a worker listens
    std::size_t reuseport = 0;    // those that each worker has of its own
    std::size_t logs = 0;         // files
    std::size_t remote_logs = 0;  // syslog
    std::size_t resolvers = 0;    // name servers
    std::size_t cachers = 0;      // processes for caches, with a channel each
    std::size_t eventfds = 0;     // of the methods epoll and iouring
    std::size_t connection_bytes = 0;
    std::size_t fd_setsize = 0;  // of select

    [[nodiscard]] std::size_t known_workers() const { return workers.value_or(1); }
    [[nodiscard]] std::size_t channels() const { return master ? known_workers() + cachers : 0; }
    [[nodiscard]] std::size_t listening() const
    {
        return sockets + (reuseport * (known_workers() - (known_workers() > 0 ? 1 : 0)));
    }
    [[nodiscard]] std::size_t pollers() const
    {
        const bool has_none = method == "poll" || method == "select";
        return has_none ? 0 : 1 + (method == "epoll" || method == "iouring" ? eventfds : 0);
    }

    /// Returns the connections and descriptors of a worker that no client can have.
    [[nodiscard]] std::size_t taken_connections() const;
    [[nodiscard]] std::size_t taken_files() const;

    /// Returns the limit of descriptors that is in effect, that of select included.
    [[nodiscard]] std::optional<std::size_t> usable_files() const;

    /// Returns how many clients a worker can have at once.
    [[nodiscard]] std::size_t clients() const;
};

/// Returns the limits, each with its name, value and words.
Json limits_json(const Budget& budget);

/// Returns the number of clients, and what binds first.
Json clients_json(const Budget& budget);

}  // namespace ngx::inspect
