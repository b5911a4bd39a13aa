#include "tools/inspect/values.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <iterator>
#include <sched.h>

#include "core/inet.hpp"
#include "core/log.hpp"
#include "core/parse.hpp"
#include "core/string.hpp"

namespace ngx::inspect {

namespace {

using Words = std::vector<std::string>;
using Wrong = std::optional<std::string>;

std::string of_directive(std::string_view name, std::string_view what)
{
    return fmt::format("\"{}\" directive invalid {}", name, what);
}

Wrong number(std::string_view name, const Words& args)
{
    return ngx::atoi(args[0]) ? Wrong() : of_directive(name, "number");
}

Wrong time(std::string_view name, const Words& args)
{
    return parse_msec(args[0]) ? Wrong() : of_directive(name, "value");
}

Wrong file_size(std::string_view name, const Words& args)
{
    return parse_offset(args[0]) ? Wrong() : of_directive(name, "value");
}

Wrong connections(std::string_view /*name*/, const Words& args)
{
    return ngx::atoi(args[0]) ? Wrong() : fmt::format("invalid number \"{}\"", args[0]);
}

Wrong processes(std::string_view name, const Words& args)
{
    return args[0] == "auto" || ngx::atoi(args[0]) ? Wrong() : of_directive(name, "value");
}

Wrong priority(std::string_view name, const Words& args)
{
    const bool sign = args[0].starts_with('-') || args[0].starts_with('+');
    return ngx::atoi(std::string_view(args[0]).substr(sign ? 1 : 0)) ? Wrong()
                                                                     : of_directive(name, "number");
}

Wrong debug_points(std::string_view /*name*/, const Words& args)
{
    return strcaseeq(args[0], "stop") || strcaseeq(args[0], "abort")
               ? Wrong()
               : fmt::format("invalid value \"{}\"", args[0]);
}

/// nginx reads a mask from its end.
Wrong affinity(std::string_view name, const Words& args)
{
    const bool automatic = args[0] == "auto";
    if (automatic && args.size() > 2) {
        return fmt::format("invalid number of arguments in \"{}\" directive", name);
    }
    for (std::size_t i = automatic ? 1 : 0; i < args.size(); i++) {
        const std::string& mask = args[i];
        if (mask.size() > CPU_SETSIZE) {
            return fmt::format("\"{}\" supports up to {} CPUs only", name, CPU_SETSIZE);
        }
        if (const auto bad = mask.find_last_not_of("01 "); bad != std::string::npos) {
            return fmt::format("invalid character \"{}\" in \"{}\"", mask[bad], name);
        }
    }
    return std::nullopt;
}

constexpr EventMethod methods[] = {
    {"epoll", "Linux"},       {"kqueue", "FreeBSD and macOS"},
    {"eventport", "Solaris"}, {"/dev/poll", "Solaris"},
    {"iocp", "Windows"},      {"poll", ""},
    {"select", ""},
};

/// The modules of the methods that have directives.
constexpr EventMethod modules_of_methods[] = {
    {"ngx_epoll_module", "Linux"},     {"ngx_kqueue_module", "FreeBSD and macOS"},
    {"ngx_devpoll_module", "Solaris"}, {"ngx_eventport_module", "Solaris"},
    {"ngx_iocp_module", "Windows"},
};

std::string_view system_of(std::span<const EventMethod> table, std::string_view name)
{
    const auto found = std::ranges::find(table, name, &EventMethod::name);
    return found == table.end() ? std::string_view() : found->system;
}

Wrong use(std::string_view /*name*/, const Words& args)
{
    return std::ranges::find(methods, args[0], &EventMethod::name) != std::end(methods)
               ? Wrong()
               : fmt::format("invalid event type \"{}\"", args[0]);
}

/// A text with a slash is a network, and no host name.
Wrong debug_connection(std::string_view name, const Words& args)
{
    Cidr cidr{};
    const bool wrong = args[0].find('/') != std::string::npos && !args[0].starts_with("unix:") &&
                       ptocidr(args[0], cidr) == Rc::error;
    return wrong ? fmt::format("host not found in {} \"{}\"", name, args[0]) : Wrong();
}

/// A level excludes all other words; the words of debugging can stand together.
Wrong log_levels(std::string_view /*name*/, const Words& args)
{
    constexpr std::string_view memory = "memory:";
    if (args[0].starts_with(memory) &&
        !parse_size(std::string_view(args[0]).substr(memory.size()))) {
        return fmt::format("invalid buffer size \"{}\"", args[0].substr(memory.size()));
    }
    bool has_level = false;
    for (std::size_t i = 1; i < args.size(); i++) {
        const bool is_level = find_err_level(args[i]) != 0;
        if (!is_level && find_debug_level(args[i]) == 0) {
            return fmt::format("invalid log level \"{}\"", args[i]);
        }
        if (has_level || (is_level && i > 1)) {
            return fmt::format("duplicate log level \"{}\"", args[i]);
        }
        has_level = is_level;
    }
    return std::nullopt;
}

Wrong thread_pool(std::string_view name, const Words& args)
{
    bool has_threads = false;
    for (std::size_t i = 1; i < args.size(); i++) {
        const std::string_view word = args[i];
        for (const std::string_view key : {"threads", "max_queue"}) {
            if (!word.starts_with(key) || !word.substr(key.size()).starts_with('=')) {
                continue;
            }
            const bool is_threads = key == "threads";
            const auto n = ngx::atoi(word.substr(key.size() + 1));
            if (!n || (is_threads && *n == 0)) {
                return fmt::format("invalid {} value \"{}\"", key, word);
            }
            has_threads |= is_threads;
        }
    }
    return has_threads ? Wrong() : fmt::format("\"{}\" must have \"threads\" parameter", name);
}

struct Check {
    std::string_view name;
    Wrong (*wrong)(std::string_view name, const Words& args);
};

constexpr std::array checks = {
    Check{"accept_mutex_delay", time},
    Check{"debug_connection", debug_connection},
    Check{"debug_points", debug_points},
    Check{"devpoll_changes", number},
    Check{"devpoll_events", number},
    Check{"epoll_events", number},
    Check{"error_log", log_levels},
    Check{"eventport_events", number},
    Check{"iocp_threads", number},
    Check{"kqueue_changes", number},
    Check{"kqueue_events", number},
    Check{"post_acceptex", number},
    Check{"thread_pool", thread_pool},
    Check{"timer_resolution", time},
    Check{"use", use},
    Check{"worker_aio_requests", number},
    Check{"worker_connections", connections},
    Check{"worker_cpu_affinity", affinity},
    Check{"worker_priority", priority},
    Check{"worker_processes", processes},
    Check{"worker_rlimit_core", file_size},
    Check{"worker_rlimit_nofile", number},
    Check{"worker_shutdown_timeout", time},
};

}  // namespace

std::optional<std::string> wrong_value(std::string_view name, const std::vector<std::string>& args)
{
    const auto* const check = std::ranges::find(checks, name, &Check::name);
    return check == checks.end() || args.empty() ? std::nullopt : check->wrong(name, args);
}

std::string normal_value(std::string_view name, const std::string& value)
{
    const auto* const check = std::ranges::find(checks, name, &Check::name);
    if (check != checks.end() && check->wrong == time) {
        const auto msec = parse_msec(value);
        return msec ? fmt::format("{}ms", *msec) : value;
    }
    if (const auto n = ngx::atoi(value)) {
        return fmt::format("{}", *n);
    }
    return strcaseeq(value, "on") ? "on" : strcaseeq(value, "off") ? "off" : value;
}

std::span<const EventMethod> event_methods() noexcept
{
    return methods;
}

std::string_view system_of_module(std::string_view module)
{
    return system_of(modules_of_methods, module);
}

std::string_view system_of_method(std::string_view method)
{
    return system_of(methods, method);
}

}  // namespace ngx::inspect
