#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "test/event/contract/verdict.hpp"

/// What every event module promises: a table of promises in chapters, each tried on its own in a
/// fresh cycle. Nothing here knows a test framework, or an event module by its name.
namespace ngx::contract {

class Bench;

/// The event module on trial.
struct Subject {
    std::string use{};                        // what it is called in the configuration
    std::vector<std::string> load_modules{};  // files that the configuration loads

    /// How long to wait for what is expected to come, on a machine that may have much else to do.
    std::chrono::milliseconds patience{4000};

    /// Of what a promise does at random.
    std::uint32_t seed = 1;
};

/// What an event module may declare, by event_flags, event_actions and its EventModule. A promise
/// that needs more than is declared is not tried.
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
}  // namespace capability

struct Promise {
    std::string_view name;
    std::string_view explanation;       // a sentence
    void (*keep)(Bench& b) = nullptr;   // tries it, on a bench
    unsigned needs = 0;                 // of capability
    std::string_view main_conf = "";    // directives for the trial, at main level
    std::string_view events_conf = "";  // and in the events block

    /// Tries it, in place of `keep`, with a server in a process of its own.
    void (*serve)(const Subject& subject, Verdict& verdict) = nullptr;
};

struct Chapter {
    std::string_view name;
    std::span<const Promise> promises;
};

/// The contract.
std::span<const Chapter> chapters();

/// What the subject declares, once `use` has initialised it.
unsigned declared(const Subject& subject);

/// The capabilities as text: "a, b".
std::string capability_names(unsigned capabilities);

/// Tries one promise. Whatever is thrown on the way breaks it.
Verdict run(const Promise& promise, const Subject& subject);

// Each chapter is a file of this name.
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
