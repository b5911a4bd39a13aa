#include "test/support/poller.hpp"

#include <iterator>
#include <sstream>

#include "auto_build.hpp"
#include "core/module.hpp"
#include "event/event.hpp"
#include "os/unix/files.hpp"
#include "test/support/cycle.hpp"

namespace ngx::test {

std::vector<std::string> built_pollers()
{
    std::istringstream words{std::string(event_methods)};
    std::vector<std::string> built(std::istream_iterator<std::string>(words), {});
    std::erase(built, "rtsig");
    return built;
}

std::vector<std::string> built_pollers_but(std::string_view name)
{
    std::vector<std::string> built = built_pollers();
    std::erase(built, name);
    return built;
}

bool has_poller(std::string_view name)
{
    for (const Module* const* module = modules; *module; module++) {
        if ((*module)->type == ModuleType::event &&
            static_cast<const EventModule*>((*module)->ctx)->name == name) {
            return true;
        }
    }
    return false;
}

bool has_file_aio()
{
    if (!has_poller("epoll")) {
        return false;
    }
    const TestCycle cycle("master_process off; events { use epoll; }");
    return file_aio;
}

}  // namespace ngx::test
