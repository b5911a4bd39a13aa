#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "test/event/contract/verdict.hpp"

/// The contract of event modules: a table of promises in chapters, each of which is tried in a new
/// cycle. This code does not depend on a test framework, or on a certain event module.
namespace ngx::contract {

class Bench;

/// The event module that is tried.
struct Subject {
    std::string use{};                        // its name in the configuration
    std::vector<std::string> load_modules{};  // files that the configuration loads
    std::string events{};                     // its directives in the events block

    /// How long to wait for an expected event. Long, because the machine may be busy.
    std::chrono::milliseconds patience{60'000};

    /// The seed of promises that use random numbers.
    std::uint32_t seed = 1;

    /// Whether a report may be about a state that has passed before the wait.
    bool in_vain = false;
};

/// The properties that an event module can declare, by event_flags, event_actions and its
/// EventModule, and the parts that a build can leave out. A promise that needs any that are missing
/// is not tested.
namespace capability {
inline constexpr unsigned clear = 0x01;
inline constexpr unsigned level = 0x02;
inline constexpr unsigned oneshot = 0x04;
inline constexpr unsigned epoll = 0x08;
inline constexpr unsigned rdhup = 0x10;
inline constexpr unsigned enable = 0x20;
inline constexpr unsigned add_conn = 0x40;
inline constexpr unsigned notify = 0x80;
inline constexpr unsigned workers = 0x100;
inline constexpr unsigned stream = 0x200;
}  // namespace capability

struct Promise {
    std::string_view name;
    std::string_view explanation;       // one sentence
    void (*keep)(Bench& b) = nullptr;   // tries the promise
    unsigned needs = 0;                 // bits of capability
    std::string_view main_conf = "";    // directives of the main level
    std::string_view events_conf = "";  // directives of the events block

    /// Tries the promise with a server in a separate process. Used instead of `keep`.
    void (*serve)(const Subject& subject, Verdict& verdict) = nullptr;
};

struct Chapter {
    std::string_view name;
    std::span<const Promise> promises;
};

/// Returns all chapters of the contract.
std::span<const Chapter> chapters();

/// Returns what the subject declares. Starts a cycle with it, because the module sets its flags in
/// init.
unsigned declared(const Subject& subject);

/// Returns the names of capabilities as text: "a, b".
std::string capability_names(unsigned capabilities);

/// Tries one promise. An exception breaks it.
Verdict run(const Promise& promise, const Subject& subject);

// Each chapter has a file with this name.
extern const std::span<const Promise> accept_promises;
extern const std::span<const Promise> batch_promises;
extern const std::span<const Promise> capacity_promises;
extern const std::span<const Promise> channel_promises;
extern const std::span<const Promise> connection_promises;
extern const std::span<const Promise> edge_promises;
extern const std::span<const Promise> ending_promises;
extern const std::span<const Promise> history_promises;
extern const std::span<const Promise> interest_promises;
extern const std::span<const Promise> level_promises;
extern const std::span<const Promise> lifecycle_promises;
extern const std::span<const Promise> notify_promises;
extern const std::span<const Promise> oneshot_promises;
extern const std::span<const Promise> posting_promises;
extern const std::span<const Promise> process_promises;
extern const std::span<const Promise> readiness_promises;
extern const std::span<const Promise> server_promises;
extern const std::span<const Promise> signal_promises;
extern const std::span<const Promise> timing_promises;
extern const std::span<const Promise> walk_promises;

}  // namespace ngx::contract
