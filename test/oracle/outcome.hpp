#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "test/support/process.hpp"

namespace ngx::test::oracle {

/// One line of a server's output, without the parts that differ: the time, the numbers of process
/// and thread, the program's name, and the directory.
struct Message {
    /// "emerg", "warn", ...; empty if the line is not a log line.
    std::string severity;
    std::string text;

    bool operator==(const Message&) const = default;

    /// Returns the end of the text with the file and line, or an empty text.
    [[nodiscard]] std::string place() const;

    /// Returns the texts in double quotes.
    [[nodiscard]] std::vector<std::string> quoted() const;
};

std::ostream& operator<<(std::ostream& out, const Message& message);

/// A server's exit status and messages for a configuration.
struct Outcome {
    ExitStatus status;
    std::vector<Message> messages;
    std::string out;
};

/// Parses a server's output, without debug lines.
Outcome read_outcome(const RunResult& result, const std::filesystem::path& dir);

/// The degree to which two outcomes agree, in increasing order.
enum class Agreement {
    none,     ///< different exit status, or a server did not exit itself
    verdict,  ///< the same exit status, but different messages
    meaning,  ///< the same severity, place and quoted values, but different words
    full,
};

std::ostream& operator<<(std::ostream& out, Agreement agreement);

Agreement compare(const Outcome& left, const Outcome& right);

}  // namespace ngx::test::oracle
