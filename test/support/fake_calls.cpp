#include "test/support/fake_calls.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace ngx::test {

namespace {

std::array<FakeCall*, static_cast<std::size_t>(Call::writev) + 1> fakes;  // the last one

constexpr int no_fd = INT_MAX;  // for a call without a descriptor

FakeCall*& fake_of(Call call)
{
    return fakes.at(static_cast<std::size_t>(call));
}

/// Opens the standard descriptors if they are closed, so that no other descriptor of the test gets
/// their numbers: calls on these are never answered.
const struct StandardFiles {
    StandardFiles()
    {
        int fd = 0;
        do {
            fd = ::open("/dev/null", O_RDWR);
        } while (fd != -1 && fd <= STDERR_FILENO);
        if (fd != -1) {
            ::close(fd);
        }
    }
} standard_files;

/// Returns the next answer, or else makes the call with the caller's number of bytes. `make(n)`
/// makes the kernel's call with at most n bytes.
template <typename Make>
long faked(Call call, int fd, Make make, int pieces = 1)
{
    FakeCall* const fake = fd > STDERR_FILENO ? fake_of(call) : nullptr;
    const Answer* const answer = fake ? fake->next(pieces) : nullptr;
    if (!answer) {
        return make(Answer{}.at_most);
    }
    if (answer->err != 0) {
        errno = answer->err;
        return -1;
    }
    return answer->result ? *answer->result : make(answer->at_most);
}

/// Makes a call with several pieces of memory; under a limit only with the start of the first one.
long vector_call(long number, int fd, const iovec* iov, int count, std::size_t at_most)
{
    if (at_most == Answer{}.at_most || count == 0) {
        return ::syscall(number, fd, iov, count);
    }
    iovec first = *iov;
    first.iov_len = std::min(first.iov_len, at_most);
    return ::syscall(number, fd, &first, 1);
}

}  // namespace

FakeCall::FakeCall(Call call, Answer answer, int times)
    : call_(call)
    , answer_(answer)
    , times_(times)
{
    fake_of(call_) = this;
}

FakeCall::~FakeCall()
{
    fake_of(call_) = nullptr;
}

const Answer* FakeCall::next(int pieces)
{
    pieces_ = pieces;
    return calls_++ < times_ ? &answer_ : nullptr;
}

}  // namespace ngx::test

using ngx::test::Call;
using ngx::test::faked;

extern "C" {

int accept(int fd, sockaddr* addr, socklen_t* len)
{
    return static_cast<int>(
        faked(Call::accept, fd, [&](std::size_t) { return ::syscall(SYS_accept, fd, addr, len); }));
}

int accept4(int fd, sockaddr* addr, socklen_t* len, int flags)
{
    return static_cast<int>(faked(Call::accept4, fd, [&](std::size_t) {
        return ::syscall(SYS_accept4, fd, addr, len, flags);
    }));
}

int bind(int fd, const sockaddr* addr, socklen_t len) noexcept
{
    return static_cast<int>(
        faked(Call::bind, fd, [&](std::size_t) { return ::syscall(SYS_bind, fd, addr, len); }));
}

int connect(int fd, const sockaddr* addr, socklen_t len)
{
    return static_cast<int>(faked(
        Call::connect, fd, [&](std::size_t) { return ::syscall(SYS_connect, fd, addr, len); }));
}

int eventfd(unsigned count, int flags) noexcept
{
    return static_cast<int>(faked(Call::eventfd, ngx::test::no_fd, [&](std::size_t) {
        return ::syscall(SYS_eventfd2, count, flags);
    }));
}

pid_t fork() noexcept
{
    // The C library's function is called, because the C library and the sanitizers do more than the
    // kernel.
    using Fork = pid_t (*)();
    static const auto real = reinterpret_cast<Fork>(::dlsym(RTLD_NEXT, "fork"));
    return static_cast<pid_t>(
        faked(Call::fork, ngx::test::no_fd, [](std::size_t) { return real(); }));
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* len) noexcept
{
    return static_cast<int>(faked(Call::getsockopt, fd, [&](std::size_t) {
        return ::syscall(SYS_getsockopt, fd, level, name, value, len);
    }));
}

struct io_uring;

/// The functions of liburing return a negative errno.
int io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* params)
{
    using Init = int (*)(unsigned, io_uring*, io_uring_params*);
    static const auto real =
        reinterpret_cast<Init>(::dlsym(RTLD_NEXT, "io_uring_queue_init_params"));
    const long rc = faked(Call::io_uring_setup, ngx::test::no_fd, [&](std::size_t at_most) {
        params->cq_entries =
            static_cast<unsigned>(std::min<std::size_t>(params->cq_entries, at_most));
        const int result = real(entries, ring, params);
        errno = -result;
        return result < 0 ? -1 : 0;
    });
    return rc == -1 ? -errno : 0;
}

int io_uring_enter2(unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t* arg,
                    std::size_t size)
{
    using Enter = int (*)(unsigned, unsigned, unsigned, unsigned, sigset_t*, std::size_t);
    static const auto real = reinterpret_cast<Enter>(::dlsym(RTLD_NEXT, "io_uring_enter2"));
    const long rc = faked(Call::io_uring_enter, ngx::test::no_fd, [&](std::size_t) {
        const int result = real(fd, submit, wait, flags, arg, size);
        errno = result < 0 ? -result : errno;
        return result < 0 ? -1 : result;
    });
    return rc == -1 ? -errno : static_cast<int>(rc);
}

int ioctl(int fd, unsigned long request, ...) noexcept
{
    va_list args;
    va_start(args, request);
    void* const argument = va_arg(args, void*);
    va_end(args);
    return static_cast<int>(faked(
        Call::ioctl, fd, [&](std::size_t) { return ::syscall(SYS_ioctl, fd, request, argument); }));
}

