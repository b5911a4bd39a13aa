#include "tools/inspect/limits.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <sys/select.h>

namespace ngx::inspect {

namespace {

/// Standard input, output and error.
constexpr std::size_t standard_files = 3;

std::size_t minus(std::size_t a, std::size_t b)
{
    return a > b ? a - b : 0;
}

/// Returns a product, or the greatest number if that is smaller.
std::size_t times(std::size_t a, std::size_t b)
{
    std::size_t product = 0;
    return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<std::size_t>::max()
                                                  : product;
}

Json limit(std::string_view name, Json value, std::string words)
{
    return {{"name", name}, {"value", std::move(value)}, {"words", std::move(words)}};
}

Json number(const std::optional<std::size_t>& value)
{
    return value ? Json(*value) : Json();
}

/// Returns "1 connection", "2 connections".
std::string counted(std::size_t n, std::string_view what)
{
    return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

/// Returns "2 listening sockets, 1 channel": the parts that are not zero.
std::string parts(std::initializer_list<std::pair<std::size_t, std::string_view>> list)
{
    std::string text;
    for (const auto& [n, words] : list) {
        if (n > 0) {
            text += fmt::format("{}{} for {}", text.empty() ? "" : ", ", n, words);
        }
    }
    return text.empty() ? "none" : text;
}

std::string connection_parts(const Budget& b)
{
    return parts({{b.sockets, "listening sockets"},
                  {b.master ? 1 : 0, "the channel"},
                  {!b.master && b.waker ? 1 : 0, "signals"},
                  {b.resolvers, "name servers"}});
}

std::string file_parts(const Budget& b)
{
    return parts({{standard_files, "standard input, output and error"},
                  {b.logs, "log files"},
                  {b.remote_logs, "syslog"},
                  {b.pollers(), "the event method"},
                  {b.listening(), "listening sockets"},
                  {b.channels(), "channels"},
                  {!b.master && b.waker ? 1 : 0, "signals"},
                  {b.resolvers, "name servers"}});
}

Json connection_limits(const Budget& b)
{
    const std::size_t clients = minus(b.connections, b.taken_connections());
    Json list = Json::array();
    list.push_back(limit("connections_per_worker", b.connections,
                         fmt::format("a worker has {}; {} {} taken ({}), {} {} "
                                     "for clients; a proxied client needs two",
                                     counted(b.connections, "connection"), b.taken_connections(),
                                     b.taken_connections() == 1 ? "is" : "are", connection_parts(b),
                                     clients, clients == 1 ? "remains" : "remain")));
    return list;
}

std::string enough(const Budget& b)
{
    const std::size_t needed = b.taken_files() + minus(b.connections, b.taken_connections());
    return b.connections == 1
               ? fmt::format("the connection needs {}", counted(needed, "file"))
               : fmt::format("all {} connections need {}", b.connections, counted(needed, "file"));
}

Json file_limits(const Budget& b)
{
    const std::string taken = fmt::format("taken: {} ({})", b.taken_files(), file_parts(b));
    Json list = Json::array();
    list.push_back(limit(
        "files_per_worker", number(b.files),
        b.files ? fmt::format("files of a worker: {} ({}); {}; for clients: {}; {}", *b.files,
                              b.files_from, taken, minus(*b.files, b.taken_files()), enough(b))
                : fmt::format("files of a worker: not known here (--nofile); "
                              "{}; {}",
                              taken, enough(b))));
    if (b.method == "select") {
        list.push_back(
            limit("fd_setsize", b.fd_setsize,
                  fmt::format("select() watches descriptors below {} only", b.fd_setsize)));
    }
    return list;
}

Json memory_limits(const Budget& b)
{
    const std::size_t bytes = times(b.connections, b.connection_bytes);
    // Braces around a single Json mean a copy of it for Clang, and an array for GCC.
    Json list = Json::array();
    list.push_back(limit("memory_per_worker", bytes,
                         fmt::format("the connections and their events use {} bytes in each "
                                     "worker, {} for each connection",
                                     bytes, b.connection_bytes)));
    return list;
}

std::string_view binding(const Budget& b)
{
    const std::size_t by_connections = minus(b.connections, b.taken_connections());
    if (b.workers == 0U) {
        return "worker_processes";
    }
    if (!b.usable_files() || minus(*b.usable_files(), b.taken_files()) >= by_connections) {
        return "worker_connections";
    }
    return b.method == "select" && b.usable_files() == b.fd_setsize ? "fd_setsize" : "files";
}

std::string clients_words(const Budget& b, std::string_view binds)
{
    if (b.workers == 0U) {
        return "no worker is started, and no client is served";
    }
    std::string text =
        b.workers
            ? fmt::format("{} clients at once, or {} proxied ones ({} x {})",
                          times(b.clients(), *b.workers), times(b.clients() / 2, *b.workers),
                          *b.workers, b.clients())
            : fmt::format("{} clients at once in each worker, or {} proxied ones; the number "
                          "of workers is that of processors, which is not known here (--cpus)",
                          b.clients(), b.clients() / 2);
    text +=
        binds == "files" ? "; the open files bind first" : fmt::format("; {} binds first", binds);
    if (!b.files) {
        text += fmt::format(", if a worker may open {} files",
                            b.taken_files() + minus(b.connections, b.taken_connections()));
    }
    return text;
}

}  // namespace

std::size_t Budget::taken_connections() const
{
    return sockets + (master || waker ? 1 : 0) + resolvers;
}

std::size_t Budget::taken_files() const
{
    return standard_files + logs + remote_logs + pollers() + listening() + channels() +
           (!master && waker ? 1 : 0) + resolvers;
}

std::optional<std::size_t> Budget::usable_files() const
{
    if (method == "select") {
        return std::min(files.value_or(fd_setsize), fd_setsize);
    }
    return files;
}

std::size_t Budget::clients() const
{
    const std::size_t by_connections = minus(connections, taken_connections());
    return usable_files() ? std::min(by_connections, minus(*usable_files(), taken_files()))
                          : by_connections;
}

Json limits_json(const Budget& budget)
{
    Json list = Json::array();
    for (const Json& part :
         {connection_limits(budget), file_limits(budget), memory_limits(budget)}) {
        list.insert(list.end(), part.begin(), part.end());
    }
    return list;
}

Json clients_json(const Budget& b)
{
    const std::string_view binds = binding(b);
    const bool known = b.workers.has_value();
    return {{"per_worker", b.clients()},
            {"proxied_per_worker", b.clients() / 2},
            {"in_all", known ? Json(times(b.clients(), *b.workers)) : Json()},
            {"proxied_in_all", known ? Json(times(b.clients() / 2, *b.workers)) : Json()},
            {"files_taken", b.taken_files()},
            {"binds", binds},
            {"words", clients_words(b, binds)}};
}

}  // namespace ngx::inspect
