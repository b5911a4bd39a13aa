/// \file
/// ngxx-trace: runs the server and writes what its loop does, turn by turn.

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <boost/program_options.hpp>

#include "core/nginx.hpp"
#include "tools/trace/trace_module.hpp"

namespace ngx::trace {

namespace {

namespace po = boost::program_options;

constexpr std::string_view help_head = R"(usage: ngxx-trace [-c FILE] [OPTION]...

Runs the server and writes what its loop does: the turns and their phases, each timeout and its
reason, the events and their handlers, the timers, the accept mutex. docs/trace.md explains an
example line by line.

The server stays in the foreground ("daemon off") and is one process ("master_process off"),
regardless of the configuration. With --workers it has a master, and each worker is traced; the
accept mutex is used only with two workers or more.

In a build with -Dwith_debug=true the trace also has the lines of the debug log, except those
of the event subsystem.

SIGINT, SIGTERM and SIGQUIT stop the server as usual; the trace is then complete.

Exit status: the server's; 2 if the command line is invalid.

)";

struct Options {
    Settings settings{};
    std::vector<std::string> server{};  // the command line of the server
    bool help = false;
};

po::options_description descriptions(Options& options)
{
    po::options_description all("Options", 100);
    auto add = all.add_options();
    Settings& settings = options.settings;
    const auto word = [](const char* name) { return po::value<std::string>()->value_name(name); };
    add("conf,c", word("FILE"), "the configuration, as the server's -c");
    add("prefix,p", word("DIR"), "the prefix, as the server's -p");
    add("error-log,e", word("FILE"), "the error log during startup, as the server's -e");
    add("global,g", word("TEXT"),
        "directives in addition to those of the file, as the server's -g");
    add("output,o", po::value(&settings.json_file)->value_name("FILE"),
        "write the trace to a file as Chrome's JSON, which Perfetto opens");
    add("turns", po::value(&settings.turns)->value_name("N"),
        "stop the server when the first worker has made N turns");
    add("workers", po::bool_switch(&settings.workers), "run a master and trace each worker");
    add("quiet,q", "write no text to standard output");
    add("help,h", po::bool_switch(&options.help), "print this text");
    return all;
}

Options parse(int argc, char** argv)
{
    Options options;
    const po::options_description all = descriptions(options);
    po::variables_map map;
    const po::positional_options_description no_words;
    po::store(po::command_line_parser(argc, argv).options(all).positional(no_words).run(), map);
    po::notify(map);

    constexpr std::pair<const char*, const char*> passed[] = {
        {"conf", "-c"}, {"prefix", "-p"}, {"error-log", "-e"}, {"global", "-g"}};
    options.server = {argv[0]};
    for (const auto& [name, letter] : passed) {
        if (map.count(name) != 0) {
            options.server.insert(options.server.end(), {letter, map[name].as<std::string>()});
        }
    }
    options.settings.text = map.count("quiet") == 0;
    if (map.count("turns") != 0 && options.settings.turns == 0) {
        throw std::runtime_error("--turns must be at least 1");
    }
    if (options.help) {
        fmt::print("{}{}", help_head, fmt::streamed(all));
    }
    return options;
}

int run(Options& options)
{
    start(options.settings);
    std::vector<char*> words;
    for (std::string& word : options.server) {
        words.push_back(word.data());
    }
    words.push_back(nullptr);
    return ngx::main(static_cast<int>(words.size()) - 1, words.data());
}

}  // namespace

int main(int argc, char** argv)
{
    try {
        Options options = parse(argc, argv);
        return options.help ? 0 : run(options);
    } catch (const std::exception& e) {
        fmt::print(stderr, "ngxx-trace: {}\n", e.what());
        return 2;
    }
}

}  // namespace ngx::trace

int main(int argc, char** argv)
{
    return ngx::trace::main(argc, argv);
}
