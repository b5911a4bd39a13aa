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

struct {
    int ready_fd = -1;  // the first process reads the other end
} state;

/// What becomes of the first process: a byte means that the daemon serves, the end of the pipe that
/// it is gone, after a log line.
[[noreturn]] void wait_for_daemon(int fd) noexcept
{
    char byte = 0;
    ssize_t n = 0;
    do {
        n = ::read(fd, &byte, 1);
    } while (n == -1 && errno == EINTR);
    ::_exit(n == 1 ? 0 : 1);
}

Rc redirect(int to, int from, const char* what, Log* log) noexcept
{
    if (::dup2(from, to) == -1) {
        log_error(log_emerg, log, errno, "dup2({}) failed", what);
        return Rc::error;
    }
    return Rc::ok;
}

Rc redirect_to_null(Log* log) noexcept
{
    const int fd = ::open("/dev/null", O_RDWR);
    if (fd == -1) {
        log_error(log_emerg, log, errno, "open(\"/dev/null\") failed");
        return Rc::error;
    }
    Rc rc = redirect(STDIN_FILENO, fd, "STDIN", log);
    if (rc == Rc::ok) {
        rc = redirect(STDOUT_FILENO, fd, "STDOUT", log);
    }
    if (fd > STDERR_FILENO && ::close(fd) == -1) {
        log_error(log_emerg, log, errno, "close() failed");
        return Rc::error;
    }
    return rc;
}

}  // namespace

Rc daemon(Log* log)
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == -1) {
        log_error(log_emerg, log, errno, "pipe2() failed");
        return Rc::error;
    }

    switch (::fork()) {
    case -1:
        log_error(log_emerg, log, errno, "fork() failed");
        return Rc::error;
    case 0:
        break;
    default:
        ::close(ends[1]);
        wait_for_daemon(ends[0]);
    }
    ::close(ends[0]);
    state.ready_fd = ends[1];

    parent = pid;
    pid = ::getpid();
    log_pid = pid;

    if (::setsid() == -1) {
        log_error(log_emerg, log, errno, "setsid() failed");
        return Rc::error;
    }
    ::umask(0);
    return redirect_to_null(log);
}

void daemon_ready() noexcept
{
    const int fd = std::exchange(state.ready_fd, -1);
    if (fd != -1) {
        // There is nobody to tell when the first process was killed.
        [[maybe_unused]] const ssize_t n = ::write(fd, "", 1);
        ::close(fd);
    }
}

}  // namespace ngx
