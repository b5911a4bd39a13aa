#include "process.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <ostream>
#include <span>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace ngx::test {

namespace {

[[noreturn]] void fail(const std::string& what, int error = errno)
{
    throw std::system_error(error, std::generic_category(), what);
}

int checked(int result, const std::string& what)
{
    if (result == -1) {
        fail(what);
    }
    return result;
}

/// Returns the time until the deadline as poll()'s timeout: rounded up, never negative.
int poll_timeout(Deadline deadline)
{
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, INT_MAX));
}

/// Returns whether one of the descriptors becomes readable before the deadline; -1 never does.
bool wait_readable(std::span<const int> fds, Deadline deadline)
{
    std::vector<pollfd> entries;
    for (const int fd : fds) {
        entries.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    }
    for (;;) {
        const int ready = ::poll(entries.data(), entries.size(), poll_timeout(deadline));
        if (ready != -1) {
            return ready > 0;
        }
        if (errno != EINTR) {
            fail("poll()");
        }
    }
}

/// Returns how often the text occurs.
std::size_t occurrences(std::string_view in, std::string_view text)
{
    std::size_t n = 0;
    for (std::size_t at = in.find(text); at != in.npos; at = in.find(text, at + text.size())) {
        n++;
    }
    return n;
}

/// Makes the system call directly, because the header of glibc 2.36 declares pidfd_open() only for
/// C.
Fd open_pidfd(pid_t pid)
{
    return Fd(checked(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), "pidfd_open()"));
}

Fd open_file(const std::filesystem::path& path, int flags)
{
    return Fd(checked(::open(path.c_str(), flags | O_CLOEXEC, 0600), path.string()));
}

/// Returns this process's environment, with the given variables replacing those of the same name.
std::vector<std::string> merged_environment(const std::map<std::string, std::string>& wanted)
{
    std::vector<std::string> merged;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        if (!wanted.contains(std::string(text.substr(0, text.find('='))))) {
            merged.emplace_back(text);
        }
    }
    for (const auto& [name, value] : wanted) {
        merged.push_back(name);
        merged.back().append("=").append(value);
    }
    return merged;
}

std::vector<char*> pointers(std::vector<std::string>& strings)
{
    std::vector<char*> result;
    result.reserve(strings.size() + 1);
    for (std::string& string : strings) {
        result.push_back(string.data());
    }
    result.push_back(nullptr);
    return result;
}

/// The data that the new process needs before execvpe(). It is prepared here, because the new
/// process must not allocate.
struct Launch {
    std::vector<std::string> argv;
    std::vector<std::string> environment;
    std::vector<char*> argv_pointers = pointers(argv);
    std::vector<char*> environment_pointers = pointers(environment);
    std::string cwd;
    std::optional<rlimit> open_files = {};
    std::array<Fd, 3> stdio;
    pid_t parent = ::getpid();
    /// Set by the new process if it failed.
    int error = 0;
};

/// Runs in the new process. Returns only after a failure, with errno set.
void become(const Launch& launch)
{
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) == -1) {
        return;
    }
    if (::getppid() != launch.parent) {
        errno = ESRCH;  // the parent died before the call above
        return;
    }
    // A shell makes background processes ignore these signals, and the program would inherit that.
    for (const int signo : {SIGHUP, SIGINT, SIGQUIT}) {
        ::signal(signo, SIG_DFL);
    }
    for (int fd = 0; fd < 3; ++fd) {
        if (::dup2(launch.stdio[static_cast<std::size_t>(fd)].get(), fd) == -1) {
            return;
        }
    }
    if (launch.open_files && ::setrlimit(RLIMIT_NOFILE, &*launch.open_files) == -1) {
        return;
    }
    if (!launch.cwd.empty() && ::chdir(launch.cwd.c_str()) == -1) {
        return;
    }
    ::execvpe(launch.argv_pointers[0], launch.argv_pointers.data(),
              launch.environment_pointers.data());
}

/// Starts the program. Does not use fork(), because copying the page tables of a test with the
/// address sanitizer takes longer than most tests. The new process shares the memory of this one,
/// with its own stack, and this process waits until the other has executed the program or failed.
pid_t start(Launch& launch)
{
    std::vector<char> stack(64 * 1024);
    const auto entry = [](void* argument) {
        Launch& mine = *static_cast<Launch*>(argument);
        become(mine);
        mine.error = errno;
        return 127;
    };
    const pid_t pid = checked(
        ::clone(entry, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, &launch),
        "clone()");
    if (launch.error != 0) {
        ::waitpid(pid, nullptr, 0);
        fail("cannot run " + launch.argv[0], launch.error);
    }
    return pid;
}

bool bind_ipv4(int socket, std::uint16_t port)
{
    const sockaddr_in address = loopback(port);
    return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

/// Returns whether the port is free on ::1, too. On a machine without IPv6 it is.
bool free_on_ipv6(std::uint16_t port)
{
    const Fd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!probe.is_open()) {
        return true;
    }
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    address.sin6_addr = in6addr_loopback;
    const int result =
        ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    return result == 0 || errno != EADDRINUSE;
}

}  // namespace

