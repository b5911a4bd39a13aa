#pragma once

/// \file
/// A case is a small configuration that both servers are asked about. Most are written down in
/// the files of cases/, the others are generated from a table of directives.
///
/// A file of cases starts with words about its topic, up to the first header line:
///
///     === name | options
///     the text of nginx.conf, up to the next header line; one blank line before that is not part
///     --- path
///     the text of another file, its path relative to the configuration's directory
///
/// Options, separated by blanks, a value with blanks in '...':
///
///     in CONTEXT   the text is set into a block: see in_context()
///     each         every line of the text is a case of its own, named "name: line"
///     own-pid      the configuration sets pid itself, the command line must not
///     debug        needs a server built with debug logging
///     -g TEXT      directives for the command line
///     -q, -T       passed on to the server
///     args TEXT    the whole command line, no directives added
///
/// In every text these stand for something else: %DIR% for the directory, %PORT% and %PORT+N% for
/// a free port and the Nth after it, %CR% %TAB% %VT% %FF% %NUL% %BOM% for bytes that do not show,
/// %X100% for a hundred x. %END% ends the file right there, without a line feed.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ngx::test::oracle {

struct Case {
    std::string name;
    /// "file:line" of a written case; empty for a generated one.
    std::string place;
    /// Texts by path; "nginx.conf" is the one the server is given.
    std::map<std::string, std::string> files;
    /// What follows our own directives in -g.
    std::string directives;
    std::vector<std::string> flags;
    /// When there are any: all that the server is given.
    std::vector<std::string> arguments;
    bool own_pid = false;
    bool needs_debug = false;
};

/// The text set into a context: "file" (nothing around it), "main" (beside an empty events block),
/// "events", "stream", "server", "listen" (a server that lacks nothing else), "return" (likewise)
/// or "full" (a server that lacks nothing).
std::string in_context(std::string_view context, const std::string& text);

/// The text with its %...% words replaced.
std::string expand(std::string_view text, const std::filesystem::path& dir, std::uint16_t port);

/// The cases of every .txt file in the directory. Throws when one does not read.
std::vector<Case> written_cases(const std::filesystem::path& directory);

/// The cases made from the table of directives: wrong places, wrong numbers of arguments,
/// duplicates, wrong terminators, and the values that each kind of value takes or refuses.
std::vector<Case> generated_cases();

}  // namespace ngx::test::oracle
