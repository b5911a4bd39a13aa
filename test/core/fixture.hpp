#pragma once

/// \file
/// The common part of core's tests: readable logs, parsing without a server, code in a child
/// process, and listeners without a consumer.

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

/// Returns the lines of a log as "[emerg] message", without time and process, and without debug
/// lines.
std::string messages(std::string_view log);

/// Returns the lines of one level, such as "emerg".
std::string messages(std::string_view log, std::string_view level);

/// Calls the function in a child process. Returns its result, or the end of the process: "signal
/// 6", "status 70: EXCEPTION".
std::string answer_of_child(const std::function<std::string()>& function);

/// Returns the number of open descriptors of this process.
std::size_t open_descriptors();

/// Restores descriptor 2 at the end of the scope.
class KeepStderr {
public:
    KeepStderr();
    KeepStderr(const KeepStderr&) = delete;
    KeepStderr& operator=(const KeepStderr&) = delete;
    ~KeepStderr();

private:
    Fd saved_;
};

/// Parses without a server, into a cycle that has only the given modules and opens nothing. The
/// prefix is a temporary directory, in which the configuration is nginx.conf.
class Reader {
public:
    explicit Reader(const std::vector<Module*>& modules = {});
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader();

    /// Parses the text as the content of the file.
    bool parse(std::string_view text);

    /// Parses the text as the value of the option -g.
    bool parse_param(std::string_view text);

    /// Returns the messages since the start of the last parse, with paths relative to the
    /// directory.
    [[nodiscard]] std::string said() const;

    TempDir dir{};
    TestLog log{log_debug_all};
    Cycle* cycle;
    Conf cf{};
};

/// During its lifetime configurations may have `test_listen ADDRESS [backlog=N] [deferred]
/// [reuseport];`: listeners whose connections have no handler.
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
