#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>
#include <sys/select.h>

#include "core/module.hpp"
#include "core/string.hpp"
#include "event/event.hpp"
#include "tools/inspect/limits.hpp"
#include "tools/inspect/ngxx_events.hpp"
#include "tools/inspect/settings.hpp"
#include "tools/inspect/values.hpp"
#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

/// The size of a connection and its two events in nginx on a machine with 64 bits.
constexpr std::size_t nginx_connection_bytes = 424;

/// A directive of nginx that the event subsystem uses, and its value without one.
struct Known {
    std::string_view name;
    std::string_view value;
    std::string_view why;
};

constexpr std::array known_values = {
    Known{"worker_processes", "1", ""},
    Known{"master_process", "on", ""},
    Known{"worker_rlimit_nofile", "", "the limit with which the server is started"},
    Known{"timer_resolution", "", "the time is read in each turn of the loop"},
    Known{"worker_connections", "512", ""},
    Known{"use", "epoll", "the method that Linux has"},
    Known{"multi_accept", "off", ""},
    Known{"accept_mutex", "off", "since nginx 1.11.3, in which EPOLLEXCLUSIVE takes its place"},
    Known{"accept_mutex_delay", "500ms", ""},
    Known{"debug_connection", "", "no client has debug logging of its own"},
    Known{"epoll_events", "512", ""},
    Known{"worker_aio_requests", "32", ""},
};

bool is_of_events(std::string_view name)
{
    return find_directive(name).size() == 1 && find_directive(name)[0].contexts == "events";
}

/// Returns true if the accept mutex is on without a directive.
bool has_mutex_by_default(const Program& program)
{
    return !program.is_since("1.11.3");
}

std::string default_of(const Known& known, const Program& program)
{
    if (known.name == "accept_mutex" && has_mutex_by_default(program)) {
        return "on";
    }
    if (program.name() == "tengine") {
        return known.name == "worker_processes"     ? "auto"
               : known.name == "accept_mutex_delay" ? "100ms"
                                                    : std::string(known.value);
    }
    return std::string(known.value);
}

/// Returns a value as the views write it: each value in one spelling, and all arguments of a
/// repeated directive that are valid.
std::string shown(std::string_view name, const std::vector<const Setting*>& settings)
{
    if (name != "debug_connection") {
        const auto& args = settings.front()->args;
        return args.empty() ? "" : normal_value(name, args.front());
    }
    std::string text;
    for (const Setting* setting : settings) {
        if (!setting->refused && !setting->args.empty()) {
            text += (text.empty() ? "" : " ") + setting->args.front();
        }
    }
    return text;
}

/// Returns true if a value of the configuration counts, and not that without the directive.
bool counts(std::string_view name, const std::vector<const Setting*>& settings)
{
    return !settings.empty() && (name == "debug_connection" || !settings.front()->refused);
}

/// Returns the names of the directives: those of nginx, then those that ngxx alone has.
std::vector<std::string> names_of(const Settings& settings, const NgxxEvents& ngxx)
{
    std::vector<std::string> names;
    const auto add = [&names](std::string_view name) {
        if (std::ranges::find(names, name) == names.end()) {
            names.emplace_back(name);
        }
    };
    for (const Known& known : known_values) {
        add(known.name);
    }
    for (const Setting& setting : settings.events) {
        if (setting.name != "include" && is_of_events(setting.name)) {
            add(setting.name);
        }
    }
    for (const auto& [name, value] : ngxx.values()) {
        add(name);
    }
    return names;
}

/// Returns the module that has a directive of main or events: that of ngxx, or else that of nginx.
std::string_view module_of(std::string_view name)
{
    for (Module* const* module = modules; *module; module++) {
        const auto& commands = (*module)->commands;
        if ((*module)->type != ModuleType::stream &&
            std::ranges::find(commands, name, &Command::name) != commands.end()) {
            return (*module)->name;
        }
    }
    const auto rows = find_directive(name);
    return rows.empty() ? std::string_view() : rows.front().module;
}

Json value_json(const std::string& name, const Program& program, const Settings& settings,
                const NgxxEvents& ngxx)
{
    const auto set = settings.all(name);
    const auto* const known = std::ranges::find(known_values, name, &Known::name);
    const bool is_known = known != known_values.end();
    const std::string* const other = ngxx.value(name);

    Json value = {{"directive", name},
                  {"module", module_of(name)},
                  {"value", Json()},
                  {"ngxx", Json()},
                  {"set", !set.empty()}};
    const bool is_counted = counts(name, set);
    if (is_counted && (is_known || is_of_events(name))) {
        value["value"] = shown(name, set);
    } else if (is_known) {
        value["value"] = default_of(*known, program);
    }
    if (other) {
        value["ngxx"] = *other;
    }
    value["why"] = set.empty()  ? (is_known ? known->why : "")
                   : is_counted ? ""
                                : "invalid here: the value is that without the directive";
    value["places"] = Json::array();
    for (const Setting* setting : set) {
        value["places"].push_back(place_json(setting->place));
    }
    return value;
}

