#include <cerrno>
#include <sys/utsname.h>

#include "core/log.hpp"
#include "os/unix/os.hpp"

namespace ngx {

namespace {

utsname kernel{};

}  // namespace

Rc os_specific_init(Log* log)
{
    if (::uname(&kernel) == -1) {
        log_error(log_alert, log, errno, "uname() failed");
        return Rc::error;
    }
    return Rc::ok;
}

void os_specific_status(Log* log)
{
    log_error(log_notice, log, 0, "OS: {} {}", kernel.sysname, kernel.release);
}

}  // namespace ngx
