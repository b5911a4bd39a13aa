/// \file
/// ngxx-inspect: shows the result of reading a configuration, without starting a server.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <boost/program_options.hpp>

#include "auto_build.hpp"
#include "core/module.hpp"
#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

namespace po = boost::program_options;

constexpr std::string_view help_head = R"(usage: ngxx-inspect VIEW [-c FILE] [OPTION]...
       ngxx-inspect diff FILE [FILE] [OPTION]...
       ngxx-inspect --json|--html [-c FILE] [OPTION]...

Reads a configuration and its includes, and shows the result. Opens no other file, binds no socket
and starts no process.

Views:
  modules    the modules to which the directives belong, and how each comes into the program; ngxx's
             module table: index, ctx_index, type, hooks, directives with contexts and arguments
  conf-ctx   the blocks with the directives and structures of modules in each; the content of each
             slot of ngxx's cycle.conf_ctx, and the contexts of blocks
  events     each value that concerns events and where it was set, the event method and the reason
             for the choice, the limits, the number of clients that can be served and what binds
             first; for nginx and for ngxx
  listening  the sockets that the server would listen on
  variables  the variables that the configuration uses, where, and who defines each; those that the
             stream block of ngxx can use
  diff       what changes in effect from the first file to the second: the answers of events and
             listening, other directives, and what is wrong; with a single file and two --for, from
             one program to another
Without a view, --json writes all files as crossplane does: status, errors, config, parsed; --html
writes a page with the answers of the views, the includes, and the text of all files.

The views and --html are for configurations of nginx with any module. What is wrong does not end the
reading; the views list it on standard error, --html in the page, diff only if it changes. Modules,
conf-ctx and variables have a part for ngxx if ngxx can read the whole file. With --for ngxx they,
and --json alone, load the modules and read the configuration as ngxx does. For an invalid one they
print the message of `ngxx -t`.

Exit status: 0; 1 if there is no answer, or with --strict if anything is wrong, for diff if anything
changes; 2 if the command line is invalid.

)";

struct Options {
    Source source{};
    std::string view{};
    std::vector<std::string> files{};     // of diff
    std::vector<std::string> programs{};  // diff can have two
    Machine machine{};
    bool strict = false;
    bool json = false;
    bool html = false;
    bool svg = false;
    bool text = false;
    bool help = false;
};

struct View {
    std::string_view name;
    Json (*json)(const Configuration* configuration, const Reading* reading);
    std::string (*text)(const Json& view);
};

constexpr std::array views = {
    View{"modules", modules_view, modules_text},
    View{"conf-ctx", conf_ctx_view, conf_ctx_text},
    View{"variables", variables_view, variables_text},
};

/// The views without a part that ngxx reads as the server does.
constexpr std::array text_views = {"events", "listening", "diff"};

/// The program of --for that reads a configuration as ngxx's server does.
constexpr std::string_view for_ngxx = "ngxx";

constexpr const char* view_names = "modules, conf-ctx, events, listening, variables or diff";

const View* find_view(std::string_view name)
{
    const auto* const found = std::ranges::find(views, name, &View::name);
    return found == views.end() ? nullptr : found;
}

bool is_text_view(std::string_view name)
{
    return std::ranges::find(text_views, name) != text_views.end();
}

/// The greatest values of --cpus and --nofile. Linux has no more of either.
constexpr std::size_t max_processors = 8192;
constexpr std::size_t max_files = 2'147'483'584;

/// Returns the number that an option has; throws std::runtime_error if it is not from 1 to `max`.
std::size_t number(std::string_view option, const std::string& text, std::size_t max)
{
    std::size_t n = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, n);
    if (parsed.ec != std::errc() || parsed.ptr != end || n == 0 || n > max) {
        throw std::runtime_error(
            fmt::format("--{} is a number from 1 to {}, not \"{}\"", option, max, text));
    }
    return n;
}

