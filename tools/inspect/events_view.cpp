#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <sys/resource.h>
#include <sys/select.h>

#include "core/connection.hpp"
#include "core/module.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "os/unix/cgroup.hpp"
#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

/// The numbers of a configuration from which the limits are calculated.
struct Numbers {
    explicit Numbers(const Cycle& cycle)
        : core(*get_conf<CoreConf>(cycle.conf_ctx))
        , events(*event_get_conf<EventConf>(cycle.conf_ctx))
        , connections(cycle.connection_n)
        , workers(*core.master
                      ? static_cast<std::size_t>(std::max<std::int64_t>(*core.worker_processes, 1))
                      : 1)
        , listeners(static_cast<std::size_t>(
              std::ranges::count_if(cycle.listening, [](const Listening& ls) {
                  return !ls.reuseport || ls.worker == 0;
              })))
    {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        descriptors = core.rlimit_nofile ? static_cast<std::size_t>(*core.rlimit_nofile)
                                         : static_cast<std::size_t>(limit.rlim_cur);
    }

    [[nodiscard]] bool mutex_in_effect() const
    {
        return *core.master && workers > 1 && *events.accept_mutex;
    }

    const CoreConf& core;
    const EventConf& events;
    std::size_t connections;
    std::size_t workers;
    std::size_t listeners;
    std::size_t descriptors;
};

Json place_json(const Directive* directive)
{
    if (!directive) {
        return {{"set", false}, {"file", Json()}, {"line", Json()}, {"column", Json()}};
    }
    const Place& place = directive->place;
    return {{"set", true}, {"file", place.file}, {"line", place.line}, {"column", place.column}};
}

/// Returns each directive of the events block with its effective value.
Json values(const Reading& reading)
{
    const auto& block =
        *static_cast<const BlockCtx*>(reading.cycle().conf_ctx[events_module.index]);
    Json list = Json::array();
    for (const Module* module : modules_of(reading.cycle())) {
        if (module->type != ModuleType::event) {
            continue;
        }
        const void* const conf = block.conf[0][module->ctx_index];
        for (const Command& command : module->commands) {
            Json value = {{"directive", command.name},
                          {"module", module->name},
                          {"value", command.show && conf ? Json(command.show(conf)) : Json()}};
            value.update(place_json(reading.find(command)));
            list.push_back(value);
        }
    }
    return list;
}

std::string why_not(const EventModule& module, const Numbers& n, bool chosen_by_use)
{
    if (chosen_by_use) {
        return fmt::format("\"use\" names \"{}\"", n.events.name);
    }
    return fmt::format(
        "\"{}\" comes before \"{}\" in the table of modules and works on this system",
        n.events.name, module.name);
}

Json method(const Reading& reading, const Numbers& n)
{
    const Command* use = nullptr;
    for (const Command& command : event_core_module.commands) {
        use = command.name == "use" ? &command : use;
    }
    const Directive* const chosen = reading.find(*use);

    Json others = Json::array();
    for (const Module* module : modules_of(reading.cycle())) {
        if (module->type != ModuleType::event || module == &event_core_module ||
            module->ctx_index == *n.events.use) {
            continue;
        }
        others.push_back({{"name", event_ctx(*module).name},
                          {"why_not", why_not(event_ctx(*module), n, chosen != nullptr)}});
    }
    Json json = {
        {"name", n.events.name},
        {"why", chosen ? "\"use\" names it"
                       : "it is the first in the table of modules that works on this system"}};
    json.update(place_json(chosen));
    json["others"] = others;
    return json;
}

Json limit(std::string_view name, Json value, std::string words)
{
    return {{"name", name}, {"value", std::move(value)}, {"words", std::move(words)}};
}

Json accept_limits(const Numbers& n)
{
    Json list = Json::array();
    if (n.mutex_in_effect()) {
        list.push_back(limit(
            "accept_mutex", true,
            fmt::format("the workers take turns at accepting; a worker without the mutex tries "
                        "again after {} ms at the latest",
                        *n.events.accept_mutex_delay)));
    } else if (*n.events.accept_mutex) {
        list.push_back(
            limit("accept_mutex", false, "\"accept_mutex on\" has no effect with a single worker"));
    }
    if (!n.mutex_in_effect() && *n.core.master && n.workers > 1 && n.events.name == "epoll") {
        list.push_back(limit("exclusive", true,
                             "each worker watches the listeners with EPOLLEXCLUSIVE, except those "
                             "with reuseport: a new connection wakes one worker, not all"));
    }
    const std::size_t rest = n.connections / 8;
    list.push_back(
        limit("accept_threshold", rest,
              fmt::format("under the accept mutex, a worker with fewer than {} free connections "
                          "leaves accepting to the others",
                          rest)));
    return list;
}

