#include "test/oracle/outcome.hpp"

#include <algorithm>
#include <ostream>
#include <regex>
#include <sstream>
#include <tuple>

#include <fmt/format.h>

namespace ngx::test::oracle {

namespace {

std::string replace_all(std::string text, const std::string& from, const std::string& to)
{
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
        text.replace(at, from.size(), to);
        at += to.size();
    }
    return text;
}

/// Removes ngxx's additions to a message: a suggestion or a list of names for an unknown name, and
/// how to set another file for one that cannot be opened.
std::string without_hint(const std::string& text)
{
    static const std::regex hint(
        R"( \((did you mean|nginx has it|there are|set another by)[^()]*\))");
    return std::regex_replace(text, hint, "");
}

/// Escapes control characters as ngxx does; nginx writes them unchanged.
std::string escaped(const std::string& text)
{
    std::string result;
    for (const char ch : text) {
        const auto code = static_cast<unsigned char>(ch);
        result += code < 0x20 || code == 0x7f ? fmt::format("\\x{:02X}", code) : std::string{ch};
    }
    return result;
}

Message read_message(const std::string& full_line)
{
    const std::string line = escaped(without_hint(full_line));
    static const std::regex log_line(R"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\] \d+#\d+: ([^]*))");
    static const std::regex own_line(R"((?:nginx|ngxx): (?:\[(\w+)\] )?([^]*))");

    std::smatch match;
    if (std::regex_match(line, match, log_line)) {
        return {match[1], match[2]};
    }
    if (std::regex_match(line, match, own_line)) {
        return {match[1], "NAME: " + match[2].str()};
    }
    return {"", line};
}

bool same_meaning(const Message& left, const Message& right)
{
    return left.severity == right.severity && left.place() == right.place() &&
           left.quoted() == right.quoted();
}

}  // namespace

std::string Message::place() const
{
    static const std::regex file_and_line(R"(in (\S+:\d+|command line)$)");
    std::smatch match;
    return std::regex_search(text, match, file_and_line) ? match[1].str() : "";
}

std::vector<std::string> Message::quoted() const
{
    std::vector<std::string> values;
    std::size_t open = text.find('"');
    while (open != std::string::npos) {
        const std::size_t close = text.find('"', open + 1);
        values.push_back(text.substr(open + 1, close - open - 1));
        open = close == std::string::npos ? close : text.find('"', close + 1);
    }
    return values;
}

std::ostream& operator<<(std::ostream& out, const Message& message)
{
    if (!message.severity.empty()) {
        out << '[' << message.severity << "] ";
    }
    return out << message.text;
}

Outcome read_outcome(const RunResult& result, const std::filesystem::path& dir)
{
    Outcome outcome{result.status, {}, replace_all(result.out, dir, "DIR")};
    std::istringstream lines(replace_all(result.err, dir, "DIR"));
    for (std::string line; std::getline(lines, line);) {
        Message message = read_message(line);
        const bool goes_on = message.severity.empty() && !message.text.starts_with("NAME: ");
        if (goes_on && !outcome.messages.empty()) {
            outcome.messages.back().text += escaped("\n") + message.text;
        } else if (message.severity != "debug") {
            outcome.messages.push_back(std::move(message));
        }
    }
    return outcome;
}

std::ostream& operator<<(std::ostream& out, Agreement agreement)
{
    switch (agreement) {
    case Agreement::none:
        return out << "none";
    case Agreement::verdict:
        return out << "the verdict only";
    case Agreement::meaning:
        return out << "all but the words";
    case Agreement::full:
        break;
    }
    return out << "full";
}

Agreement compare(const Outcome& left, const Outcome& right)
{
    if (left.status != right.status || !left.status.code) {
        return Agreement::none;
    }
    if (left.messages == right.messages && left.out == right.out) {
        return Agreement::full;
    }
    return std::ranges::equal(left.messages, right.messages, same_meaning) ? Agreement::meaning
                                                                           : Agreement::verdict;
}

}  // namespace ngx::test::oracle
