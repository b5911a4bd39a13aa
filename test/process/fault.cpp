/// \file
/// A library that is preloaded into a server. It makes system calls fail as the file NGXX_FAULT
/// specifies: see faults.hpp.

#undef _FILE_OFFSET_BITS  // or open() would be another name of open64()

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "test/process/faults.hpp"

namespace {

using ngx::test::process::FaultState;

/// Null if no call should fail. Mapped before main(), because the server clears the environment of
/// its workers, which inherit the mapping.
FaultState* state;

/// Uses the kernel's calls directly, because the C library's may be replaced here.
[[gnu::constructor]] void map_state()
{
    const char* const name = std::getenv("NGXX_FAULT");
    const int fd = name ? static_cast<int>(::syscall(SYS_open, name, O_RDWR | O_CLOEXEC)) : -1;
    if (fd == -1) {
        return;
    }
    const long map = ::syscall(SYS_mmap, nullptr, sizeof(FaultState), PROT_READ | PROT_WRITE,
                               MAP_SHARED, fd, 0L);
    ::close(fd);
    if (map != -1) {
        state = reinterpret_cast<FaultState*>(map);
    }
}

/// Returns whether the call should fail, and sets errno.
bool fails(const char* call, std::string_view path = {})
{
    if (!state || !state->armed.load(std::memory_order_acquire) ||
        (state->pid != 0 && state->pid != ::syscall(SYS_getpid)) ||
        std::strcmp(state->call.data(), call) != 0 || path.find(state->part.data()) == path.npos) {
        return false;
    }
    if (state->pass.load() > 0 && state->pass.fetch_sub(1) > 0) {
        return false;
    }
    if (state->left.load() <= 0 || state->left.fetch_sub(1) <= 0) {
        return false;
    }
    errno = state->err;
    state->hits++;
    return true;
}

template <typename Function>
Function* real(const char* name)
{
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

int open_file(const char* path, int flags, mode_t mode)
{
    return fails("open", path) ? -1 : static_cast<int>(::syscall(SYS_open, path, flags, mode));
}

/// The C library's own allocations must not fail: its user lookup would abort the process.
bool is_libc(const void* caller)
{
    Dl_info info{};
    return ::dladdr(caller, &info) != 0 && std::strstr(info.dli_fname, "/libc.so") != nullptr;
}

/// Errors of the connection itself or of a firewall, which accept(2) returns: the connection is
/// then removed from the queue.
bool is_of_the_connection(int err)
{
    switch (err) {
    case ECONNABORTED:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EPERM:
    case EPROTO:
        return true;
    default:
        return false;
    }
}

}  // namespace

extern "C" {

pid_t fork()
{
    return fails("fork") ? -1 : real<pid_t()>("fork")();
}

int socketpair(int domain, int type, int protocol, int sv[2])
{
    return fails("socketpair")
               ? -1
               : static_cast<int>(::syscall(SYS_socketpair, domain, type, protocol, sv));
}

void* mmap(void* addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    if ((flags & MAP_SHARED) != 0 && fails("mmap")) {
        return MAP_FAILED;
    }
    return reinterpret_cast<void*>(::syscall(SYS_mmap, addr, len, prot, flags, fd, offset));
}

void* mmap64(void* addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    return mmap(addr, len, prot, flags, fd, offset);
}

int setuid(uid_t uid)
{
    return fails("setuid") ? -1 : real<int(uid_t)>("setuid")(uid);
}

int setgid(gid_t gid)
{
    return fails("setgid") ? -1 : real<int(gid_t)>("setgid")(gid);
}

int bind(int fd, const sockaddr* addr, socklen_t len)
{
    return fails("bind") ? -1 : static_cast<int>(::syscall(SYS_bind, fd, addr, len));
}

int listen(int fd, int backlog)
{
    return fails("listen") ? -1 : static_cast<int>(::syscall(SYS_listen, fd, backlog));
}

int open(const char* path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = va_arg(args, mode_t);
    va_end(args);
    return open_file(path, flags, mode);
}

int open64(const char* path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = va_arg(args, mode_t);
    va_end(args);
    return open_file(path, flags, mode);
}

int socket(int domain, int type, int protocol)
{
    return fails("socket") ? -1 : static_cast<int>(::syscall(SYS_socket, domain, type, protocol));
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t len)
{
    return fails("setsockopt")
               ? -1
               : static_cast<int>(::syscall(SYS_setsockopt, fd, level, name, value, len));
}

int connect(int fd, const sockaddr* addr, socklen_t len)
{
    return fails("connect") ? -1 : static_cast<int>(::syscall(SYS_connect, fd, addr, len));
}

int accept4(int fd, sockaddr* addr, socklen_t* len, int flags)
{
    const bool failed = fails("accept4");
    const int err = errno;
    if (failed && (state->stays || !is_of_the_connection(err))) {
        return -1;
    }
    const int s = static_cast<int>(::syscall(SYS_accept4, fd, addr, len, flags));
    if (!failed || s == -1) {
        return s;
    }
    ::close(s);
    errno = err;
    return -1;
}

ssize_t recv(int fd, void* buf, size_t size, int flags)
{
    return fails("recv") ? -1 : ::syscall(SYS_recvfrom, fd, buf, size, flags, nullptr, nullptr);
}

ssize_t recvmsg(int fd, msghdr* msg, int flags)
{
    return fails("recvmsg") ? -1 : ::syscall(SYS_recvmsg, fd, msg, flags);
}

ssize_t send(int fd, const void* buf, size_t size, int flags)
{
    return fails("send") ? -1 : ::syscall(SYS_sendto, fd, buf, size, flags, nullptr, 0);
}

ssize_t sendmsg(int fd, const msghdr* msg, int flags)
{
    return fails("sendmsg") ? -1 : ::syscall(SYS_sendmsg, fd, msg, flags);
}

ssize_t writev(int fd, const iovec* iov, int n)
{
    return fails("writev") ? -1 : ::syscall(SYS_writev, fd, iov, n);
}

ssize_t sendfile(int to, int from, off_t* offset, size_t size)
{
    return fails("sendfile") ? -1 : ::syscall(SYS_sendfile, to, from, offset, size);
}

ssize_t sendfile64(int to, int from, off64_t* offset, size_t size)
{
    return sendfile(to, from, offset, size);
}

int epoll_create1(int flags)
{
    return fails("epoll_create1") ? -1 : static_cast<int>(::syscall(SYS_epoll_create1, flags));
}

int epoll_ctl(int ep, int op, int fd, epoll_event* event)
{
    return fails("epoll_ctl") ? -1 : static_cast<int>(::syscall(SYS_epoll_ctl, ep, op, fd, event));
}

int epoll_wait(int ep, epoll_event* events, int n, int timeout)
{
    return fails("epoll_wait")
               ? -1
               : static_cast<int>(::syscall(SYS_epoll_wait, ep, events, n, timeout));
}

int poll(pollfd* fds, nfds_t n, int timeout)
{
    return fails("poll") ? -1 : static_cast<int>(::syscall(SYS_poll, fds, n, timeout));
}

int select(int n, fd_set* read, fd_set* write, fd_set* except, timeval* timeout)
{
    return fails("select")
               ? -1
               : static_cast<int>(::syscall(SYS_select, n, read, write, except, timeout));
}

int eventfd(unsigned count, int flags)
{
    return fails("eventfd") ? -1 : static_cast<int>(::syscall(SYS_eventfd2, count, flags));
}

struct io_uring;
struct io_uring_params;

/// The functions of liburing return a negative errno.
int io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* params)
{
    using Init = int(unsigned, io_uring*, io_uring_params*);
    return fails("io_uring_setup")
               ? -errno
               : real<Init>("io_uring_queue_init_params")(entries, ring, params);
}

int io_uring_enter2(unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t* arg,
                    size_t size)
{
    using Enter = int(unsigned, unsigned, unsigned, unsigned, sigset_t*, size_t);
    return fails("io_uring_enter")
               ? -errno
               : real<Enter>("io_uring_enter2")(fd, submit, wait, flags, arg, size);
}

/// operator new uses it. A fault treats both as one call.
void* malloc(size_t size)
{
    static void* (*libc)(size_t) = nullptr;
    if (state && state->armed && !is_libc(__builtin_return_address(0)) && fails("malloc")) {
        return nullptr;
    }
    libc = libc ? libc : real<void*(size_t)>("malloc");
    return libc(size);
}

void* aligned_alloc(size_t align, size_t size)
{
    static void* (*libc)(size_t, size_t) = nullptr;
    if (fails("malloc")) {
        return nullptr;
    }
    libc = libc ? libc : real<void*(size_t, size_t)>("aligned_alloc");
    return libc(align, size);
}

/// Makes the calls for which the C library has no functions. A system call has at most six
/// arguments, each of one word.
long syscall(long number, ...)
{
    static auto* const libc = real<long(long, ...)>("syscall");
    if ((number == SYS_io_setup && fails("io_setup")) ||
        (number == SYS_io_submit && fails("io_submit")) ||
        (number == SYS_io_getevents && fails("io_getevents"))) {
        return -1;
    }
    std::array<long, 6> arg;
    va_list args;
    va_start(args, number);
    for (long& a : arg) {
        a = va_arg(args, long);
    }
    va_end(args);
    return libc(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

}  // extern "C"
