#pragma once

/// \file
/// System calls that fail in a server. It preloads fault.so, which is built beside this program;
/// the two share a file, in which the test says what fails, also while the server runs.

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

/// What the file holds. A fault is for all processes of the server together.
struct FaultState {
    std::atomic<bool> armed = false;  // what follows is valid
    std::array<char, 32> call{};
    std::array<char, 96> part{};  // of the path, for open(); empty for any
    int err = 0;
    pid_t pid = 0;
    bool stays = false;         // a connection whose accept4() fails stays in the queue
    std::atomic<int> pass = 0;  // so many calls go well before the first that fails
    std::atomic<int> left = 0;  // so many are still to fail
    std::atomic<int> hits = 0;  // so many have failed
};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

/// What is to fail, by its name and the errno.
struct Fault {
    std::string call;
    int err = 0;
    int times = 1;
    int pass = 0;
    std::string part{};
    pid_t pid = 0;       // of the process in which it fails; 0 for any
    bool stays = false;  // a connection whose accept4() fails stays in the queue
};

/// A fault that does not end.
inline constexpr int always = INT_MAX;

/// The call by which the event method waits.
std::string wait_call();

/// The faults of the servers that are started with env().
class Faults {
public:
    explicit Faults(std::filesystem::path file);

    /// The variables that preload the faults.
    [[nodiscard]] std::map<std::string, std::string> env() const;

    void arm(const Fault& fault);
    void disarm() { state_->armed = false; }

    /// How many calls have failed since arm().
    [[nodiscard]] int hits() const { return state_->hits; }
    /// Returns when the fault has been met.
    void wait_for_hit() const;

private:
    struct Unmap {
        void operator()(FaultState* state) const { ::munmap(state, sizeof(*state)); }
    };

    std::filesystem::path file_;
    std::unique_ptr<FaultState, Unmap> state_;
};

}  // namespace ngx::test::process