Json values(const Program& program, const Settings& settings, const NgxxEvents& ngxx)
{
    Json list = Json::array();
    for (const std::string& name : names_of(settings, ngxx)) {
        list.push_back(value_json(name, program, settings, ngxx));
    }
    return list;
}

/// Returns where a method of nginx exists.
std::string owner_of(const EventMethod& method)
{
    return method.system.empty()
               ? fmt::format("a build with --with-{}_module, or a system without the others",
                             method.name)
               : std::string(method.system);
}

Json nginx_method(const Settings& settings)
{
    const std::string* const use = settings.value("use");
    const std::string name = use ? *use : "epoll";
    Json others = Json::array();
    for (const EventMethod& method : event_methods()) {
        if (method.name != name) {
            others.push_back({{"name", method.name},
                              {"why_not", use ? fmt::format("\"use\" names \"{}\"", name)
                                              : fmt::format("it is for {}", owner_of(method))}});
        }
    }
    const auto found = std::ranges::find(event_methods(), name, &EventMethod::name);
    std::string why = use ? "\"use\" names it" : "it is the method of Linux";
    if (use && name != "epoll") {
        why += fmt::format("; it is for {}", owner_of(*found));
    }
    return {{"name", name}, {"why", why}, {"others", others}};
}

std::optional<std::size_t> number(const std::string* text)
{
    const auto n = text ? ngx::atoi(*text) : std::nullopt;
    return n ? std::optional(static_cast<std::size_t>(*n)) : std::nullopt;
}

bool is_on(const std::string* value, bool by_default)
{
    return value ? strcaseeq(*value, "on") : by_default;
}

bool has_master(const Settings& settings)
{
    return is_on(settings.value("master_process"), true);
}

/// Returns the number of workers; `other` is the value without the directive.
std::optional<std::size_t> workers_of(const Settings& settings, const Machine& machine,
                                      const std::string& other)
{
    const std::string* const value = settings.value("worker_processes");
    const std::string* const processes = value ? value : &other;
    if (!has_master(settings)) {
        return 1;
    }
    return *processes == "auto" ? machine.processors : number(processes);
}

/// Returns the parts of a budget that nginx and ngxx have in common; `workers` is the number of
/// workers without a directive.
Budget common_budget(const Settings& settings, const Machine& machine, const std::string& workers)
{
    const auto limit = number(settings.value("worker_rlimit_nofile"));
    Budget budget{.workers = workers_of(settings, machine, workers)};
    budget.files = limit ? limit : machine.files;
    budget.files_from = limit ? "worker_rlimit_nofile" : "--nofile";
    budget.master = has_master(settings);
    budget.fd_setsize = FD_SETSIZE;
    return budget;
}

void count_sockets(Budget& budget, const Settings& settings, bool stream_only)
{
    for (const Socket& socket : settings.sockets) {
        if (!stream_only || socket.part == "stream") {
            budget.sockets++;
            budget.reuseport += socket.reuseport ? 1 : 0;
        }
    }
}

/// Returns true if each worker listens on a socket for the other workers' pushes of streams.
bool is_auto_push(const Settings& settings, const Budget& budget)
{
    const std::string* const value = settings.value("rtmp_auto_push");
    return value && strcaseeq(*value, "on") && budget.master &&
           std::ranges::find(settings.sockets, "rtmp", &Socket::part) != settings.sockets.end();
}

/// Returns nothing if `worker_connections` has no valid value.
std::optional<Budget> nginx_budget(const Configuration& configuration, const Settings& settings,
                                   const Machine& machine)
{
    constexpr std::size_t default_connections = 512;
    const std::string* const connections = settings.value("worker_connections");
    if (!connections && !settings.all("worker_connections").empty()) {
        return std::nullopt;
    }
    const std::string* const use = settings.value("use");
    Budget budget =
        common_budget(settings, machine, default_of(known_values[0], configuration.program()));
    budget.program = configuration.program().name();
    budget.method = use ? *use : "epoll";
    budget.connections = connections ? *number(connections) : default_connections;
    budget.logs = settings.logs.files.size();
    budget.remote_logs = settings.logs.remote;
    budget.resolvers = settings.name_servers;
    budget.cachers = settings.caches ? 2 : 0;  // the manager, and the loader
    budget.eventfds = configuration.program().with("file-aio") ? 2 : 1;
    budget.connection_bytes = nginx_connection_bytes;
    count_sockets(budget, settings, false);
    budget.sockets += is_auto_push(settings, budget) ? 1 : 0;
    return budget;
}

