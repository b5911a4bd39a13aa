#include "test/core/fixture.hpp"

#include <algorithm>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <unistd.h>

#include "core/errlog_module.hpp"
#include "core/inet.hpp"
#include "core/palloc.hpp"
#include "core/string.hpp"
#include "test/support/forked.hpp"

namespace ngx::test {

namespace {

/// The time limit of a process for which a test waits.
constexpr unsigned child_seconds = 60;

/// Returns an index for a module of the tests, from the unused end of the table.
std::size_t next_module_index()
{
    static std::size_t index = max_module;
    return --index;
}

const char* test_listen(Conf& cf, const Command&, void*)
{
    Url u{.url = cf.args[1], .listen = true};
    if (parse_url(*cf.pool, u) != Rc::ok) {
        return u.err;
    }
    for (const Addr& addr : u.addrs) {
        Listening& ls = *create_listening(cf, &addr.sockaddr.any, addr.socklen);
        ls.logp = &cf.cycle->new_log;
        for (const std::string_view arg : std::span(cf.args).subspan(2)) {
            if (arg.starts_with("backlog=")) {
                ls.backlog = static_cast<int>(*atoi(arg.substr(8)));
            }
            ls.deferred_accept = ls.deferred_accept || arg == "deferred";
            ls.reuseport = ls.reuseport || arg == "reuseport";
        }
    }
    return conf_ok;
}

}  // namespace

std::string messages(std::string_view log)
{
    std::string result;
    while (!log.empty()) {
        const std::size_t end = std::min(log.find('\n'), log.size() - 1) + 1;
        const std::string_view line = log.substr(0, end);
        log.remove_prefix(end);

        const std::size_t level = line.find('[');
        const std::size_t level_end = line.find("] ");
        const std::size_t message = line.find("#");
        if (message == line.npos || line.substr(level).starts_with("[debug]")) {
            continue;
        }
        result.append(line.substr(level, level_end + 2 - level));
        result.append(line.substr(line.find(": ", message) + 2));
    }
    return result;
}

std::string messages(std::string_view log, std::string_view level)
{
    const std::string all = messages(log);
    std::string result;
    for (std::size_t start = 0; start < all.size();) {
        const std::size_t end = all.find('\n', start) + 1;
        const std::string_view line = std::string_view(all).substr(start, end - start);
        if (line.substr(1).starts_with(level)) {
            result.append(line);
        }
        start = end;
    }
    return result;
}

std::string answer_of_child(const std::function<std::string()>& function)
{
    const Forked child = in_child([&](int fd) {
        ::alarm(child_seconds);
        say(fd, function());
    });
    if (WIFSIGNALED(child.status)) {
        return "signal " + std::to_string(WTERMSIG(child.status));
    }
    if (!child.exited_with(0)) {
        return "status " + std::to_string(WEXITSTATUS(child.status)) + ": " + child.text;
    }
    return child.text;
}

std::size_t open_descriptors()
{
    const std::filesystem::directory_iterator fds("/proc/self/fd");
    // One of them is the iterator's own.
    return static_cast<std::size_t>(std::distance(begin(fds), end(fds))) - 1;
}

KeepStderr::KeepStderr() : saved_(::dup(STDERR_FILENO)) {}

KeepStderr::~KeepStderr()
{
    ::dup2(saved_.get(), STDERR_FILENO);
}

Reader::Reader(const std::vector<Module*>& modules) : cycle(create_cycle(&log.log))
{
    preinit_modules();
    cycle->prefix = dir.path().string() + "/";
    cycle->conf_prefix = cycle->prefix;
    cycle->modules = cycle->pool->pcalloc<Module*>(max_module + 1);
    cycle->conf_ctx = cycle->pool->pcalloc<void*>(max_module);

    for (Module* module : modules) {
        cycle->modules[cycle->modules_n++] = module;
        if (module->index == module_unset_index) {
            module->index = next_module_index();
        }
    }
    for (const Module* module : modules) {
        const auto* ctx = static_cast<const CoreModule*>(module->ctx);
        if (module->type == ModuleType::core && ctx && ctx->create_conf) {
            cycle->conf_ctx[module->index] = ctx->create_conf(*cycle);
        }
    }
    cf.cycle = cycle;
    cf.pool = cycle->pool;
    cf.log = cycle->log;
}

Reader::~Reader()
{
    destroy_cycle_pools(cycle);
}

bool Reader::parse(std::string_view text)
{
    log.text.clear();
    const std::string name = dir / "nginx.conf";
    write_file(name, text);
    return conf_parse(cf, cycle->pool->pstrdup(name)) == conf_ok;
}

bool Reader::parse_param(std::string_view text)
{
    log.text.clear();
    cycle->conf_param = std::string(text);
    return conf_param(cf) == conf_ok;
}

std::string Reader::said() const
{
    std::string text = messages(log.text);
    const std::string& prefix = cycle->prefix;
    for (std::size_t at = text.find(prefix); at != text.npos; at = text.find(prefix, at)) {
        text.erase(at, prefix.size());
    }
    return text;
}

TestListen::TestListen()
    : commands_(errlog_module.commands.begin(), errlog_module.commands.end())
    , before_(errlog_module.commands)
{
    commands_.push_back(
        {.name = "test_listen", .type = main_conf | conf_1more, .set = test_listen});
    errlog_module.commands = commands_;
}

TestListen::~TestListen()
{
    errlog_module.commands = before_;
}

}  // namespace ngx::test