po::options_description descriptions(Options& options)
{
    po::options_description all("Options", 100);
    auto add = all.add_options();
    Source& source = options.source;
    add("conf,c",
        po::value(&source.conf_file)->value_name("FILE")->default_value(default_conf_path),
        "the configuration file; a relative path starts at the prefix");
    add("prefix,p", po::value(&source.prefix)->value_name("DIR")->default_value(default_prefix),
        "the prefix");
    add("global,g", po::value(&source.conf_param)->value_name("TEXT"),
        "directives in addition to those of the file");
    add("for", po::value(&options.programs)->value_name("PROGRAM"),
        "the program that the file is for, such as nginx-1.24, nginx-1.24+lua, angie or tengine; "
        "without it the newest nginx with any module; for diff, a second one is that of the second "
        "file; ngxx reads the file as the server does");
    add("cpus",
        po::value<std::string>()->value_name("N")->notifier([&options](const std::string& text) {
            options.machine.processors = number("cpus", text, max_processors);
        }),
        "the processors of the server, for worker_processes auto");
    add("nofile",
        po::value<std::string>()->value_name("N")->notifier([&options](const std::string& text) {
            options.machine.files = number("nofile", text, max_files);
        }),
        "the limit of open files of the server's processes");
    add("strict", po::bool_switch(&options.strict),
        "exit with 1 if anything is wrong, or diff shows a change");
    add("json", po::bool_switch(&options.json), "write JSON; docs/inspect.md has the schema");
    add("html", po::bool_switch(&options.html), "write a page of HTML about the configuration");
    add("svg", po::bool_switch(&options.svg), "draw conf-ctx as a picture, with Graphviz's dot");
    add("text", po::bool_switch(&options.text), "write text (the default)");
    add("help,h", po::bool_switch(&options.help), "print this text");
    return all;
}

bool is_for_ngxx(const Options& options)
{
    return std::ranges::find(options.programs, for_ngxx) != options.programs.end();
}

/// Checks the files and programs of diff, and that the other views have none or one.
void check_files(const Options& options)
{
    const std::size_t files = options.files.size();
    const std::size_t programs = options.programs.size();
    if (options.view != "diff") {
        if (files > 0) {
            throw std::runtime_error(fmt::format(
                "\"{}\" has no meaning here: a file is named by -c", options.files.front()));
        }
        if (programs > 1) {
            throw std::runtime_error("a second --for is for diff");
        }
        return;
    }
    if (files > 2 || programs > 2) {
        throw std::runtime_error("diff takes two files and two --for at most");
    }
    if (files < 2 && (files == 0 || programs < 2)) {
        throw std::runtime_error("diff needs two files, or a file and two --for");
    }
}

void check(const Options& options)
{
    if (options.json + options.html + options.svg + options.text > 1) {
        throw std::runtime_error("--json, --html, --svg and --text exclude one another");
    }
    if (options.html && !options.view.empty()) {
        throw std::runtime_error("--html is for the whole configuration, without a view");
    }
    if (options.view.empty() && !options.json && !options.html) {
        throw std::runtime_error(fmt::format("a view is missing: {}", view_names));
    }
    if (!options.view.empty() && !find_view(options.view) && !is_text_view(options.view)) {
        throw std::runtime_error(
            fmt::format("unknown view \"{}\"; the views are {}", options.view, view_names));
    }
    if (options.svg && options.view != "conf-ctx") {
        throw std::runtime_error("--svg is for conf-ctx");
    }
    if (is_for_ngxx(options) && !find_view(options.view)) {
        throw std::runtime_error("--for ngxx is for modules, conf-ctx and variables");
    }
    check_files(options);
}

Options parse(int argc, char** argv)
{
    Options options;
    po::options_description all = descriptions(options);
    po::options_description with_view = all;
    auto add = with_view.add_options();
    add("view", po::value(&options.view));
    add("files", po::value(&options.files));
    po::positional_options_description words;
    words.add("view", 1).add("files", -1);

    po::variables_map map;
    po::store(po::command_line_parser(argc, argv).options(with_view).positional(words).run(), map);
    po::notify(map);
    if (options.help) {
        fmt::print("{}{}", help_head, fmt::streamed(all));
    } else {
        check(options);
        if (options.view == "diff" && !map["conf"].defaulted()) {
            throw std::runtime_error("diff takes its files without -c");
        }
    }
    return options;
}

