/// \file
/// ngxx-event-contract: tests the promises of an event module. Each promise has its own process, so
/// that a module that crashes or hangs in one test does not affect the others.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <boost/program_options.hpp>
#include <fmt/format.h>
#include <fmt/ostream.h>

#include "test/event/contract/promise.hpp"
#include "test/event/contract/report.hpp"
#include "test/support/forked.hpp"

namespace ngx::contract {

namespace {

namespace po = boost::program_options;

constexpr int all_kept = 0;
constexpr int some_broken = 1;
constexpr int cannot_try = 2;

constexpr std::string_view help_head =
    R"(usage: ngxx-event-contract [--load-module FILE]... --use NAME [OPTION]...
       ngxx-event-contract --list

Tests each promise of an event module. A promise is kept, broken, or not declared: it is about
something that the module does not declare by its event_flags and actions. For a broken promise
the program prints what was expected and what was seen. A promise that --except names is expected
to be broken, for the given reason; if it is kept, it is reported as broken.

Exit status: 0 if no promise is broken, 1 if some are, 2 if the module cannot be tested.

)";

struct Options {
    Subject subject{};
    std::vector<std::string> chapters{};
    std::vector<std::string> promises{};
    std::vector<std::string> exceptions{};                       // the arguments of the option
    std::map<std::string, std::string, std::less<>> excepted{};  // the reasons, by promise
    std::string format{};
    std::chrono::seconds limit{};
    bool list = false;
    bool help = false;
    bool quiet = false;
};

/// Returns a random seed.
std::uint32_t any_seed()
{
    return std::random_device()();
}

po::options_description descriptions(Options& options, unsigned& patience, unsigned& limit)
{
    po::options_description all("Options", 100);
    auto add = all.add_options();
    add("load-module", po::value(&options.subject.load_modules)->value_name("FILE"),
        "a file to load, as load_module; may be repeated");
    add("use", po::value(&options.subject.use)->value_name("NAME"), "the event module to test");
    add("events", po::value(&options.subject.events)->value_name("TEXT"),
        "directives for the events block");
    add("chapter", po::value(&options.chapters)->value_name("NAME"),
        "only promises of this chapter; may be repeated");
    add("promise", po::value(&options.promises)->value_name("NAME"),
        "only this promise; may be repeated");
    add("except", po::value(&options.exceptions)->value_name("PROMISE=REASON"),
        "this promise is expected to be broken; may be repeated");
    add("seed", po::value(&options.subject.seed)->value_name("N")->default_value(any_seed(), ""),
        "the seed of random tests; by default a new one each time");
    add("in-vain", po::bool_switch(&options.subject.in_vain),
        "a report may be about a state that has passed before the wait");
    add("format", po::value(&options.format)->value_name("FORMAT")->default_value("text"),
        "text, tap or junit");
    add("patience", po::value(&patience)->value_name("MS")->default_value(10'000),
        "how long to wait for an event");
    add("limit", po::value(&limit)->value_name("SECONDS")->default_value(120),
        "how long to test a promise");
    add("quiet,q", po::bool_switch(&options.quiet), "show only broken promises and the totals");
    add("list,l", po::bool_switch(&options.list), "explain each promise in a sentence, and exit");
    add("help,h", po::bool_switch(&options.help), "this text");
    return all;
}

bool is_asked_for(const Options& options, const Chapter& chapter, const Promise& promise)
{
    const auto has = [](const std::vector<std::string>& names, std::string_view name) {
        return names.empty() || std::ranges::find(names, name) != names.end();
    };
    return has(options.chapters, chapter.name) && has(options.promises, promise.name);
}

bool is_promise(std::string_view name)
{
    return std::ranges::any_of(chapters(), [&](const Chapter& chapter) {
        return std::ranges::find(chapter.promises, name, &Promise::name) != chapter.promises.end();
    });
}

/// Rejects unknown names: a misspelt name would try nothing and report success.
void check_promise(const std::string& name)
{
    if (!is_promise(name)) {
        throw std::runtime_error("there is no promise \"" + name + "\": see --list");
    }
}

void check_names(const Options& options)
{
    for (const std::string& name : options.chapters) {
        if (std::ranges::find(chapters(), name, &Chapter::name) == chapters().end()) {
            throw std::runtime_error("there is no chapter \"" + name + "\": see --list");
        }
    }
    std::ranges::for_each(options.promises, check_promise);
}

void read_exceptions(Options& options)
{
    for (const std::string& text : options.exceptions) {
        const std::size_t equals = text.find('=');
        if (equals == text.npos || equals + 1 == text.size()) {
            throw std::runtime_error("--except \"" + text + "\" gives no reason");
        }
        const std::string name = text.substr(0, equals);
        check_promise(name);
        options.excepted[name] = text.substr(equals + 1);
    }
}

Options parse(int argc, char** argv)
{
    Options options;
    unsigned patience = 0;
    unsigned limit = 0;
    const po::options_description all = descriptions(options, patience, limit);

    // Rejects words that belong to no option.
    const po::positional_options_description no_words;
    po::variables_map map;
    po::store(po::command_line_parser(argc, argv).options(all).positional(no_words).run(), map);
    po::notify(map);

    if (options.help) {
        fmt::print("{}{}", help_head, fmt::streamed(all));
    } else if (!options.list && options.subject.use.empty()) {
        throw std::runtime_error("--use NAME is missing");
    }
    check_names(options);
    read_exceptions(options);

    options.subject.patience = std::chrono::milliseconds(patience);
    options.limit = std::chrono::seconds(limit);
    for (std::string& file : options.subject.load_modules) {
        file = std::filesystem::absolute(file);
    }
    return options;
}

int list(const Options& options)
{
    std::size_t n = 0;
    for (const Chapter& chapter : chapters()) {
        bool headed = false;
        for (const Promise& promise : chapter.promises) {
            if (!is_asked_for(options, chapter, promise)) {
                continue;
            }
            n++;
            if (!std::exchange(headed, true)) {
                fmt::print("{}\n", chapter.name);
            }
            fmt::print("  {}\n      {}\n", promise.name, promise.explanation);
            if (promise.needs != 0) {
                fmt::print("      Needs {}.\n", capability_names(promise.needs));
            }
        }
    }
    fmt::print("{} promises\n", n);
    return all_kept;
}

/// Formats a verdict for the parent process: the outcome's number, then a line for each finding and
/// note.
std::string to_text(const Verdict& verdict)
{
    std::string text = std::to_string(static_cast<int>(verdict.outcome()));
    for (const auto* lines : {&verdict.findings(), &verdict.notes()}) {
        for (std::string line : *lines) {
            std::ranges::replace(line, '\n', ' ');
            text += '\n' + line;
        }
    }
    return text;
}

std::vector<std::string> lines_of(std::string_view text)
{
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        lines.emplace_back(line);
        text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
    return lines;
}

Status status_of(Outcome outcome)
{
    switch (outcome) {
    case Outcome::kept:
        return Status::kept;
    case Outcome::not_declared:
        return Status::not_declared;
    default:
        return Status::broken;
    }
}

/// Returns what is wrong with the end of a child; empty if it ended normally.
std::string bad_end(const test::Forked& child, const Options& options)
{
    if (child.timed_out) {
        return fmt::format("expected: the process exits with status 0; seen: it runs after {} s",
                           options.limit.count());
    }
    if (WIFSIGNALED(child.status)) {
        const int signo = WTERMSIG(child.status);
        return fmt::format("expected: the process exits with status 0; seen: signal {} ({})", signo,
                           ::strsignal(signo));
    }
    if (!child.exited_with(0)) {
        return fmt::format("expected: the process exits with status 0; seen: exit status {}: {}",
                           WEXITSTATUS(child.status), child.text);
    }
    return {};
}

void try_in_child(const Promise& promise, const Options& options, Row& row)
{
    const auto begin = std::chrono::steady_clock::now();
    const test::Forked child = test::in_child(
        [&](int fd) { test::say(fd, to_text(run(promise, options.subject))); }, options.limit);
    row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

    if (const std::string bad = bad_end(child, options); !bad.empty()) {
        row.lines = {bad};
        return;
    }
    row.lines = lines_of(child.text);
    row.status = status_of(static_cast<Outcome>(std::stoi(row.lines.at(0))));
    row.lines.erase(row.lines.begin());
}

/// Applies an exception: a promise with an exception must be broken. If it is kept, the exception
/// is no longer needed.
void judge_exception(const Options& options, Row& row)
{
    const auto found = options.excepted.find(row.promise);
    if (found == options.excepted.end()) {
        return;
    }
    if (row.status == Status::broken) {
        row.status = Status::excepted;
        row.reason = found->second;
    } else if (row.status == Status::kept) {
        row.status = Status::broken;
        row.lines = {fmt::format("expected: broken, because {}; seen: kept; remove the --except",
                                 found->second)};
    }
}

/// Checks that the module can start. In a child, because the module may end its process if it
/// cannot.
void check_module(const Options& options)
{
    const test::Forked child =
        test::in_child([&](int) { (void)declared(options.subject); }, options.limit);
    if (child.exited_with(0)) {
        return;
    }
    throw std::runtime_error(fmt::format(
        "\"{}\" cannot be tested: {}", options.subject.use,
        child.text.empty() ? "the process that starts it fails without a message" : child.text));
}

/// Calls `function(chapter, promise)` for each selected promise.
template <typename Function>
void for_promises(const Options& options, Function function)
{
    for (const Chapter& chapter : chapters()) {
        for (const Promise& promise : chapter.promises) {
            if (is_asked_for(options, chapter, promise)) {
                function(chapter, promise);
            }
        }
    }
}

int try_all(const Options& options)
{
    Trial trial{.use = options.subject.use, .seed = options.subject.seed, .quiet = options.quiet};
    for_promises(options, [&](const Chapter&, const Promise&) { trial.promises++; });
    const std::unique_ptr<Report> report = make_report(options.format, trial);
    check_module(options);

    bool all = true;
    for_promises(options, [&](const Chapter& chapter, const Promise& promise) {
        Row row{.chapter = chapter.name, .promise = promise.name};
        try_in_child(promise, options, row);
        judge_exception(options, row);
        all = all && row.status != Status::broken;
        report->add(row);
    });
    report->end();
    return all ? all_kept : some_broken;
}

int main(int argc, char** argv)
{
    try {
        const Options options = parse(argc, argv);
        if (options.help) {
            return all_kept;
        }
        return options.list ? list(options) : try_all(options);
    } catch (const std::exception& e) {
        fmt::print(stderr, "ngxx-event-contract: {}\n", e.what());
        return cannot_try;
    }
}

}  // namespace

}  // namespace ngx::contract

int main(int argc, char** argv)
{
    return ngx::contract::main(argc, argv);
}
