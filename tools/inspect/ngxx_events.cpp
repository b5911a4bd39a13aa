#include "tools/inspect/ngxx_events.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

#include "auto_build.hpp"
#include "core/cycle.hpp"
#include "core/module.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"

namespace ngx::inspect {

namespace {

constexpr std::array main_names = {"worker_processes", "master_process", "worker_rlimit_nofile",
                                   "timer_resolution"};

/// The most directives that are left out. Each is another reading.
constexpr std::size_t max_refused = 100;

/// A file in memory, which the parser opens by its name.
class MemoryFile {
public:
    explicit MemoryFile(std::string_view text) : fd_(::memfd_create("ngxx-inspect", MFD_CLOEXEC))
    {
        if (fd_ < 0 ||
            ::write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
            throw std::runtime_error("a file in memory cannot be written");
        }
    }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;
    ~MemoryFile() { ::close(fd_); }

    [[nodiscard]] std::string name() const { return fmt::format("/proc/self/fd/{}", fd_); }

private:
    int fd_;
};

/// A text of directives, with the line at which each begins.
class Text {
public:
    void add(const Setting& setting, std::string_view text)
    {
        lines_.emplace_back(line_, &setting);
        add(text);
    }
    void add(std::string_view text)
    {
        text_.append(text).append("\n");
        line_ += static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
    }

    [[nodiscard]] const std::string& text() const noexcept { return text_; }

    /// Returns the setting at a line; null if the line has none.
    [[nodiscard]] const Setting* at(std::size_t line) const
    {
        const Setting* found = nullptr;
        for (const auto& [first, setting] : lines_) {
            found = first <= line ? setting : found;
        }
        return found;
    }

private:
    std::string text_{};
    std::size_t line_ = 1;
    std::vector<std::pair<std::size_t, const Setting*>> lines_{};
};

std::string_view flag(bool value)
{
    return value ? "on" : "off";
}

}  // namespace

NgxxEvents::NgxxEvents(const Settings& settings, const Machine& machine)
{
    std::vector<Setting> main;
    for (const char* name : main_names) {
        const auto all = settings.all(name);
        if (!all.empty()) {
            main.push_back(*all.front());
        }
    }
    std::vector<Setting> events;
    std::ranges::copy_if(settings.events, std::back_inserter(events),
                         [](const Setting& setting) { return setting.name != "include"; });
    read(main, events, machine);
}

void NgxxEvents::read(const std::vector<Setting>& main, const std::vector<Setting>& events,
                      const Machine& machine)
{
    std::vector<const Setting*> left_out;
    const auto is_left_out = [&left_out](const Setting& setting) {
        return std::ranges::find(left_out, &setting) != left_out.end();
    };
    for (std::size_t tries = max_refused; tries > 0; tries--) {
        Text text;
        for (const Setting& setting : main) {
            auto_processes_ |= setting.name == "worker_processes" && !setting.args.empty() &&
                               setting.args.front() == "auto";
            if (!is_left_out(setting)) {
                text.add(setting, setting.text + ";");
            }
        }
        text.add("events {");
        for (const Setting& setting : events) {
            if (!is_left_out(setting)) {
                text.add(setting, setting.text + ";");
            }
        }
        text.add("}");

        const MemoryFile file(text.text());
        const Reading reading({.prefix = "/", .conf_file = file.name()});
        if (reading.ok()) {
            take(reading, machine);
            return;
        }
        const std::string& error = reading.error();
        const Setting* const wrong = text.at(reading.error_place().line);
        refused_.push_back({wrong ? wrong->place : Place{},
                            "ngxx: " + error.substr(0, error.rfind(" in /proc/"))});
        if (!wrong) {
            return;
        }
        left_out.push_back(wrong);
    }
}

void NgxxEvents::take(const Reading& reading, const Machine& machine)
{
    const Cycle& cycle = reading.cycle();
    take_main(cycle, machine);
    const auto& block = *static_cast<const BlockCtx*>(cycle.conf_ctx[events_module.index]);
    for (const Module* module : modules_of(cycle)) {
        if (module->type != ModuleType::event) {
            continue;
        }
        const void* const conf = block.conf[0][module->ctx_index];
        for (const Command& command : module->commands) {
            if (command.show && conf) {
                values_.emplace_back(command.name, command.show(conf));
            }
        }
    }
    connections_ = cycle.connection_n;
    take_method(reading);
}

void NgxxEvents::take_main(const Cycle& cycle, const Machine& machine)
{
    const CoreConf& core = *get_conf<CoreConf>(cycle.conf_ctx);
    std::string processes = fmt::format("{}", *core.worker_processes);
    if (auto_processes_) {
        processes = machine.processors ? fmt::format("auto: {}", *machine.processors) : "auto";
    }
    values_.emplace_back("worker_processes", processes);
    values_.emplace_back("master_process", flag(*core.master));
    values_.emplace_back("worker_rlimit_nofile",
                         core.rlimit_nofile ? fmt::format("{}", *core.rlimit_nofile) : "");
    const Msec resolution = core.timer_resolution.value_or(0);
    values_.emplace_back("timer_resolution",
                         resolution == 0 ? "" : fmt::format("{}ms", resolution));
}

void NgxxEvents::take_method(const Reading& reading)
{
    const EventConf& events = *event_get_conf<EventConf>(reading.cycle().conf_ctx);
    bool by_use = false;
    reading.for_each([&](const Directive& directive) { by_use |= directive.name() == "use"; });
    method_ = events.name;

    Json others = Json::array();
    for (const Module* module : modules_of(reading.cycle())) {
        if (module->type != ModuleType::event || module == &event_core_module ||
            module->ctx_index == *events.use) {
            continue;
        }
        const std::string_view name = event_ctx(*module).name;
        others.push_back(
            {{"name", name},
             {"why_not", by_use ? fmt::format("\"use\" names \"{}\"", method_)
                                : fmt::format("\"{}\" comes before \"{}\" in the table of modules "
                                              "and works on this system",
                                              method_, name)}});
    }
    method_json_ = {{"name", method_},
                    {"why", by_use ? "\"use\" names it"
                                   : "it is the first in the table of modules that works on this "
                                     "system"},
                    {"others", others}};
}

const std::string* NgxxEvents::value(std::string_view name) const
{
    const auto found =
        std::ranges::find(values_, name, &std::pair<std::string, std::string>::first);
    return found == values_.end() ? nullptr : &found->second;
}

std::size_t NgxxEvents::default_logs(const Settings& settings)
{
    const std::string_view file = default_error_log_path;
    const bool has_log =
        std::ranges::find(settings.main, "error_log", &Setting::name) != settings.main.end();
    return has_log || file == "stderr" || file.empty() ? 0 : 1;
}

}  // namespace ngx::inspect