/// Pipes a picture to Graphviz's dot, which writes it to standard output as SVG.
int draw(const std::string& dot)
{
    std::fflush(stdout);
    std::FILE* const pipe = ::popen("dot -Tsvg", "w");
    if (!pipe) {
        throw std::runtime_error("dot cannot be started");
    }
    std::fwrite(dot.data(), 1, dot.size(), pipe);
    if (::pclose(pipe) != 0) {
        throw std::runtime_error("dot -Tsvg failed: is Graphviz installed?");
    }
    return 0;
}

/// Returns JSON as text. Bytes that are not UTF-8 become U+FFFD.
std::string dump(const Json& json)
{
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

int show(const Options& options, const Json& json)
{
    if (options.svg) {
        return draw(conf_ctx_dot(json));
    }
    fmt::print("{}", options.json ? dump(json) : find_view(options.view)->text(json));
    return 0;
}

/// Explains why the file was not found if -c is relative: the path starts at the prefix, which is
/// usually not the current directory.
void explain_relative(const Source& source)
{
    namespace fs = std::filesystem;
    const fs::path file = source.conf_file;
    std::error_code error;
    if (file.is_relative() && !fs::exists(source.prefix / file, error)) {
        fmt::print(stderr, "ngxx-inspect: a relative -c starts at the prefix (-p), {}\n",
                   source.prefix);
        if (fs::exists(file, error)) {
            fmt::print(stderr, "ngxx-inspect: for the file in the current directory use -c {}\n",
                       fs::absolute(file).string());
        }
    }
}

Json problems_json(const std::vector<Problem>& problems)
{
    Json list = Json::array();
    for (const Problem& problem : problems) {
        list.push_back(problem_json(problem));
    }
    return list;
}

/// Returns why the view of events has no answer.
std::string_view why_no_events(const Configuration& configuration)
{
    bool has_block = false;
    configuration.walk([&has_block](const Placed& placed) {
        has_block |= placed.context == "main" && placed.directive.is("events") &&
                     placed.directive.is_block();
    });
    return has_block ? "\"worker_connections\" has no valid value"
                     : "the configuration has no events block";
}

/// Returns the program of the first or second file. Without a second one both are for the first.
Program program_of(const Options& options, std::size_t i)
{
    const std::vector<std::string>& programs = options.programs;
    return programs.empty() ? Program() : Program(programs[std::min(i, programs.size() - 1)]);
}

/// Reads the first or second file of diff. Its name is relative to the current directory.
Configuration read_file(const Options& options, std::size_t i)
{
    Source source = options.source;
    source.conf_file =
        std::filesystem::absolute(options.files[std::min(i, options.files.size() - 1)]).string();
    return {source, program_of(options, i)};
}

int run_diff(const Options& options)
{
    const Configuration from = read_file(options, 0);
    const Configuration to = read_file(options, 1);
    for (const Configuration* configuration : {&from, &to}) {
        if (!configuration->was_read()) {
            fmt::print(stderr, "{}\n", configuration->problems().front().message());
            return 1;
        }
    }
    const Json view = diff_view(from, to, options.machine);
    fmt::print("{}", options.json ? dump(view) : diff_text(view));
    return options.strict && !view["changes"].empty() ? 1 : 0;
}

/// Writes the page about a configuration of any nginx.
int run_html(const Options& options)
{
    const Configuration configuration(options.source, program_of(options, 0));
    if (!configuration.was_read()) {
        fmt::print(stderr, "{}\n", configuration.problems().front().message());
        explain_relative(options.source);
        return 1;
    }
    const std::optional<Json> events = events_view(configuration, options.machine);
    fmt::print("{}", html_report(configuration, events));
    return options.strict && !all_problems(configuration, events).empty() ? 1 : 0;
}

/// Shows a view of a configuration of any nginx.
int run_text_view(const Options& options)
{
    const Configuration configuration(options.source, program_of(options, 0));
    const bool events = options.view == "events";
    std::optional<Json> view{};
    if (configuration.was_read()) {
        view = events ? events_view(configuration, options.machine) : listening_view(configuration);
    }
    const std::vector<Problem> problems = all_problems(configuration, view);
    for (const Problem& problem : problems) {
        fmt::print(stderr, "{}\n", problem.message());
    }
    if (!configuration.was_read()) {
        explain_relative(options.source);
        return 1;
    }
    if (!view) {
        if (options.json) {
            fmt::print("{}", dump({{"view", options.view}, {"problems", problems_json(problems)}}));
        }
        fmt::print(stderr, "ngxx-inspect: no answer: {}\n", why_no_events(configuration));
        return 1;
    }
    (*view)["problems"] = problems_json(problems);
    fmt::print("{}", options.json ? dump(*view)
                     : events     ? events_text(*view)
                                  : listening_text(*view));
    return options.strict && !problems.empty() ? 1 : 0;
}

/// Returns why ngxx's own parser is not asked about a configuration; nothing if it is.
std::optional<Problem> not_asked(const Configuration& configuration)
{
    std::optional<Problem> problem;
    configuration.walk([&problem](const Placed& placed) {
        if (placed.context == "main" && placed.directive.is("load_module") && !problem) {
            problem.emplace(Problem{place_of(placed.directive),
                                    "ngxx: no module is loaded here; --for ngxx loads it", ""});
        }
    });
    if (configuration.file() == "-" && !problem) {
        problem.emplace(Problem{Place{}, "ngxx: the standard input can be read once", ""});
    }
    return problem;
}

/// Returns what ngxx refuses, with the column of the directive.
Problem refused_of(const Reading& reading, const Configuration& configuration)
{
    Place place = reading.error_place();
    configuration.walk([&place](const Placed& placed) {
        const Place here = place_of(placed.directive);
        if (place.column == 0 && here.line == place.line && here.file == place.file) {
            place = here;
        }
    });
    const std::string& error = reading.error();
    const bool has_place = place.line != 0;
    return {place, "ngxx: " + (has_place ? error.substr(0, error.rfind(" in ")) : error), ""};
}

Json refused_json(const Problem& problem)
{
    const bool has_place = problem.place.line != 0;
    return {{"text", problem.text}, {"place", has_place ? place_json(problem.place) : Json()}};
}

/// Shows a view of a configuration of any nginx, with the part of ngxx if ngxx can read the whole.
int run_view(const Options& options)
{
    const Configuration configuration(options.source, program_of(options, 0));
    for (const Problem& problem : configuration.problems()) {
        fmt::print(stderr, "{}\n", problem.message());
    }
    if (!configuration.was_read()) {
        explain_relative(options.source);
        return 1;
    }
    std::optional<Reading> reading;
    std::optional<Problem> refused = not_asked(configuration);
    if (!refused) {
        reading.emplace(options.source);
        if (!reading->ok()) {
            refused = refused_of(*reading, configuration);
        }
    }
    Json view = find_view(options.view)->json(&configuration, refused ? nullptr : &*reading);
    view["ngxx_refuses"] = Json::array();
    if (refused) {
        view["ngxx_refuses"].push_back(refused_json(*refused));
    }
    view["problems"] = problems_json(configuration.problems());
    const int status = show(options, view);
    return options.strict && !configuration.problems().empty() ? 1 : status;
}

int run(const Options& options)
{
    if (options.html) {
        return run_html(options);
    }
    if (options.view == "diff") {
        return run_diff(options);
    }
    if (is_text_view(options.view)) {
        return run_text_view(options);
    }
    if (!options.view.empty() && !is_for_ngxx(options)) {
        return run_view(options);
    }
    const Reading reading(options.source, Lookups::of_the_server);
    fmt::print(stderr, "{}", reading.log());
    if (!reading.ok()) {
        explain_relative(options.source);
        if (options.view.empty()) {
            fmt::print("{}", dump(crossplane(reading)));
        }
        return 1;
    }
    if (options.view.empty()) {
        fmt::print("{}", dump(crossplane(reading)));
        return 0;
    }
    return show(options, find_view(options.view)->json(nullptr, &reading));
}

}  // namespace

int main(int argc, char** argv)
{
    try {
        preinit_modules();  // their names
        const Options options = parse(argc, argv);
        return options.help ? 0 : run(options);
    } catch (const std::exception& e) {
        fmt::print(stderr, "ngxx-inspect: {}\n", e.what());
        return 2;
    }
}

}  // namespace ngx::inspect

int main(int argc, char** argv)
{
    return ngx::inspect::main(argc, argv);
}
