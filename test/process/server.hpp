#pragma once

/// \file
/// A running server: the real binary, its configuration, its log, and how to speak to it.

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

/// What is tested, as the command line says.
struct Setup {
    std::string binary{};
    std::string method{};
    /// The event methods that the binary has.
    std::vector<std::string> methods{};
};
Setup& setup();

/// From when on a wait counts as failed. Far off: what must come does come, on a busy machine late.
Deadline patience();

/// What is said of something that does not hold.
[[noreturn]] void fail(const std::string& what);

/// The children of a process.
std::vector<pid_t> children_of(pid_t pid);

/// What the list of processes shows of one: empty when it is gone.
std::string title_of(pid_t pid);

/// The workers of a master that were not told to end.
std::vector<pid_t> workers_of(pid_t master);

/// Waits until a process, which need not be our child, has ended.
void wait_for_end(pid_t pid);

/// Whether a process waits in a system call.
bool is_asleep(pid_t pid);

/// How many descriptors a process has open.
std::size_t descriptors_of(pid_t pid);

/// The memory of a process in bytes; what it shares with others counts in parts.
std::size_t memory_of(pid_t pid);

/// How often a process has gone to sleep by itself.
std::size_t waits_of(pid_t pid);

/// Asks again and again until the answer is yes; where there is no event to wait for.
void wait_until(std::string_view what, const std::function<bool()>& yes);

/// A configuration file, less what all servers here have: they stay in the foreground, and use the
/// event method.
struct ServerConf {
    std::string stream{};
    std::string events = "worker_connections 64;";
    std::string main{};
    std::string log_file = "error.log";
    std::string log_level = "info";
    std::string pid_file = "ngxx.pid";
    std::string method = setup().method;
    int workers = 0;  // of a master; 0 means one process without one
    bool daemon = false;

    [[nodiscard]] std::string text() const;
};

/// A server that serves when the constructor returns, in a directory of its own, which is its
/// prefix and where it runs. The destructor stops it, if need be, and checks that it ended well and
/// that no log has an error line that the test has not allowed.
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
    /// Lets it stand still, which it does on return, and go on.
    void pause();
    void resume()
    {
        paused_ = false;
        signal(SIGCONT);
    }
    void wait_for_log(std::string_view text, std::size_t times = 1);

    /// Waits until the signals sent before are obeyed and what they brought about is done.
    void settle();

    void write_conf(const ServerConf& conf) const { write_file(conf_path(), conf.text()); }
    [[nodiscard]] std::filesystem::path conf_path() const { return dir_ / "nginx.conf"; }

    /// Reloads; when it returns, the new configuration serves.
    void reload(const ServerConf& conf);

    /// Reloads a configuration that is to be refused with this message.
    void reload_refused(const std::string& conf_text, std::string_view message);

    /// A line with this text may be an error.
    void allow(std::string text) { allowed_.push_back(std::move(text)); }

    /// Sends the signal and waits for the end.
    ExitStatus stop(int number);

    /// Kills it, so that it can put nothing in order. Of a master the workers go, too.
    void kill();

    /// Its file or directory in /proc.
    [[nodiscard]] std::filesystem::path proc(std::string_view name) const;

    /// How many descriptors it has open.
    [[nodiscard]] std::size_t descriptors() const;
    /// Returns once it has so many open.
    void wait_for_descriptors(std::size_t wanted);
    /// The processor time that it has used.
    [[nodiscard]] std::chrono::milliseconds cpu_time() const;
    /// How often it has gone to sleep by itself.
    [[nodiscard]] std::size_t waits() const;

    /// Its workers that were not told to end, in the order of their numbers.
    [[nodiscard]] std::vector<pid_t> workers() const { return workers_of(pid()); }

    /// Waits until they are so many: new ones serve, old ones have begun to end.
    void wait_for_workers(std::size_t wanted) const;

    /// The command line that runs the binary on this directory and this configuration.
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

/// The lines of a text.
std::vector<std::string> lines_of(const std::string& text);

/// How often the part occurs in the text.
std::size_t count(std::string_view text, std::string_view part);

}  // namespace ngx::test::process