sockaddr_in loopback(std::uint16_t port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

Deadline deadline_in(std::chrono::milliseconds delay)
{
    return Clock::now() + delay;
}

Fd::Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Fd& Fd::operator=(Fd&& other) noexcept
{
    if (this != &other) {
        close();
        fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
}

Fd::~Fd()
{
    close();
}

void Fd::close()
{
    if (fd_ != -1) {
        ::close(std::exchange(fd_, -1));
    }
}

TempDir::TempDir()
{
    std::string name = std::filesystem::temp_directory_path() / "ngxx-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
        fail("mkdtemp(" + name + ")");
    }
    path_ = name;
}

TempDir::~TempDir()
{
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string read_file(const std::filesystem::path& path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        fail("cannot read " + path.string());
    }
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void write_file(const std::filesystem::path& path, std::string_view text)
{
    std::filesystem::create_directories(path.parent_path());
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file.flush()) {
        fail("cannot write " + path.string());
    }
}

std::ostream& operator<<(std::ostream& out, const ExitStatus& status)
{
    if (status.timed_out) {
        return out << "timed out";
    }
    if (status.signal) {
        return out << "killed by signal " << *status.signal;
    }
    return out << "exited with " << status.code.value_or(-1);
}

Child::Child(std::vector<std::string> argv, const ProcessOptions& options)
{
    write_file(files_ / "in", options.input);
    constexpr int append = O_WRONLY | O_CREAT | O_APPEND;

    Launch launch{.argv = std::move(argv),
                  .environment = merged_environment(options.env),
                  .cwd = options.cwd,
                  .stdio = {open_file(files_ / "in", O_RDONLY), open_file(out_path(), append),
                            open_file(err_path(), append)}};
    if (options.open_files) {
        launch.open_files = rlimit{*options.open_files, *options.open_files};
    }
    pid_ = start(launch);
    pidfd_ = open_pidfd(pid_);
}

Child::~Child()
{
    if (!status_) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
}

bool Child::running()
{
    return !wait_for_exit(Clock::now());
}

void Child::signal(int number)
{
    if (!status_) {
        checked(::kill(pid_, number), "kill()");
    }
}

ExitStatus Child::wait(Deadline deadline)
{
    if (!wait_for_exit(deadline)) {
        signal(SIGKILL);
        reap();
        status_ = ExitStatus{.code = {}, .signal = {}, .timed_out = true};
    }
    return *status_;
}

bool Child::wait_for_exit(Deadline deadline)
{
    const std::array<int, 1> fds = {pidfd_.get()};
    if (!status_ && wait_readable(fds, deadline)) {
        reap();
    }
    return status_.has_value();
}

void Child::reap()
{
    int status = 0;
    while (::waitpid(pid_, &status, 0) == -1) {
        if (errno != EINTR) {
            fail("waitpid()");
        }
    }
    status_.emplace();
    if (WIFEXITED(status)) {
        status_->code = WEXITSTATUS(status);
    } else {
        status_->signal = WTERMSIG(status);
    }
}

void wait_for_text(const std::filesystem::path& path, std::string_view text, Deadline deadline,
                   std::size_t times, Child* writer)
{
    // Watches the directory instead of the file, which may not exist yet or may be replaced.
    const Fd watch(checked(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init1()"));
    const std::string directory = path.parent_path();
    checked(
        ::inotify_add_watch(watch.get(), directory.c_str(), IN_CREATE | IN_MODIFY | IN_MOVED_TO),
        "inotify_add_watch(" + directory + ")");
    const std::array<int, 2> fds = {watch.get(), writer != nullptr ? writer->pidfd() : -1};

    for (bool last = false;;) {
        const std::string found = std::filesystem::exists(path) ? read_file(path) : std::string();
        if (occurrences(found, text) >= times) {
            return;
        }
        if (last || !wait_readable(fds, deadline)) {
            throw std::runtime_error("no \"" + std::string(text) + "\" in " + path.string() +
                                     (last ? ", whose writer has ended" : "") + ", which holds:\n" +
                                     found);
        }
        std::array<char, 4096> events{};
        while (::read(watch.get(), events.data(), events.size()) > 0) {}
        // Reads once more, to see the text that it wrote before its end.
        last = writer != nullptr && !writer->running();
    }
}

RunResult run(std::vector<std::string> argv, const ProcessOptions& options,
              std::chrono::milliseconds timeout)
{
    Child child(std::move(argv), options);
    const ExitStatus status = child.wait(deadline_in(timeout));
    return {status, child.out(), child.err()};
}

std::uint16_t free_port()
{
    for (;;) {
        const Fd probe(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket()"));
        sockaddr_in address{};
        socklen_t length = sizeof(address);
        if (!bind_ipv4(probe.get(), 0)) {
            fail("bind()");
        }
        checked(::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &length),
                "getsockname()");
        const std::uint16_t port = ntohs(address.sin_port);
        if (free_on_ipv6(port)) {
            return port;
        }
    }
}

Fd connect_retry(std::uint16_t port, Deadline deadline, Child* server)
{
    const sockaddr_in address = loopback(port);
    for (;;) {
        Fd socket(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket()"));
        if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
            0) {
            return socket;
        }
        const int error = errno;
        const std::string what = "connect() to port " + std::to_string(port);
        if (server != nullptr && !server->running()) {
            throw std::runtime_error(what + ": the server has ended:\n" + server->err());
        }
        if (Clock::now() >= deadline) {
            fail(what, error);
        }
        // No event reports that a port is open; a refused connect() takes microseconds.
        ::poll(nullptr, 0, 1);
    }
}

}  // namespace ngx::test