Json connection_limits(const Numbers& n)
{
    // One is for the channel. The server refuses a configuration that has fewer than these.
    const std::size_t clients = n.connections - n.listeners - 1;
    Json list = Json::array();
    list.push_back(
        limit("connections_per_worker", n.connections,
              fmt::format("a worker has {} connections; its {} listening sockets use one each, the "
                          "channel for signals uses one, and {} remain for clients, or for half "
                          "as many proxied ones",
                          n.connections, n.listeners, clients)));
    list.push_back(limit("connections_in_all", clients * n.workers,
                         fmt::format("{} workers serve at most {} clients at once", n.workers,
                                     clients * n.workers)));
    return list;
}

Json resource_limits(const Numbers& n)
{
    const bool short_of = n.connections > n.descriptors;
    Json list = Json::array();
    list.push_back(limit(
        "descriptors_per_worker", n.descriptors,
        fmt::format("a worker may open {} files ({}), which {} {} connections", n.descriptors,
                    n.core.rlimit_nofile ? "worker_rlimit_nofile" : "the limit of this process",
                    short_of ? "is less than its" : "is enough for its", n.connections)));

    const std::size_t bytes = n.connections * (sizeof(Connection) + 2 * sizeof(Event));
    const std::int64_t memory = memory_share().n;
    list.push_back(
        limit("memory_of_connections", bytes * n.workers,
              fmt::format("the connections and their events use {} bytes in each worker and {} "
                          "in all workers; {} bytes are available",
                          bytes, bytes * n.workers, memory)));
    if (n.events.name == "select") {
        list.push_back(
            limit("fd_setsize", FD_SETSIZE,
                  fmt::format("select() watches descriptors below {} only", FD_SETSIZE)));
    }
    return list;
}

/// Returns the effective value of a directive of the events block; empty if no module has it.
std::string shown(const Cycle& cycle, std::string_view directive)
{
    const auto& block = *static_cast<const BlockCtx*>(cycle.conf_ctx[events_module.index]);
    for (const Module* module : modules_of(cycle)) {
        if (module->type != ModuleType::event) {
            continue;
        }
        for (const Command& command : module->commands) {
            if (command.name == directive && command.show) {
                return command.show(block.conf[0][module->ctx_index]);
            }
        }
    }
    return {};
}

/// Returns what io_uring does, and why not more.
Json iouring_limits(const Cycle& cycle, const Numbers& n)
{
    Json list = Json::array();
    if (n.events.name != "iouring") {
        return list;
    }
    if (shown(cycle, "iouring_io") != "completion") {
        list.push_back(limit("iouring_receives", false,
                             "io_uring tells when a descriptor is ready, and does not receive: "
                             "\"iouring_io\" is not completion"));
        return list;
    }
    list.push_back(
        limit("iouring_receives", true,
              fmt::format("io_uring receives into the buffers of each worker (\"iouring_buffers "
                          "{}\"); a kernel before Linux 5.19 only tells readiness",
                          shown(cycle, "iouring_buffers"))));
    return list;
}

Json limits(const Cycle& cycle, const Numbers& n)
{
    Json list = Json::array();
    for (const Json& part :
         {connection_limits(n), resource_limits(n), accept_limits(n), iouring_limits(cycle, n)}) {
        list.insert(list.end(), part.begin(), part.end());
    }
    return list;
}

std::string where(const Json& item)
{
    if (!item["set"].get<bool>()) {
        return "default";
    }
    return Place{item["file"], item["line"], item["column"]}.text();
}

}  // namespace

Json events_view(const Reading& reading)
{
    const Numbers n(reading.cycle());
    return {{"view", "events"},
            {"values", values(reading)},
            {"method", method(reading, n)},
            {"limits", limits(reading.cycle(), n)}};
}

std::string events_text(const Json& view)
{
    std::string text;
    for (const auto& value : view["values"]) {
        const std::string shown = value["value"].is_string() ? value["value"] : "";
        text += fmt::format("{:<24}{:<16}{}\n", value["directive"].get<std::string>(),
                            shown.empty() ? "none" : shown, where(value));
    }

    const auto& method = view["method"];
    text += fmt::format("\nmethod: {}, because {}\n", method["name"].get<std::string>(),
                        method["why"].get<std::string>());
    for (const auto& other : method["others"]) {
        text += fmt::format("  not {}: {}\n", other["name"].get<std::string>(),
                            other["why_not"].get<std::string>());
    }

    text += "\nlimits:\n";
    for (const auto& item : view["limits"]) {
        text += fmt::format("  {}\n", item["words"].get<std::string>());
    }
    return text;
}

}  // namespace ngx::inspect
