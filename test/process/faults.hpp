#pragma once

/// \file
/// System calls that fail in a server. The server preloads fault.so, which is built beside this
/// program. The two share a file, by which the test controls the faults while the server runs.

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <climits>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace ngx::test::process {

/// The content of the file. A fault is shared by all processes of the server.
struct FaultState {
    std::atomic<bool> armed = false;  // the next members are valid
    std::array<char, 32> call{};
    std::array<char, 96> part{};  // for open(): a part of the path; empty: any path
    int err = 0;
    pid_t pid = 0;
    bool stays = false;         // a connection whose accept4() fails stays in the queue
    std::atomic<int> pass = 0;  // number of calls that succeed before the first failure
    std::atomic<int> left = 0;  // number of failures left
    std::atomic<int> hits = 0;  // number of failures so far
};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

/// A fault: the name of the call and the errno.
struct Fault {
    std::string call;
    int err = 0;
    int times = 1;
    int pass = 0;
    std::string part{};
    pid_t pid = 0;       // the process in which it fails; 0: any
    bool stays = false;  // a connection whose accept4() fails stays in the queue
};

/// The number of failures of a fault that does not end.
inline constexpr int always = INT_MAX;

/// Returns the call by which the event method waits.
std::string wait_call();

/// Controls the faults of the servers that are started with env().
class Faults {
public:
    explicit Faults(std::filesystem::path file);

    /// Returns the variables that preload the faults.
    [[nodiscard]] std::map<std::string, std::string> env() const;

    void arm(const Fault& fault);
    void disarm() { state_->armed = false; }

    /// Returns the number of failures since arm().
    [[nodiscard]] int hits() const { return state_->hits; }
    /// Waits until the fault has occurred.
    void wait_for_hit() const;

private:
    struct Unmap {
        void operator()(FaultState* state) const { ::munmap(state, sizeof(*state)); }
    };

    std::filesystem::path file_;
    std::unique_ptr<FaultState, Unmap> state_;
};

}  // namespace ngx::test::process
