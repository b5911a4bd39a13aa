#include "tools/inspect/reading.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <stdexcept>

#include "auto_build.hpp"
#include "core/embed.hpp"
#include "core/log.hpp"
#include "core/nginx.hpp"
#include "os/unix/process.hpp"

namespace ngx::inspect {

std::string Place::text() const
{
    if (line == 0) {
        return file;
    }
    return file.empty() ? fmt::format("-g:{}:{}", line, column)
                        : fmt::format("{}:{}:{}", file, line, column);
}

bool Directive::is_block() const
{
    return (command->type & conf_block) != 0;
}

Reading::Reading(const Source& source, Lookups lookups)
{
    process = Process::signaller;  // init_cycle() returns after reading the configuration
    before_ = init_library();
    if (!before_) {
        throw std::runtime_error("the library cannot be started");
    }
    use_stderr = false;
    before_->log->wdata = &log_text_;
    before_->log->writer = [](Log& log, unsigned, char* buf, std::size_t len) {
        static_cast<std::string*>(log.wdata)->append(buf, len);
    };

    set_paths(*before_, source.prefix, source.conf_file);
    before_->conf_param = source.conf_param;
    before_->error_log = default_error_log_path;

    const ConfObserver observer{
        .file =
            [](std::string_view name, void* data) {
                auto& reading = *static_cast<Reading*>(data);
                reading.current_->included_files.emplace_back(name);
                if (std::ranges::find(reading.files_, name) == reading.files_.end()) {
                    reading.files_.emplace_back(name);
                }
            },
        .begin = [](const Conf& cf, const Module& module, const Command& command,
                    void* data) { static_cast<Reading*>(data)->begin(cf, module, command); },
        .end =
            [](const Conf&, void* data) {
                auto& reading = *static_cast<Reading*>(data);
                reading.current_ = reading.current_->parent;
            },
        .error = [](const ConfPlace& place, std::string_view text,
                    void* data) { static_cast<Reading*>(data)->error(place, text); },
        .data = this,
    };
    conf_observer = &observer;
    conf_looks_up = lookups == Lookups::of_the_server;
    cycle_ = init_cycle(before_);
    conf_looks_up = true;
    conf_observer = nullptr;

    if (cycle_) {
        ngx_cycle = cycle_;
    } else if (error_.empty()) {
        error_ = "the configuration cannot be used; the log has the reason";
    }
}

Reading::~Reading()
{
    if (cycle_) {
        destroy_cycle_pools(cycle_);
    }
    destroy_cycle_pools(before_);
    ngx_cycle = nullptr;
}

void Reading::begin(const Conf& cf, const Module& module, const Command& command)
{
    Directive& directive = current_->block.emplace_back();
    directive.words.assign(cf.args.begin(), cf.args.end());
    directive.place = {std::string(cf.conf_file->name), cf.line, cf.column};
    directive.module = &module;
    directive.command = &command;
    directive.parent = current_;
    current_ = &directive;
}

void Reading::error(const ConfPlace& place, std::string_view text)
{
    error_place_ = {std::string(place.file), place.line, 0};
    error_ = text;
    if (place.line != 0) {
        error_ += place.file.empty() ? " in command line"
                                     : fmt::format(" in {}:{}", place.file, place.line);
    }
}

const Directive* Reading::find(const Command& command) const
{
    const Directive* found = nullptr;
    for_each([&](const Directive& directive) {
        found = directive.command == &command ? &directive : found;
    });
    return found;
}

}  // namespace ngx::inspect
