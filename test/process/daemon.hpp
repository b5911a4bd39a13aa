#pragma once

/// \file
/// A server that has left its starter: it becomes a child of ours all the same, because orphans are
/// ours to collect while this is used.

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "test/process/server.hpp"

namespace ngx::test::process {

/// Starts the program on a configuration in a directory of its own, where `server` is a link to the
/// program, which can be changed before the binary is. The destructor stops what still runs.
class Daemon {
public:
    explicit Daemon(ServerConf conf, std::map<std::string, std::string> env = {});
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    ~Daemon();

    /// How the first process ended.
    [[nodiscard]] const RunResult& started() const { return started_; }

    /// The process of the pid file.
    [[nodiscard]] pid_t pid() const { return pid_in("ngxx.pid"); }
    /// The one that a new binary has replaced; -1 if there is none.
    [[nodiscard]] pid_t old_pid() const { return pid_in("ngxx.pid.oldbin"); }

    [[nodiscard]] const TempDir& dir() const { return dir_; }
    [[nodiscard]] std::string log() const { return read_file(dir_ / "error.log"); }
    void wait_for_log(std::string_view text, std::size_t times = 1) const;

    void write_conf(const std::string& text) const { write_file(dir_ / "nginx.conf", text); }
    void set_program(const std::filesystem::path& path) const;

    [[nodiscard]] std::vector<std::string> command(std::vector<std::string> more = {}) const;

    /// Sends USR2 and waits until another process has taken the pid file; returns it.
    pid_t change_binary() const;

    /// Waits for the end of one of its processes.
    static ExitStatus collect(pid_t pid);

private:
    pid_t pid_in(std::string_view file) const;

    TempDir dir_;
    RunResult started_;
};

}  // namespace ngx::test::process