ssize_t pread(int fd, void* buf, std::size_t size, off_t offset)
{
    return faked(Call::pread, fd, [&](std::size_t at_most) {
        return ::syscall(SYS_pread64, fd, buf, std::min(size, at_most), offset);
    });
}

/// Returns its error, in contrast to the other functions.
int pthread_create(pthread_t* thread, const pthread_attr_t* attr, void* (*start)(void*),
                   void* arg) noexcept
{
    using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static const auto real = reinterpret_cast<Create>(::dlsym(RTLD_NEXT, "pthread_create"));
    const long rc = faked(Call::pthread_create, ngx::test::no_fd,
                          [&](std::size_t) { return real(thread, attr, start, arg); });
    return rc == -1 ? errno : static_cast<int>(rc);
}

ssize_t read(int fd, void* buf, std::size_t size)
{
    return faked(Call::read, fd, [&](std::size_t at_most) {
        return ::syscall(SYS_read, fd, buf, std::min(size, at_most));
    });
}

ssize_t readv(int fd, const iovec* iov, int count)
{
    const auto make = [&](std::size_t at_most) {
        return ngx::test::vector_call(SYS_readv, fd, iov, count, at_most);
    };
    return faked(Call::readv, fd, make, count);
}

ssize_t recv(int fd, void* buf, std::size_t size, int flags)
{
    return faked(Call::recv, fd, [&](std::size_t at_most) {
        return ::syscall(SYS_recvfrom, fd, buf, std::min(size, at_most), flags, nullptr, nullptr);
    });
}

ssize_t recvmsg(int fd, msghdr* msg, int flags)
{
    return faked(Call::recvmsg, fd,
                 [&](std::size_t) { return ::syscall(SYS_recvmsg, fd, msg, flags); });
}

int sched_getaffinity(pid_t pid, std::size_t size, cpu_set_t* mask) noexcept
{
    const long n = faked(Call::sched_getaffinity, ngx::test::no_fd, [&](std::size_t) {
        return ::syscall(SYS_sched_getaffinity, pid, size, mask);
    });
    if (n >= 0) {  // the number of bytes that the kernel wrote
        std::fill_n(reinterpret_cast<char*>(mask) + n, size - static_cast<std::size_t>(n), '\0');
    }
    return n >= 0 ? 0 : -1;
}

ssize_t send(int fd, const void* buf, std::size_t size, int flags)
{
    return faked(Call::send, fd, [&](std::size_t at_most) {
        return ::syscall(SYS_sendto, fd, buf, std::min(size, at_most), flags, nullptr, 0);
    });
}

ssize_t sendmsg(int fd, const msghdr* msg, int flags)
{
    const auto make = [&](std::size_t) { return ::syscall(SYS_sendmsg, fd, msg, flags); };
    return faked(Call::sendmsg, fd, make, static_cast<int>(msg->msg_iovlen));
}

ssize_t sendto(int fd, const void* buf, std::size_t size, int flags, const sockaddr* to,
               socklen_t len)
{
    return faked(Call::sendto, fd, [&](std::size_t at_most) {
        return ::syscall(SYS_sendto, fd, buf, std::min(size, at_most), flags, to, len);
    });
}

ssize_t sendfile(int to, int from, off_t* offset, std::size_t size) noexcept
{
    return faked(Call::sendfile, to, [&](std::size_t at_most) {
        return ::syscall(SYS_sendfile, to, from, offset, std::min(size, at_most));
    });
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t len) noexcept
{
    return static_cast<int>(faked(Call::setsockopt, fd, [&](std::size_t) {
        return ::syscall(SYS_setsockopt, fd, level, name, value, len);
    }));
}

int socket(int domain, int type, int protocol) noexcept
{
    return static_cast<int>(faked(Call::socket, ngx::test::no_fd, [&](std::size_t) {
        return ::syscall(SYS_socket, domain, type, protocol);
    }));
}

int socketpair(int domain, int type, int protocol, int* fds) noexcept
{
    return static_cast<int>(faked(Call::socketpair, ngx::test::no_fd, [&](std::size_t) {
        return ::syscall(SYS_socketpair, domain, type, protocol, fds);
    }));
}

/// Answers the calls for which the C library has no function. As the C library's own, it reads six
/// arguments, however few the caller passes: AddressSanitizer must not check that.
__attribute__((no_sanitize("address"))) long syscall(long number, ...) noexcept
{
    va_list args;
    va_start(args, number);
    std::array<long, 6> arg;
    for (long& a : arg) {
        a = va_arg(args, long);
    }
    va_end(args);

    using Syscall = long (*)(long, ...);
    static const auto real = reinterpret_cast<Syscall>(::dlsym(RTLD_NEXT, "syscall"));
    const auto make = [&](std::size_t) {
        return real(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
    };
    switch (number) {
    case SYS_io_destroy:
        return faked(Call::io_destroy, ngx::test::no_fd, make);
    case SYS_io_getevents:
        return faked(Call::io_getevents, ngx::test::no_fd, make);
    case SYS_io_setup:
        return faked(Call::io_setup, ngx::test::no_fd, make);
    case SYS_io_submit:
        return faked(Call::io_submit, ngx::test::no_fd, make);
    default:
        return make(0);
    }
}

ssize_t writev(int fd, const iovec* iov, int count)
{
    const auto make = [&](std::size_t at_most) {
        return ngx::test::vector_call(SYS_writev, fd, iov, count, at_most);
    };
    return faked(Call::writev, fd, make, count);
}
}
