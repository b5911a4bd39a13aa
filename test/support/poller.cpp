#include "test/support/poller.hpp"

#include <algorithm>
#include <iterator>
#include <sstream>

#include "auto_build.hpp"
#include "os/unix/files.hpp"
#include "test/support/cycle.hpp"

namespace ngx::test {

namespace {

std::vector<std::string> built_methods()
{
    std::istringstream words{std::string(event_methods)};
    return {std::istream_iterator<std::string>(words), {}};
}

}  // namespace

std::vector<std::string> built_pollers()
{
    std::vector<std::string> built = built_methods();
    std::erase(built, "rtsig");
    if (!iouring_works()) {
        std::erase(built, "iouring");
    }
    return built;
}

std::vector<std::string> built_pollers_without_notify()
{
    std::vector<std::string> built = built_pollers_but("epoll");
    std::erase(built, "iouring");
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
    const std::vector<std::string> built = built_methods();
    return std::ranges::find(built, name) != built.end();
}

bool iouring_works()
{
    static const bool works =
        has_poller("iouring") && TestCycle("master_process off; events { use iouring; }").ok();
    return works;
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
