#pragma once

/// \file
/// A running server: the real binary, its configuration and its log.

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "test/support/process.hpp"

namespace ngx::test::process {

/// The binary and event method under test, from the command line.
struct Setup {
    std::string binary{};
    std::string method{};
    /// Directives for each events block.
    std::string events{};
    /// The event methods of the binary.
    std::vector<std::string> methods{};
};
Setup& setup();

/// Returns the deadline of a wait. It is long, because on a busy machine events are late.
Deadline patience();

/// Throws an exception with this text.
[[noreturn]] void fail(const std::string& what);

/// Returns the children of a process.
std::vector<pid_t> children_of(pid_t pid);

/// Returns the title of a process in the process list; empty if it has ended.
std::string title_of(pid_t pid);

/// Returns the workers of a master that were not told to quit.
std::vector<pid_t> workers_of(pid_t master);

/// Waits until a process has ended, which may not be a child of the test.
void wait_for_end(pid_t pid);

/// Returns whether a process waits in a system call.
bool is_asleep(pid_t pid);

/// Returns the number of open descriptors of a process.
std::size_t descriptors_of(pid_t pid);

/// Returns the memory of a process in bytes; shared memory counts proportionally.
std::size_t memory_of(pid_t pid);

/// Returns the number of voluntary context switches of a process.
std::size_t waits_of(pid_t pid);

/// Polls a condition until it is true. Used if there is no event to wait for.
void wait_until(std::string_view what, const std::function<bool()>& yes);

/// A configuration file, without the common part of all servers: they stay in the foreground and
/// use the event method under test.
struct ServerConf {
    std::string stream{};
    std::string events = "worker_connections 64;";
    std::string main{};
    std::string log_file = "error.log";
    std::string log_level = "info";
    std::string pid_file = "ngxx.pid";
    std::string method = setup().method;
    int workers = 0;  // number of workers; 0: one process without a master
    bool daemon = false;

    [[nodiscard]] std::string text() const;
};

/// Runs a server in a temporary directory, which is its prefix and working directory. It serves
/// when the constructor returns. The destructor stops it if necessary, and checks its exit status
/// and that no log has an error line that the test has not allowed.
class Server {
public:
    explicit Server(ServerConf conf, std::size_t open_files = 1024,
                    std::map<std::string, std::string> env = {});
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    [[nodiscard]] Child& child() { return child_; }
    [[nodiscard]] pid_t pid() const { return child_.pid(); }
    [[nodiscard]] const std::filesystem::path& dir() const { return dir_.path(); }
    [[nodiscard]] std::filesystem::path log_path() const { return dir_ / conf_.log_file; }
    [[nodiscard]] std::filesystem::path pid_path() const { return dir_ / conf_.pid_file; }
    [[nodiscard]] std::string log() const { return read_file(log_path()); }

    void signal(int number) { child_.signal(number); }
    /// Stop and continue the process. pause() returns when it is stopped.
    void pause();
    void resume()
    {
        paused_ = false;
        signal(SIGCONT);
    }
    void wait_for_log(std::string_view text, std::size_t times = 1);

    /// Waits until the server has handled all signals that were sent before.
    void settle();

    void write_conf(const ServerConf& conf) const { write_file(conf_path(), conf.text()); }
    [[nodiscard]] std::filesystem::path conf_path() const { return dir_ / "nginx.conf"; }

    /// Reloads, and waits until the new configuration serves.
    void reload(const ServerConf& conf);

    /// Reloads a configuration that must be refused with this message.
    void reload_refused(const std::string& conf_text, std::string_view message);

    /// Allows error lines with this text.
    void allow(std::string text) { allowed_.push_back(std::move(text)); }

    /// Sends the signal and waits for the server's end.
    ExitStatus stop(int number);

    /// Kills the server, and the workers of a master.
    void kill();

    /// Returns the path of a file or directory of its process in /proc.
    [[nodiscard]] std::filesystem::path proc(std::string_view name) const;

    /// Returns the number of its open descriptors.
    [[nodiscard]] std::size_t descriptors() const;
    /// Waits until it has this number of open descriptors.
    void wait_for_descriptors(std::size_t wanted);
    /// Returns the processor time that it has used.
    [[nodiscard]] std::chrono::milliseconds cpu_time() const;
    /// Returns the number of its voluntary context switches.
    [[nodiscard]] std::size_t waits() const;

    /// Returns its workers that were not told to quit, sorted.
    [[nodiscard]] std::vector<pid_t> workers() const { return workers_of(pid()); }

    /// Waits until it has this number of workers: new ones serve, old ones have started to quit.
    void wait_for_workers(std::size_t wanted) const;

    /// Returns the command line that runs the binary with this directory and configuration.
    [[nodiscard]] std::vector<std::string> command(std::vector<std::string> more = {}) const;

private:
    std::vector<std::string> prepare() const;

    TempDir dir_;
    ServerConf conf_;
    std::vector<std::string> allowed_;
    Child child_;
    bool paused_ = false;
    bool killed_ = false;
};

/// Returns the lines of a text.
std::vector<std::string> lines_of(const std::string& text);

/// Returns how often the part occurs in the text.
std::size_t count(std::string_view text, std::string_view part);

}  // namespace ngx::test::process
