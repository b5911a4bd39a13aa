#pragma once

/// \file
/// A case is a small configuration that both servers test. Most cases are in the files of cases/;
/// the others are generated from a table of directives.
///
/// A file of cases starts with a description, up to the first header line:
///
///     === name | options
///     the text of nginx.conf, up to the next header line, without a blank line before that
///     --- path
///     the text of another file; the path is relative to the configuration's directory
///
/// The options are separated by blanks; a value with blanks is in '...':
///
///     in CONTEXT   the text is inserted into a block: see in_context()
///     each         each line of the text is a separate case with the name "name: line"
///     own-pid      the configuration sets pid, so the command line must not
///     debug        needs a server with debug logging
///     -g TEXT      directives for the command line
///     -q, -T       passed to the server
///     args TEXT    the whole command line, without added directives
///
/// These words are replaced in every text: %DIR% by the directory, %PORT% and %PORT+N% by a free
/// port and the Nth port after it, %CR% %TAB% %VT% %FF% %NUL% %BOM% by invisible bytes, %X100% by a
/// hundred x. %END% ends the file at that place, without a line feed.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ngx::test::oracle {

struct Case {
    std::string name;
    /// "file:line" of a written case; empty for a generated case.
    std::string place;
    /// The texts by path; the server reads "nginx.conf".
    std::map<std::string, std::string> files;
    /// The directives after the suite's own in -g.
    std::string directives;
    std::vector<std::string> flags;
    /// If not empty: the complete command line of the server.
    std::vector<std::string> arguments;
    bool own_pid = false;
    bool needs_debug = false;
};

/// Returns the text in a context: "file" (nothing is added), "main" (an empty events block is
/// added), "events", "stream", "server", "listen" (a server without a listen directive), "return"
/// (a server without a return directive) or "full" (a complete server).
std::string in_context(std::string_view context, const std::string& text);

/// Returns the text with its %...% words replaced.
std::string expand(std::string_view text, const std::filesystem::path& dir, std::uint16_t port);

/// Returns the cases of all .txt files in the directory. Throws if one is invalid.
std::vector<Case> written_cases(const std::filesystem::path& directory);

/// Returns the cases from the table of directives: wrong places, wrong numbers of arguments,
/// duplicates, wrong terminators, and valid and invalid values of each kind.
std::vector<Case> generated_cases();

}  // namespace ngx::test::oracle
