#include "test/process/precondition.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <exception>
#include <filesystem>

#include "auto_config.hpp"
#include "test/process/client.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

assertion_result holds(bool condition, const char* otherwise)
{
    assertion_result result(condition);
    result.message() << otherwise;
    return result;
}

}  // namespace

assertion_result no_sanitizer(test_unit_id)
{
    return holds(!have_asan, "a sanitizer has allocations of its own");
}

assertion_result ipv6_is_there(test_unit_id)
{
    return holds(has_ipv6(), "there is no ::1 here");
}

assertion_result curl_is_there(test_unit_id)
{
    return holds(std::filesystem::exists("/usr/bin/curl"), "there is no curl here");
}

assertion_result descriptors_can_be_seen(test_unit_id)
{
    const Child child({"sleep", "60"});
    return holds(steal_descriptor(child, STDERR_FILENO).is_open(), "pidfd_getfd() does not work");
}

assertion_result methods_can_be_changed(test_unit_id)
{
    return holds(setup().methods.size() > 1, "the binary has one event method only");
}

assertion_result method_is_select(test_unit_id)
{
    return holds(setup().method == "select", "this is about select only");
}

assertion_result we_are_root(test_unit_id)
{
    return holds(::geteuid() == 0, "only root can become somebody else");
}

assertion_result method_is_epoll(test_unit_id)
{
    return holds(setup().method == "epoll", "this is about epoll only");
}

assertion_result method_is_iouring(test_unit_id)
{
    return holds(setup().method == "iouring", "this is about iouring only");
}

assertion_result method_is_rtsig(test_unit_id)
{
    return holds(setup().method == "rtsig", "this is about rtsig only");
}

assertion_result nginx_is_there(test_unit_id)
{
    return holds(std::filesystem::exists("/usr/sbin/nginx") &&
                     std::filesystem::exists("/usr/lib/nginx/modules/ngx_stream_module.so"),
                 "nginx and its stream module are not installed");
}

assertion_result redis_is_there(test_unit_id)
{
    return holds(std::filesystem::exists("/usr/bin/redis-server") &&
                     std::filesystem::exists("/usr/bin/redis-benchmark"),
                 "redis is not installed");
}

assertion_result netcat_is_there(test_unit_id)
{
    return holds(std::filesystem::exists("/bin/nc.openbsd"), "OpenBSD's netcat is not installed");
}

assertion_result dns_is_there(test_unit_id)
{
    return holds(std::filesystem::exists("/usr/sbin/dnsmasq") &&
                     std::filesystem::exists("/usr/bin/dig"),
                 "dnsmasq and dig are not installed");
}

assertion_result strace_works(test_unit_id)
{
    try {
        return holds(run({"strace", "-o", "/dev/null", "true"}).status.exited_with(0),
                     "strace may not trace here");
    } catch (const std::exception&) {
        return holds(false, "strace is not installed");
    }
}

Fd steal_descriptor(const Child& child, int fd)
{
    return Fd(static_cast<int>(::syscall(SYS_pidfd_getfd, child.pidfd(), fd, 0)));
}

}  // namespace ngx::test::process
