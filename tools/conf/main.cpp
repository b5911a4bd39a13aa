/// \file
/// ngxx-conf: reads, writes and changes configurations of nginx as texts.

#include <algorithm>
#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <stdexcept>
#include <string>
#include <string_view>

#include <boost/make_shared.hpp>
#include <boost/program_options.hpp>

#include "auto/auto_build.hpp"
#include "tools/conf/commands.hpp"

namespace ngx::conf {

namespace {

namespace po = boost::program_options;

constexpr std::string_view help_head = R"(usage: ngxx-conf COMMAND [OPTION]... FILE
       ngxx-conf set PATH VALUE [OPTION]... FILE

Reads an nginx.conf of any version and with any modules, and writes it in another form. Opens the
files of the configuration and nothing else. The FILE "-" is the standard input.

Commands:
  parse   writes the directives of a file and its includes as JSON, as crossplane does
  build   writes the files that such JSON describes
  format  writes a file with one indent a level; words, comments and empty lines remain
  minify  writes a file without comments and unnecessary blanks
  lex     writes the words of a file as JSON
  set     replaces the words of one directive, and no other byte of the file

A PATH names the blocks and the directive: http.server.listen. For one of several, name[2] is the
second, and name(WORDS) the one with these words: http.server[2].location(/api).proxy_pass. A name
with a dot is written in quotes: types."text/x.y".

Exit status: 0; 1 if the configuration has errors, which are listed on standard error, or cannot be
changed as asked; 2 if the command line is invalid, or the FILE cannot be read, or a file cannot be
written.

)";

struct Command {
    std::string_view name;
    int (*run)(const CommandOptions& options);
};

constexpr std::array commands = {
    Command{"parse", parse_command},   Command{"build", build_command},
    Command{"format", format_command}, Command{"minify", minify_command},
    Command{"lex", lex_command},       Command{"set", set_command},
};

constexpr int most_indent = 16;

/// The words of the command line that are not in CommandOptions.
struct Words {
    std::string command{};
    std::string escapes = "crossplane";
    std::string ignore{};
    std::string prefix{};
    int indent = 0;
    bool help = false;
    bool version = false;
};

/// Adds options for the commands in a list, or all options for an empty command.
class Adder {
public:
    Adder(po::options_description& to, std::string_view command) : to_(to), command_(command) {}

