#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "test/support/process.hpp"

namespace ngx::test::oracle {

/// One line of a server's report, less what cannot agree: the time, the numbers of process and
/// thread, the program's name, and the directory.
struct Message {
    /// "emerg", "warn", ...; empty for a line that is not a log line.
    std::string severity;
    std::string text;

    bool operator==(const Message&) const = default;

    /// The end of the text that names a file and a line, or nothing.
    [[nodiscard]] std::string place() const;

    /// What stands in double quotes.
    [[nodiscard]] std::vector<std::string> quoted() const;
};

std::ostream& operator<<(std::ostream& out, const Message& message);

/// All that a server had to say about a configuration.
struct Outcome {
    ExitStatus status;
    std::vector<Message> messages;
    std::string out;
};

/// Reads a server's output. Debug lines, which only tell how it went about its work, are left out.
Outcome read_outcome(const RunResult& result, const std::filesystem::path& dir);

/// How far two outcomes agree. Each value is a closer agreement than the one before.
enum class Agreement {
    none,     ///< not even in the exit status, or a server did not exit by itself
    verdict,  ///< in the exit status, but the messages tell different things
    meaning,  ///< in severity, place and quoted values of each message, but not in the words
    full,
};

std::ostream& operator<<(std::ostream& out, Agreement agreement);

Agreement compare(const Outcome& left, const Outcome& right);

}  // namespace ngx::test::oracle
