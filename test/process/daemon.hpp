#pragma once

/// \file
/// A server in the background. It becomes a child of the test, which is a subreaper for orphans
/// while this object exists.

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "test/process/server.hpp"

namespace ngx::test::process {

/// Starts the program with a configuration in a temporary directory. `server` in the directory is a
/// link to the program, so that a test can change the link before it changes the binary. The
/// destructor stops all processes that still run.
class Daemon {
public:
    explicit Daemon(ServerConf conf, std::map<std::string, std::string> env = {});
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    ~Daemon();

    /// The end of the first process.
    [[nodiscard]] const RunResult& started() const { return started_; }

    /// Returns the process in the pid file.
    [[nodiscard]] pid_t pid() const { return pid_in("ngxx.pid"); }
    /// Returns the process that a new binary has replaced; -1 if there is none.
    [[nodiscard]] pid_t old_pid() const { return pid_in("ngxx.pid.oldbin"); }

    [[nodiscard]] const TempDir& dir() const { return dir_; }
    [[nodiscard]] std::string log() const { return read_file(dir_ / "error.log"); }
    void wait_for_log(std::string_view text, std::size_t times = 1) const;

    void write_conf(const std::string& text) const { write_file(dir_ / "nginx.conf", text); }
    void set_program(const std::filesystem::path& path) const;

    [[nodiscard]] std::vector<std::string> command(std::vector<std::string> more = {}) const;

    /// Sends USR2 and waits until the pid file has another process. Returns it.
    pid_t change_binary() const;

    /// Waits for the end of one of the server's processes.
    static ExitStatus collect(pid_t pid);

private:
    pid_t pid_in(std::string_view file) const;

    TempDir dir_;
    RunResult started_;
};

}  // namespace ngx::test::process