Budget ngxx_budget(const Settings& settings, const Machine& machine, const NgxxEvents& ngxx)
{
    Budget budget = common_budget(settings, machine, "1");
    budget.program = "ngxx";
    budget.method = ngxx.method();
    budget.connections = ngxx.connections();
    budget.waker = true;
    budget.logs = settings.stream_logs.files.size() + ngxx.default_logs(settings);
    budget.remote_logs = settings.stream_logs.remote;
    budget.eventfds = ngxx.method() == "iouring" ? 1 : 2;
    budget.connection_bytes = sizeof(Connection) + 2 * sizeof(Event);
    count_sockets(budget, settings, true);
    return budget;
}

Json accept_json(const Settings& settings, const Budget& budget, bool mutex)
{
    const bool several = budget.master && budget.workers != 1U;
    Json list = Json::array();
    if (mutex && several) {
        const std::size_t rest = budget.connections / 8;
        list.push_back({{"name", "accept_mutex"},
                        {"value", true},
                        {"words", fmt::format("the workers take turns at accepting; one with fewer "
                                              "than {} free connections leaves it to the others",
                                              rest)}});
    } else if (mutex) {
        list.push_back({{"name", "accept_mutex"},
                        {"value", false},
                        {"words", "\"accept_mutex on\" has no effect with a single worker"}});
    } else if (several && budget.method == "epoll" && budget.sockets > budget.reuseport) {
        list.push_back({{"name", "exclusive"},
                        {"value", true},
                        {"words", "each worker watches the listeners with EPOLLEXCLUSIVE, except "
                                  "those with reuseport: a new connection wakes one worker"}});
    }
    if (settings.caches) {
        list.push_back(
            {{"name", "caches"},
             {"value", true},
             {"words", "the loader of caches has a channel until it ends; afterwards one "
                       "descriptor more is free"}});
    }
    return list;
}

/// Returns what io_uring does in ngxx, and why not more.
Json iouring_json(const NgxxEvents& ngxx)
{
    if (ngxx.method() != "iouring") {
        return Json::array();
    }
    const std::string* const io = ngxx.value("iouring_io");
    if (!io || *io != "completion") {
        return {{{"name", "iouring_receives"},
                 {"value", false},
                 {"words", "io_uring tells when a descriptor is ready, and does not receive: "
                           "\"iouring_io\" is not completion"}}};
    }
    const std::string* const buffers = ngxx.value("iouring_buffers");
    return {{{"name", "iouring_receives"},
             {"value", true},
             {"words", fmt::format("io_uring receives into the buffers of each worker "
                                   "(\"iouring_buffers {}\"); a kernel before Linux 5.19 only "
                                   "tells readiness",
                                   buffers ? *buffers : "")}}};
}

Json answer(const Settings& settings, const Budget& budget, Json method, bool mutex)
{
    Json limits = limits_json(budget);
    const Json accept = accept_json(settings, budget, mutex);
    limits.insert(limits.end(), accept.begin(), accept.end());
    return {{"program", budget.program},
            {"method", std::move(method)},
            {"limits", limits},
            {"clients", clients_json(budget)}};
}

/// Returns the place of a directive; without one, that of the events block.
Place place_in(const Settings& settings, std::string_view name)
{
    const auto all = settings.all(name);
    return all.empty() ? settings.blocks.front() : all.front()->place;
}

/// Returns what the program refuses although each directive is valid.
Json joint_problems(const Settings& settings, const Budget& budget)
{
    constexpr std::size_t max_processes = 1024;
    Json list = Json::array();
    if (budget.connections <= budget.sockets) {
        list.push_back(problem_json(
            {place_in(settings, "worker_connections"),
             fmt::format("{} worker_connections are not enough for {} listening sockets",
                         budget.connections, budget.sockets),
             fmt::format("{} are the fewest", budget.sockets + 1)}));
    }
    if (budget.method == "select" && budget.connections > FD_SETSIZE) {
        list.push_back(problem_json(
            {place_in(settings, "worker_connections"),
             fmt::format("the maximum number of files supported by select() is {}", FD_SETSIZE),
             ""}));
    }
    if (budget.master && budget.workers > max_processes) {
        list.push_back(
            problem_json({place_in(settings, "worker_processes"),
                          fmt::format("no more than {} processes can be spawned", max_processes),
                          "the other workers are not started"}));
    }
    const std::string_view system = system_of_method(budget.method);
    for (const Setting& setting : settings.events) {
        const auto rows = find_directive(setting.name);
        const std::string_view other =
            rows.empty() ? std::string_view() : system_of_module(rows.front().module);
        if (!system.empty() && !other.empty() && system != other && !setting.refused &&
            list.size() < conf::max_errors) {
            list.push_back(
                problem_json({setting.place, fmt::format("unknown directive \"{}\"", setting.name),
                              fmt::format("it is a directive of nginx for {}, and \"{}\" is for {}",
                                          other, budget.method, system)}));
        }
    }
    return list;
}

}  // namespace

