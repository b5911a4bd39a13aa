#pragma once

/// \file
/// What the tests of core have in common: logs that can be read, a parse without a server, a
/// process for what must not happen in this one, and listeners without a consumer.

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/conf_file.hpp"
#include "core/cycle.hpp"
#include "core/log.hpp"
#include "core/module.hpp"
#include "test/support/log.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

/// The lines of a log as "[emerg] message": without their time and process, and without those of
/// level debug.
std::string messages(std::string_view log);

/// The same, of one level only: "emerg".
std::string messages(std::string_view log, std::string_view level);

/// What the function returns in a process of its own, or how that process ended instead:
/// "signal 6", "status 70: what was thrown".
std::string answer_of_child(const std::function<std::string()>& function);

/// How many descriptors this process has open.
std::size_t open_descriptors();

/// Lets descriptor 2 be what it was when the scope ends.
class KeepStderr {
public:
    KeepStderr();
    KeepStderr(const KeepStderr&) = delete;
    KeepStderr& operator=(const KeepStderr&) = delete;
    ~KeepStderr();

private:
    Fd saved_;
};

/// A parse without a server: into a cycle that has only the modules given, and opens nothing.
/// Paths start from a directory of its own, where the configuration is nginx.conf.
class Reader {
public:
    explicit Reader(const std::vector<Module*>& modules = {});
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader();

    /// Parses the text as the file's.
    bool parse(std::string_view text);

    /// Parses the text as that of the -g option.
    bool parse_param(std::string_view text);

    /// What was said since the last parse began, paths relative to the directory.
    [[nodiscard]] std::string said() const;

    TempDir dir{};
    TestLog log{log_debug_all};
    Cycle* cycle;
    Conf cf{};
};

/// While it lives, configurations may have `test_listen ADDRESS [backlog=N] [deferred]
/// [reuseport];`: listeners whose connections nobody handles.
class TestListen {
public:
    TestListen();
    TestListen(const TestListen&) = delete;
    TestListen& operator=(const TestListen&) = delete;
    ~TestListen();

private:
    std::vector<Command> commands_;
    std::span<const Command> before_;
};

}  // namespace ngx::test
