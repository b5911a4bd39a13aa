#include "os/unix/daemon.hpp"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "core/log.hpp"
#include "os/unix/process.hpp"

namespace ngx {

namespace {

int ready_fd = -1;  // the first process reads the other end

/// The rest of the first process: waits for the daemon, and exits with status 0 after a byte, or 1
/// if the pipe was closed, as the daemon has exited after logging.
[[noreturn]] void wait_for_daemon(int fd) noexcept
{
    char byte = 0;
    ssize_t n = 0;
    do {
        n = ::read(fd, &byte, 1);
    } while (n == -1 && errno == EINTR);
    ::_exit(n == 1 ? 0 : 1);
}

Rc failed(const char* what, Log* log) noexcept
{
    log_error(log_emerg, log, errno, "{} failed", what);
    return Rc::error;
}

Rc redirect_to_null(Log* log) noexcept
{
    const int null = ::open("/dev/null", O_RDWR);
    if (null == -1) {
        return failed("open(\"/dev/null\")", log);
    }
    if (::dup2(null, STDIN_FILENO) == -1) {
        return failed("dup2(STDIN)", log);
    }
    if (::dup2(null, STDOUT_FILENO) == -1) {
        return failed("dup2(STDOUT)", log);
    }
    if (null > STDERR_FILENO && ::close(null) == -1) {
        return failed("close()", log);
    }
    return Rc::ok;
}

}  // namespace

Rc daemon(Log* log)
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == -1) {
        return failed("pipe2()", log);
    }

    const pid_t child = ::fork();
    if (child == -1) {
        return failed("fork()", log);
    }
    if (child != 0) {
        ::close(ends[1]);
        wait_for_daemon(ends[0]);
    }
    ::close(ends[0]);
    ready_fd = ends[1];

    parent = std::exchange(pid, ::getpid());
    log_pid = pid;
    if (::setsid() == -1) {
        return failed("setsid()", log);
    }
    ::umask(0);
    return redirect_to_null(log);
}

void daemon_ready() noexcept
{
    const int fd = std::exchange(ready_fd, -1);
    if (fd != -1) {
        // A failure means that the first process was killed; it cannot be notified.
        [[maybe_unused]] const ssize_t n = ::write(fd, "", 1);
        ::close(fd);
    }
}

}  // namespace ngx
