#pragma once

/// \file
/// A cycle in the test's own process: built from configuration text as the server builds it,
/// taken down without a trace.

#include <string>
#include <string_view>
#include <vector>

#include "core/cycle.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

/// How far a TestCycle goes.
enum class Start {
    conf,    // init_cycle(): configuration, files, sockets
    worker,  // and init_process of every module: poller, connections, listeners
};

/// The cycle of a configuration, as ngx_cycle. One at a time. Its prefix is a directory of its own;
/// unless the text says otherwise its error_log is "error.log" there, at level debug.
///
/// The destructor closes what is still open, calls the poller's done, empties timers and queues,
/// and frees the cycle.
class TestCycle {
public:
    explicit TestCycle(std::string_view conf = "events {}", Start start = Start::worker);
    TestCycle(const TestCycle&) = delete;
    TestCycle& operator=(const TestCycle&) = delete;
    ~TestCycle();

    /// False when the configuration was refused; log() then says why.
    [[nodiscard]] bool ok() const noexcept { return cycle_ != nullptr; }

    Cycle& operator*() const noexcept { return *cycle_; }
    Cycle* operator->() const noexcept { return cycle_; }

    /// The directory that relative paths start from; the configuration is nginx.conf there.
    [[nodiscard]] const TempDir& dir() const noexcept { return dir_; }

    /// All that was logged: before the cycle had its logs, then in error.log.
    [[nodiscard]] std::string log() const;

    /// Reads the new text as a reload does; false, and the old cycle goes on, if it is refused.
    bool reload(std::string_view conf);

    /// One turn of the loop.
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
