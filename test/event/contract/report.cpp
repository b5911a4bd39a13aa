#include "test/event/contract/report.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "core/string.hpp"

namespace ngx::contract {

namespace {

constexpr std::array<std::string_view, statuses> status_names = {"kept", "broken", "not declared",
                                                                 "excepted"};

std::string_view name_of(Status status)
{
    return status_names[static_cast<std::size_t>(status)];
}

class Counts {
public:
    void add(Status status) { counts_[static_cast<std::size_t>(status)]++; }
    [[nodiscard]] std::size_t of(Status status) const
    {
        return counts_[static_cast<std::size_t>(status)];
    }

private:
    std::array<std::size_t, statuses> counts_{};
};

/// Text for people.
class TextReport : public Report {
public:
    explicit TextReport(Trial trial) : trial_(std::move(trial)) {}

    void add(const Row& row) override
    {
        counts_.add(row.status);
        if (trial_.quiet && row.status != Status::broken) {
            return;
        }
        if (std::exchange(chapter_, row.chapter) != row.chapter) {
            fmt::print("{}\n", row.chapter);
        }
        fmt::print("  {:<13} {}\n", name_of(row.status), row.promise);
        if (!row.reason.empty()) {
            fmt::print("                  because {}\n", row.reason);
        }
        for (const std::string& line : row.lines) {
            fmt::print("                  {}\n", line);
        }
        std::fflush(stdout);
    }

    void end() override
    {
        fmt::print("{}: {} promises kept, {} broken, {} not declared", trial_.use,
                   counts_.of(Status::kept), counts_.of(Status::broken),
                   counts_.of(Status::not_declared));
        if (const std::size_t excepted = counts_.of(Status::excepted); excepted != 0) {
            fmt::print(", {} excepted", excepted);
        }
        fmt::print("; seed {}\n", trial_.seed);
    }

private:
    Trial trial_;
    Counts counts_{};
    std::string_view chapter_{};
};

/// The Test Anything Protocol, version 13.
class TapReport : public Report {
public:
    explicit TapReport(const Trial& trial)
    {
        fmt::print("TAP version 13\n1..{}\n# {}, seed {}\n", trial.promises, trial.use, trial.seed);
    }

    void add(const Row& row) override
    {
        const bool good = row.status == Status::kept || row.status == Status::not_declared;
        fmt::print("{} {} - {}/{}{}\n", good ? "ok" : "not ok", ++n_, row.chapter, row.promise,
                   directive(row));
        for (const std::string& line : row.lines) {
            fmt::print("# {}\n", line);
        }
        std::fflush(stdout);
    }

private:
    static std::string directive(const Row& row)
    {
        switch (row.status) {
        case Status::not_declared:
            return " # SKIP not declared";
        case Status::excepted:
            return " # TODO " + row.reason;
        default:
            return {};
        }
    }

    std::size_t n_ = 0;
};

/// Escapes the text of an XML attribute or element. XML has no control characters but a newline.
std::string escaped(std::string_view text)
{
    std::string printable(text);
    const auto is_control = [](char ch) {
        return static_cast<unsigned char>(ch) < ' ' && ch != '\n';
    };
    std::ranges::replace_if(printable, is_control, '?');
    return escape_html(printable);
}

/// JUnit's XML, for build servers. It begins with the sums, so that everything is written at the
/// end.
class JunitReport : public Report {
public:
    explicit JunitReport(Trial trial) : trial_(std::move(trial)) {}

    void add(const Row& row) override
    {
        counts_.add(row.status);
        cases_ +=
            fmt::format("    <testcase classname=\"{}.{}\" name=\"{}\" time=\"{:.3f}\">{}"
                        "</testcase>\n",
                        escaped(trial_.use), row.chapter, row.promise, row.seconds, outcome(row));
    }

    void end() override
    {
        fmt::print("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
                   "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" "
                   "skipped=\"{}\">\n"
                   "    <properties><property name=\"seed\" value=\"{}\"/></properties>\n"
                   "{}  </testsuite>\n</testsuites>\n",
                   escaped(trial_.use), trial_.promises, counts_.of(Status::broken),
                   counts_.of(Status::not_declared) + counts_.of(Status::excepted), trial_.seed,
                   cases_);
    }

private:
    static std::string outcome(const Row& row)
    {
        std::string text;
        for (const std::string& line : row.lines) {
            text += escaped(line) + '\n';
        }
        switch (row.status) {
        case Status::kept:
            return {};
        case Status::broken:
            return fmt::format("<failure message=\"{}\">{}</failure>",
                               row.lines.empty() ? "" : escaped(row.lines.front()), text);
        case Status::not_declared:
            return fmt::format("<skipped message=\"not declared\">{}</skipped>", text);
        default:
            return fmt::format("<skipped message=\"excepted: {}\">{}</skipped>",
                               escaped(row.reason), text);
        }
    }

    Trial trial_;
    Counts counts_{};
    std::string cases_{};
};

}  // namespace

std::unique_ptr<Report> make_report(std::string_view format, const Trial& trial)
{
    if (format == "text") {
        return std::make_unique<TextReport>(trial);
    }
    if (format == "tap") {
        return std::make_unique<TapReport>(trial);
    }
    if (format == "junit") {
        return std::make_unique<JunitReport>(trial);
    }
    throw std::runtime_error(
        fmt::format("the format \"{}\" is unknown: use text, tap or junit", format));
}

}  // namespace ngx::contract
