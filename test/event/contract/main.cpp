/// \file
/// ngxx-event-contract: tries what an event module promises, from outside. Each promise is tried in
/// a process of its own, so that a module that crashes or hangs in one says nothing of the others.

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <boost/program_options.hpp>
#include <fmt/format.h>
#include <fmt/ostream.h>

#include "test/event/contract/promise.hpp"
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

Tries each promise of an event module: it is kept, broken, or about something that the module
does not declare by its event_flags and actions. Of a broken one it says what was expected and
what was seen.

Exit status: 0 if none is broken, 1 if some are, 2 if the module cannot be tried.

)";

struct Options {
    Subject subject{};
    std::vector<std::string> chapters{};
    std::vector<std::string> promises{};
    std::chrono::seconds limit{};
    bool list = false;
    bool help = false;
    bool quiet = false;
};

po::options_description descriptions(Options& options, unsigned& patience, unsigned& limit)
{
    po::options_description all("Options", 100);
    auto add = all.add_options();
    add("load-module", po::value(&options.subject.load_modules)->value_name("FILE"),
        "a file to load, as load_module; may be repeated");
    add("use", po::value(&options.subject.use)->value_name("NAME"), "the event module to try");
    add("chapter", po::value(&options.chapters)->value_name("NAME"),
        "only promises of this chapter; may be repeated");
    add("promise", po::value(&options.promises)->value_name("NAME"),
        "only this promise; may be repeated");
    add("patience", po::value(&patience)->value_name("MS")->default_value(4000),
        "how long to wait for an event that is to come");
    add("limit", po::value(&limit)->value_name("SECONDS")->default_value(60),
        "how long a promise may take before it is given up");
    add("quiet,q", po::bool_switch(&options.quiet), "show what is broken, and the sum");
    add("list,l", po::bool_switch(&options.list), "explain each promise in a sentence, and end");
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

/// A misspelt name would try nothing, and nothing would be broken.
void check_names(const Options& options)
{
    for (const std::string& name : options.chapters) {
        if (std::ranges::find(chapters(), name, &Chapter::name) == chapters().end()) {
            throw std::runtime_error("there is no chapter \"" + name + "\": see --list");
        }
    }
    for (const std::string& name : options.promises) {
        if (std::ranges::none_of(chapters(), [&](const Chapter& chapter) {
                return std::ranges::find(chapter.promises, name, &Promise::name) !=
                       chapter.promises.end();
            })) {
            throw std::runtime_error("there is no promise \"" + name + "\": see --list");
        }
    }
}

Options parse(int argc, char** argv)
{
    Options options;
    unsigned patience = 0;
    unsigned limit = 0;
    const po::options_description all = descriptions(options, patience, limit);

    // A word that belongs to no option is an error.
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
                fmt::print("      Of modules that declare {}.\n", capability_names(promise.needs));
            }
        }
    }
    fmt::print("{} promises\n", n);
    return all_kept;
}

/// What a child says of its trial: the outcome's number, then a line for each finding or note.
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

struct Result {
    Outcome outcome = Outcome::broken;
    std::string lines{};
};

Result broken(std::string line)
{
    return {Outcome::broken, std::move(line)};
}

Result try_in_child(const Promise& promise, const Options& options)
{
    const test::Forked child = test::in_child(
        [&](int fd) { test::say(fd, to_text(run(promise, options.subject))); }, options.limit);

    if (child.timed_out) {
        return broken(
            fmt::format("expected: an end; seen: none after {} s", options.limit.count()));
    }
    if (WIFSIGNALED(child.status)) {
        const int signo = WTERMSIG(child.status);
        return broken(
            fmt::format("expected: an end; seen: signal {} ({})", signo, ::strsignal(signo)));
    }
    if (!child.exited_with(0)) {
        return broken(fmt::format("expected: an end; seen: exit status {}: {}",
                                  WEXITSTATUS(child.status), child.text));
    }
    const std::size_t end = std::min(child.text.find('\n'), child.text.size());
    return {static_cast<Outcome>(std::stoi(child.text.substr(0, end))),
            child.text.substr(std::min(end + 1, child.text.size()))};
}

constexpr std::array<std::string_view, 3> outcome_names = {"kept", "broken", "not declared"};

void show(const Promise& promise, const Result& result)
{
    const auto outcome = static_cast<std::size_t>(result.outcome);
    fmt::print("  {:<13} {}\n", outcome_names[outcome], promise.name);
    std::string_view rest = result.lines;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        fmt::print("                  {}\n", line);
    }
    std::fflush(stdout);
}

/// In a child, too: a module may end the process that it cannot start in.
void check_module(const Options& options)
{
    const test::Forked child =
        test::in_child([&](int) { (void)declared(options.subject); }, options.limit);
    if (child.exited_with(0)) {
        return;
    }
    throw std::runtime_error(fmt::format(
        "\"{}\" cannot be tried: {}", options.subject.use,
        child.text.empty() ? "the process that starts it comes to no good end" : child.text));
}

int try_all(const Options& options)
{
    check_module(options);

    std::array<std::size_t, outcome_names.size()> counts{};
    for (const Chapter& chapter : chapters()) {
        bool headed = false;
        for (const Promise& promise : chapter.promises) {
            if (!is_asked_for(options, chapter, promise)) {
                continue;
            }
            const Result result = try_in_child(promise, options);
            counts[static_cast<std::size_t>(result.outcome)]++;
            if (options.quiet && result.outcome != Outcome::broken) {
                continue;
            }
            if (!std::exchange(headed, true)) {
                fmt::print("{}\n", chapter.name);
            }
            show(promise, result);
        }
    }
    fmt::print("{}: {} promises kept, {} broken, {} not declared\n", options.subject.use, counts[0],
               counts[1], counts[2]);
    return counts[1] == 0 ? all_kept : some_broken;
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
