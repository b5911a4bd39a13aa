#include "test/event/contract/promise.hpp"

#include <algorithm>
#include <array>
#include <exception>

#include "core/module.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "test/event/contract/bench.hpp"

namespace ngx::contract {

namespace {

struct CapabilityName {
    unsigned capability;
    std::string_view text;
};

constexpr std::array capability_texts = {
    CapabilityName{capability::clear, "edges (use_clear_event)"},
    CapabilityName{capability::level, "levels (use_level_event)"},
    CapabilityName{capability::oneshot, "one-shot events (use_oneshot_event)"},
    CapabilityName{capability::epoll, "epoll (use_epoll_event)"},
    CapabilityName{capability::rdhup, "the peer's end of data (use_epoll_rdhup)"},
    CapabilityName{capability::enable, "enable and disable"},
    CapabilityName{capability::add_conn, "add_conn and del_conn"},
    CapabilityName{capability::notify, "notify"},
    CapabilityName{capability::workers, "several workers (no single_worker)"},
    CapabilityName{capability::stream, "the stream block (which a build may leave out)"},
};

/// Whether this program has the stream block, which a build may leave out.
bool has_stream()
{
    const auto is_stream = [](const Module* module) { return module->type == ModuleType::stream; };
    const Module* const* end = modules;
    while (*end) {
        end++;
    }
    return std::any_of(static_cast<const Module* const*>(modules), end, is_stream);
}

/// Returns what the event module in use declares.
unsigned declared_now(const Cycle& cycle) noexcept
{
    const auto when = [](bool condition, unsigned capability) {
        return condition ? capability : 0U;
    };
    const auto flag = [&](unsigned use, unsigned capability) {
        return when((event_flags & use) != 0, capability);
    };
    return flag(use_clear_event, capability::clear) | flag(use_level_event, capability::level) |
           flag(use_oneshot_event, capability::oneshot) | flag(use_epoll_event, capability::epoll) |
           (use_epoll_rdhup ? flag(use_epoll_event, capability::rdhup) : 0U) |
           when(event_actions.enable && event_actions.disable, capability::enable) |
           when(event_actions.add_conn && event_actions.del_conn, capability::add_conn) |
           when(event_actions.notify != nullptr, capability::notify) |
           when(!event_method(cycle).single_worker, capability::workers) |
           when(has_stream(), capability::stream);
}

}  // namespace

std::span<const Chapter> chapters()
{
    static const std::array table = {
        Chapter{"lifecycle", lifecycle_promises},
        Chapter{"readiness", readiness_promises},
        Chapter{"edge", edge_promises},
        Chapter{"level", level_promises},
        Chapter{"oneshot", oneshot_promises},
        Chapter{"interest", interest_promises},
        Chapter{"connection", connection_promises},
        Chapter{"accept", accept_promises},
        Chapter{"posting", posting_promises},
        Chapter{"batch", batch_promises},
        Chapter{"ending", ending_promises},
        Chapter{"timing", timing_promises},
        Chapter{"signal", signal_promises},
        Chapter{"notify", notify_promises},
        Chapter{"capacity", capacity_promises},
        Chapter{"history", history_promises},
        Chapter{"channel", channel_promises},
        Chapter{"process", process_promises},
        Chapter{"walk", walk_promises},
        Chapter{"server", server_promises},
    };
    return table;
}

unsigned declared(const Subject& subject)
{
    constexpr Promise nothing{};
    Verdict verdict;
    const Bench bench(subject, nothing, verdict);
    return declared_now(bench.cycle());
}

std::string capability_names(unsigned capabilities)
{
    std::string names;
    for (const CapabilityName& name : capability_texts) {
        if ((capabilities & name.capability) != 0) {
            names.append(names.empty() ? "" : ", ").append(name.text);
        }
    }
    return names;
}

Verdict run(const Promise& promise, const Subject& subject)
{
    Verdict verdict;
    try {
        if (promise.serve) {
            if (const unsigned missing = promise.needs & ~declared(subject); missing != 0) {
                verdict.not_declared(capability_names(missing));
            } else {
                promise.serve(subject, verdict);
            }
            return verdict;
        }
        Bench bench(subject, promise, verdict);
        if (const unsigned missing = promise.needs & ~declared_now(bench.cycle()); missing != 0) {
            verdict.not_declared(capability_names(missing));
            return verdict;
        }
        promise.keep(bench);
        bench.finish();
    } catch (const std::exception& e) {
        verdict.expect(false, std::string("nothing is thrown; seen: ") + e.what());
    }
    return verdict;
}

}  // namespace ngx::contract