std::optional<Json> events_view(const Configuration& configuration, const Machine& machine)
{
    const Settings settings(configuration);
    const auto budget = nginx_budget(configuration, settings, machine);
    if (settings.blocks.empty() || !budget) {
        return std::nullopt;
    }
    const NgxxEvents ngxx(settings, machine);
    const std::string* const mutex = settings.value("accept_mutex");
    Json refused = Json::array();
    for (const Problem& problem : ngxx.refused()) {
        refused.push_back(
            {{"text", problem.text},
             {"place", problem.place.line == 0 ? Json() : place_json(problem.place)}});
    }
    for (const std::string& other : settings.others) {
        refused.push_back({{"text", "ngxx has no block \"" + other + "\""}, {"place", Json()}});
    }

    Json answers = Json::array();
    answers.push_back(answer(settings, *budget, nginx_method(settings),
                             is_on(mutex, has_mutex_by_default(configuration.program()))));
    if (ngxx.ok()) {
        Json own = answer(settings, ngxx_budget(settings, machine, ngxx), ngxx.method_json(),
                          is_on(mutex, false));
        const Json iouring = iouring_json(ngxx);
        own["limits"].insert(own["limits"].end(), iouring.begin(), iouring.end());
        answers.push_back(own);
    }
    return Json{{"view", "events"},
                {"program", configuration.program().name()},
                {"values", values(configuration.program(), settings, ngxx)},
                {"answers", answers},
                {"ngxx_refuses", refused},
                {"problems", joint_problems(settings, *budget)}};
}

namespace {

std::string or_none(const Json& value)
{
    if (value.is_null()) {
        return "unknown";
    }
    const std::string text = value;
    return text.empty() ? "none" : text;
}

std::string where(const Json& value)
{
    if (value["places"].empty()) {
        const std::string why = value["why"];
        return why.empty() ? "default" : "default: " + why;
    }
    std::string text;
    for (const Json& place : value["places"]) {
        text += text.empty() ? "" : " ";
        text += place_from(place).text();
    }
    const std::string why = value["why"];
    return why.empty() ? text : fmt::format("{} ({})", text, why);
}

/// Returns a cell of a table; a long one is still followed by a blank.
std::string cell(std::string_view text, std::size_t width)
{
    return fmt::format("{:<{}} ", text, width - 1);
}

std::string values_text(const Json& view)
{
    constexpr std::size_t width = 24;
    std::string text = cell("", width) + cell(view["program"].get<std::string>(), width) +
                       cell("ngxx", width) + "\n";
    for (const Json& value : view["values"]) {
        const std::string one = or_none(value["value"]);
        const std::string other = or_none(value["ngxx"]);
        text += cell(value["directive"].get<std::string>(), width) + cell(one, width) +
                cell(one == other ? "the same" : other, width) + where(value) + "\n";
    }
    return text;
}

std::string answer_text(const Json& answer)
{
    const Json& method = answer["method"];
    std::string text =
        fmt::format("\n{}\n  method: {}, because {}\n", answer["program"].get<std::string>(),
                    method["name"].get<std::string>(), method["why"].get<std::string>());
    for (const Json& other : method["others"]) {
        text += fmt::format("    not {}: {}\n", other["name"].get<std::string>(),
                            other["why_not"].get<std::string>());
    }
    for (const Json& limit : answer["limits"]) {
        text += fmt::format("  {}\n", limit["words"].get<std::string>());
    }
    return text;
}

}  // namespace

std::string events_text(const Json& view)
{
    std::string text = values_text(view);
    for (const Json& answer : view["answers"]) {
        text += answer_text(answer);
    }
    text += refused_text(view) + "\n";
    for (const Json& answer : view["answers"]) {
        text += fmt::format("{}: {}\n", answer["program"].get<std::string>(),
                            answer["clients"]["words"].get<std::string>());
    }
    return text;
}

}  // namespace ngx::inspect
