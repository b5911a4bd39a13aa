#pragma once

/// \file
/// A cycle in the test's own process, which is built from a configuration text as the server does,
/// and completely removed.

#include <string>
#include <string_view>
#include <vector>

#include "core/cycle.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

/// Selects how much of a cycle is built.
enum class Start {
    conf,    // init_cycle(): configuration, files, sockets
    worker,  // and init_process of every module: poller, connections, listeners
};

/// Builds the cycle of a configuration and sets ngx_cycle to it. One at a time. Its prefix is a
/// temporary directory; without an error_log in the text, the log is "error.log" there, at level
/// debug.
///
/// The destructor closes what is still open, calls the poller's done, empties timers and queues,
/// and frees the cycle.
class TestCycle {
public:
    explicit TestCycle(std::string_view conf = "events {}", Start start = Start::worker);
    TestCycle(const TestCycle&) = delete;
    TestCycle& operator=(const TestCycle&) = delete;
    ~TestCycle();

    /// False if the configuration was refused; log() then has the reason.
    [[nodiscard]] bool ok() const noexcept { return cycle_ != nullptr; }

    Cycle& operator*() const noexcept { return *cycle_; }
    Cycle* operator->() const noexcept { return cycle_; }

    /// The prefix, where relative paths start. The configuration is nginx.conf in it.
    [[nodiscard]] const TempDir& dir() const noexcept { return dir_; }

    /// Returns all log lines: those before the cycle had its logs, then those in error.log.
    [[nodiscard]] std::string log() const;

    /// Reads a new text as a reload does. Returns false if it is refused; the old cycle then stays.
    bool reload(std::string_view conf);

    /// Makes one turn of the loop.
    void turn() noexcept;

private:
    void write_conf(std::string_view conf) const;

    TempDir dir_;
    std::string first_lines_;  // logged before error.log was open
    Log log_;
    Cycle* cycle_ = nullptr;
    Start start_;
};

}  // namespace ngx::test