    /// Owns `value`, also if the command does not have the option.
    void operator()(std::string_view list, const char* option, const po::value_semantic* value,
                    const char* text)
    {
        const auto described = boost::make_shared<po::option_description>(option, value, text);
        if (command_.empty() || list.empty() || list.find(command_) != list.npos) {
            to_.add(described);
        }
    }

private:
    po::options_description& to_;
    std::string_view command_;
};

void describe(po::options_description& all, std::string_view command, CommandOptions& options,
              Words& words)
{
    Adder add(all, command);
    add("parse lex format minify set", "out,o", po::value(&options.out)->value_name("FILE"),
        "write to FILE; set writes to the file itself without it");
    add("parse lex build format", "indent,i", po::value(&words.indent)->value_name("N"),
        "indent by N spaces, at most 16; JSON is in one line without it");
    add("build format", "tabs,t", po::bool_switch(&options.tabs), "indent by tabs");
    add("parse lex build", "escapes", po::value(&words.escapes)->value_name("RULE"),
        "words in JSON are written as by crossplane, with backslashes, or as nginx decodes them");
    add("parse", "combine", po::bool_switch(&options.combine),
        "write the directives of included files in place of the includes");
    add("parse", "single-file", po::bool_switch(&options.single), "do not read included files");
    add("parse", "include-comments", po::bool_switch(&options.comments), "write comments, too");
    add("parse", "lossless", po::bool_switch(&options.lossless),
        "write comments and all bytes, so that build writes the same files");
    add("parse", "ignore", po::value(&words.ignore)->value_name("NAMES"),
        "leave these directives out; commas separate the names");
    add("parse", "check-ctx", po::bool_switch(&options.check_ctx),
        "refuse directives in wrong blocks; crossplane does so by default");
    add("parse", "check-args", po::bool_switch(&options.check_args),
        "refuse wrong numbers of arguments, and flags that are not on or off; crossplane does so "
        "by default");
    add("parse", "strict", po::bool_switch(&options.strict),
        "refuse unknown directives, as crossplane's option; it adds no other check");
    add("parse", "columns", po::bool_switch(&options.columns),
        "write columns, and for errors what to change");
    add("parse", "no-catch", po::bool_switch(&options.no_catch),
        "write the first error only, and no JSON if there is one");
    add("parse", "prefix,p", po::value(&words.prefix)->value_name("DIR"),
        "where relative includes start; by default in the folder of FILE");
    add("lex", "line-numbers,n", po::bool_switch(&options.line_numbers), "write lines, too");
    add("build", "dir,d", po::value(&options.directory)->value_name("DIR"),
        "where relative names of files start");
    add("build", "force,f", po::bool_switch(&options.force), "overwrite files");
    add("build", "no-headers", po::bool_switch(&options.no_headers),
        "do not write a comment at the beginning of a file");
    add("build", "stdout", po::bool_switch(&options.to_stdout), "write to the standard output");
    add("build", "verbose,v", po::bool_switch(&options.verbose), "name the files");
    add("set", "add", po::bool_switch(&options.add), "add the directive if its block has none");
    add("", "help,h", po::bool_switch(&words.help), "print this text, or that of a command");
    add("", "version", po::bool_switch(&words.version), "print the version");
}

const Command* find_command(std::string_view name)
{
    const auto* const found = std::ranges::find(commands, name, &Command::name);
    return found == commands.end() ? nullptr : found;
}

/// Prints the whole text, or the line and the options of a command.
void print_help(std::string_view command = "")
{
    CommandOptions options;
    Words words;
    po::options_description all("Options", 100);
    describe(all, command, options, words);
    if (command.empty()) {
        fmt::print("{}{}", help_head, fmt::streamed(all));
        return;
    }
    std::string_view line = help_head.substr(help_head.find(fmt::format("\n  {} ", command)) + 3);
    line = line.substr(0, line.find('\n'));
    line.remove_prefix(std::min(line.find_first_not_of(' ', command.size()), line.size()));
    fmt::print("usage: ngxx-conf {}{} [OPTION]... FILE\n\n{}\n\n{}", command,
               command == "set" ? " PATH VALUE" : "", line, fmt::streamed(all));
}

void print_version()
{
    fmt::print("ngxx-conf {}\n", server_version);
}

void take_words(CommandOptions& options, const Words& words, const po::variables_map& map)
{
    if (map.count("indent") != 0) {
        if (words.indent < 0 || words.indent > most_indent) {
            throw std::runtime_error(fmt::format("--indent is 0 to {}", most_indent));
        }
        options.indent = static_cast<std::size_t>(words.indent);
    }
    if (map.count("prefix") != 0) {
        options.prefix = words.prefix;
    }
    if (words.escapes != "crossplane" && words.escapes != "nginx") {
        throw std::runtime_error("--escapes is crossplane or nginx");
    }
    if (options.lossless && options.combine) {
        throw std::runtime_error("--lossless keeps the files apart: --combine is not for it");
    }
    if (options.lossless && (options.strict || options.check_ctx || options.check_args)) {
        throw std::runtime_error("--lossless keeps all directives: the checks are not for it");
    }
    options.comments = options.comments || options.lossless;
    options.escapes = words.escapes == "nginx" ? Escapes::nginx : Escapes::crossplane;
    for (std::string_view rest = words.ignore; !rest.empty();) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        options.ignore.emplace_back(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
}

int run(int argc, char** argv)
{
    const std::string_view name = argc > 1 ? argv[1] : "";
    if (name == "--help" || name == "-h") {
        print_help();
        return 0;
    }
    if (name == "--version") {
        print_version();
        return 0;
    }
    const Command* const command = find_command(name);
    if (!command) {
        throw std::runtime_error(name.empty()
                                     ? "a command is missing: see --help"
                                     : fmt::format("unknown command \"{}\": see --help", name));
    }

    CommandOptions options;
    Words words;
    po::options_description all;
    describe(all, name, options, words);
    all.add_options()("file", po::value(&options.file))("path", po::value(&options.path))(
        "value", po::value(&options.value));
    po::positional_options_description places;
    if (name == "set") {
        places.add("path", 1).add("value", 1);
    }
    places.add("file", 1);

    po::variables_map map;
    po::store(po::command_line_parser(argc - 1, argv + 1).options(all).positional(places).run(),
              map);
    po::notify(map);
    if (words.version) {
        print_version();
        return 0;
    }
    if (words.help) {
        print_help(name);
        return 0;
    }
    if (map.count("file") == 0) {
        throw std::runtime_error("the name of a file is missing");
    }
    take_words(options, words, map);
    return command->run(options);
}

}  // namespace

int main(int argc, char** argv)
{
    try {
        return run(argc, argv);
    } catch (const std::length_error& e) {
        fmt::print(stderr, "ngxx-conf: {}\n", e.what());
        return 1;
    } catch (const Refused& e) {
        fmt::print(stderr, "ngxx-conf: {}\n", e.what());
        return 1;
    } catch (const std::exception& e) {
        fmt::print(stderr, "ngxx-conf: {}\n", e.what());
        return 2;
    }
}

}  // namespace ngx::conf

int main(int argc, char** argv)
{
    return ngx::conf::main(argc, argv);
}
