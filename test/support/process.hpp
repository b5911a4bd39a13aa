#pragma once

/// \file
/// What a test of a whole process needs: a directory of its own, a port of its own, a program
/// that is run to its end or kept running, and waits that are bounded and end with an event.
/// Everything here throws std::runtime_error (or std::system_error) when it cannot do its work.

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

/// The point in time from which a wait gives up.
Deadline deadline_in(std::chrono::milliseconds delay);

/// A descriptor that is closed with its owner.
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

/// A new empty directory below TMPDIR, removed with everything in it.
class TempDir {
public:
    TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir();

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    /// The path of a name in the directory.
    [[nodiscard]] std::filesystem::path operator/(std::string_view name) const
    {
        return path_ / name;
    }

private:
    std::filesystem::path path_;
};

/// The whole of a file.
std::string read_file(const std::filesystem::path& path);

/// Makes a file hold exactly the text; missing directories on the way are made.
void write_file(const std::filesystem::path& path, std::string_view text);

/// How a process ended: one of the three is set.
struct ExitStatus {
    std::optional<int> code;
    std::optional<int> signal;
    bool timed_out = false;

    bool operator==(const ExitStatus&) const = default;

    /// The process came to its end by itself, with this code.
    [[nodiscard]] bool exited_with(int wanted) const { return code == wanted; }
};

std::ostream& operator<<(std::ostream& out, const ExitStatus& status);

/// What a process is started with beside its arguments.
struct ProcessOptions {
    /// Where it runs; empty for here.
    std::filesystem::path cwd = {};
    /// Variables set on top of our environment.
    std::map<std::string, std::string> env = {};
    /// What it reads from standard input, which then ends.
    std::string input = {};
    /// Its soft and hard limit of open descriptors.
    std::optional<std::size_t> open_files = {};
};

/// A running program. Its standard output and error go to files, so that it never waits for a
/// reader. It is killed with its owner, and when the thread that started it ends. The kill
/// reaches this process only: what it started in its turn must end by itself.
class Child {
public:
    /// Starts argv[0], looked up in PATH when it has no slash. Throws when it cannot be executed.
    explicit Child(std::vector<std::string> argv, const ProcessOptions& options = {});
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();

    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] bool running();

    /// Is readable when it has ended.
    [[nodiscard]] int pidfd() const { return pidfd_.get(); }

    /// What it wrote so far.
    [[nodiscard]] std::string out() const { return read_file(out_path()); }
    [[nodiscard]] std::string err() const { return read_file(err_path()); }

    /// The files it writes to, for wait_for_text().
    [[nodiscard]] std::filesystem::path out_path() const { return files_ / "out"; }
    [[nodiscard]] std::filesystem::path err_path() const { return files_ / "err"; }

    /// Sends a signal; nothing happens when it has ended.
    void signal(int number);

    /// Waits for its end. Past the deadline it is killed and the status says timed_out.
    ExitStatus wait(Deadline deadline);

private:
    bool wait_for_exit(Deadline deadline);
    void reap();

    TempDir files_;
    pid_t pid_ = -1;
    Fd pidfd_;
    std::optional<ExitStatus> status_;
};

/// Returns once the file holds the text, so many times if need be, whether or not the file exists
/// yet (its directory must). Throws with what the file holds when the deadline passes or, when the
/// writer is given, as soon as it has ended.
void wait_for_text(const std::filesystem::path& path, std::string_view text, Deadline deadline,
                   std::size_t times = 1, Child* writer = nullptr);

/// What a program that ran to its end left behind.
struct RunResult {
    ExitStatus status;
    std::string out;
    std::string err;
};

/// Runs a program to its end, or kills it when the time is over.
RunResult run(std::vector<std::string> argv, const ProcessOptions& options = {},
              std::chrono::milliseconds timeout = std::chrono::seconds(10));

/// 127.0.0.1 and a port.
sockaddr_in loopback(std::uint16_t port);

/// A TCP port of the loopback addresses, IPv4 and IPv6, that nobody listened on a moment ago.
std::uint16_t free_port();

/// Connects to 127.0.0.1 again and again until a listener answers, and returns the blocking
/// socket. Throws when the deadline passes or, when the server is given, as soon as it has ended.
Fd connect_retry(std::uint16_t port, Deadline deadline, Child* server = nullptr);

}  // namespace ngx::test
