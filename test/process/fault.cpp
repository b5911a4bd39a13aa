/// \file
/// Preloaded into a server: system calls that fail. A file, named by NGXX_FAULT, says which: "CALL
/// ERRNO once" or "CALL ERRNO always", and for `open` a part of the path behind it. `once` is for
/// all processes together: the one that takes the fault removes the file.

#undef _FILE_OFFSET_BITS  // or open() would be another name of open64()

#include <dlfcn.h>
#include <fcntl.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

/// The path of the file. The server clears the environment of its workers.
const std::string& fault_path()
{
    static const std::string path = [] {
        const char* name = std::getenv("NGXX_FAULT");
        return std::string(name ? name : "");
    }();
    return path;
}

[[gnu::constructor]] void remember_path()
{
    (void)fault_path();
}

/// Straight to the kernel: open() is one of the calls that may have to fail.
std::string read_fault()
{
    std::array<char, 256> text{};
    const long fd = ::syscall(SYS_open, fault_path().c_str(), O_RDONLY);
    if (fd < 0) {
        return {};
    }
    const ssize_t n = ::read(static_cast<int>(fd), text.data(), text.size());
    ::close(static_cast<int>(fd));
    return {text.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
}

/// Whether the call is to fail; errno then says how.
bool fails(const char* call, std::string_view path = {})
{
    const int saved = errno;
    std::array<char, 32> name{};
    std::array<char, 16> when{};
    std::array<char, 128> part{};
    int err = 0;
    const std::string text = read_fault();
    const int fields = std::sscanf(text.c_str(), "%31s %d %15s %127s", name.data(), &err,
                                   when.data(), part.data());
    errno = saved;
    if (fields < 3 || std::strcmp(name.data(), call) != 0 ||
        (fields == 4 && path.find(part.data()) == path.npos)) {
        return false;
    }
    if (std::strcmp(when.data(), "once") == 0 && ::unlink(fault_path().c_str()) == -1) {
        errno = saved;
        return false;  // another process was faster
    }
    errno = err;
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

}  // extern "C"
