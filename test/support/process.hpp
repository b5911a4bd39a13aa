#pragma once

/// \file
/// The parts of a test of whole processes: a temporary directory, a free port, a program that runs
/// to its end or keeps running, and waits with a deadline that end with an event. All functions
/// throw std::runtime_error (or std::system_error) on failure.

#include <netinet/in.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ngx::test {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

/// Returns the time at which a wait gives up.
Deadline deadline_in(std::chrono::milliseconds delay);

/// Owns a descriptor.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept;
    Fd& operator=(Fd&& other) noexcept;
    ~Fd();

    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool is_open() const { return fd_ != -1; }
    void close();

private:
    int fd_ = -1;
};

/// Owns a new empty directory below TMPDIR. The destructor removes it and its contents.
class TempDir {
public:
    TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir();

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    /// Returns the path of a name in the directory.
    [[nodiscard]] std::filesystem::path operator/(std::string_view name) const
    {
        return path_ / name;
    }

private:
    std::filesystem::path path_;
};

/// Returns the content of a file.
std::string read_file(const std::filesystem::path& path);

/// Writes the text to a file, and creates missing directories of its path.
void write_file(const std::filesystem::path& path, std::string_view text);

/// How a process ended. One of the three members is set.
struct ExitStatus {
    std::optional<int> code;
    std::optional<int> signal;
    bool timed_out = false;

    bool operator==(const ExitStatus&) const = default;

    /// Returns whether the process exited with this code.
    [[nodiscard]] bool exited_with(int wanted) const { return code == wanted; }
};

std::ostream& operator<<(std::ostream& out, const ExitStatus& status);

/// The options with which a process is started, in addition to its arguments.
struct ProcessOptions {
    /// Its working directory; empty: this process's.
    std::filesystem::path cwd = {};
    /// Variables in addition to this process's environment.
    std::map<std::string, std::string> env = {};
    /// The content of its standard input.
    std::string input = {};
    /// Its soft and hard limit of open descriptors.
    std::optional<std::size_t> open_files = {};
};

/// A running program. It writes standard output and error to files, so that it never waits for a
/// reader. The destructor kills it; it is also killed when the thread that started it ends. Only
/// this process is killed: its own children must end without help.
class Child {
public:
    /// Starts argv[0], which is searched in PATH if it has no slash. Throws if it cannot be
    /// executed.
    explicit Child(std::vector<std::string> argv, const ProcessOptions& options = {});
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();

    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] bool running();

    /// A descriptor that is readable when the program has ended.
    [[nodiscard]] int pidfd() const { return pidfd_.get(); }

    /// Its output so far.
    [[nodiscard]] std::string out() const { return read_file(out_path()); }
    [[nodiscard]] std::string err() const { return read_file(err_path()); }

    /// The files of its output, for wait_for_text().
    [[nodiscard]] std::filesystem::path out_path() const { return files_ / "out"; }
    [[nodiscard]] std::filesystem::path err_path() const { return files_ / "err"; }

    /// Sends a signal, unless the program has ended.
    void signal(int number);

    /// Waits for its end. At the deadline kills it and sets timed_out.
    ExitStatus wait(Deadline deadline);

private:
    bool wait_for_exit(Deadline deadline);
    void reap();

    TempDir files_;
    pid_t pid_ = -1;
    Fd pidfd_;
    std::optional<ExitStatus> status_;
};

/// Waits until the file contains the text the given number of times. The file may not exist yet,
/// but its directory must. At the deadline, or when the given writer has ended, throws an exception
/// with the content of the file.
void wait_for_text(const std::filesystem::path& path, std::string_view text, Deadline deadline,
                   std::size_t times = 1, Child* writer = nullptr);

/// The end and the output of a program.
struct RunResult {
    ExitStatus status;
    std::string out;
    std::string err;
};

/// Runs a program to its end, or kills it at the time limit.
RunResult run(std::vector<std::string> argv, const ProcessOptions& options = {},
              std::chrono::milliseconds timeout = std::chrono::seconds(60));

/// Returns the address of 127.0.0.1 and a port.
sockaddr_in loopback(std::uint16_t port);

/// Returns a TCP port that was free on the loopback addresses, IPv4 and IPv6.
std::uint16_t free_port();

/// Connects to 127.0.0.1, and retries until a listener answers. Returns the blocking socket. Throws
/// at the deadline or, if the server is given, when it has ended.
Fd connect_retry(std::uint16_t port, Deadline deadline, Child* server = nullptr);

}  // namespace ngx::test
