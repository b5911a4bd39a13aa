#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>

#include "core/string.hpp"
#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

constexpr std::string_view head = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --rim: #8886; --back: #8881; --bad: #c33; }}
body {{
  font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 0 1rem 4rem;
}}
h1 {{ font-size: 1.4rem; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid var(--rim); }}
h3 {{ font-size: 1rem; overflow-wrap: anywhere; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; }}
th, td {{
  text-align: left; vertical-align: top; padding: .2rem .7rem .2rem 0;
  border-bottom: 1px solid var(--rim);
}}
pre, code {{ font: 14px/1.4 ui-monospace, monospace; }}
pre {{ overflow-x: auto; background: var(--back); padding: .5rem 0; margin: .3rem 0; }}
pre span {{ display: block; padding: 0 .7rem; }}
pre span:target {{ background: #fc06; }}
pre i {{ display: inline-block; width: 3.5em; color: #888; font-style: normal; user-select: none; }}
.bad {{ color: var(--bad); }}
pre .bad {{
  color: inherit; border-left: 3px solid var(--bad); padding-left: calc(.7rem - 3px);
}}
.clients {{ font-size: 1.05rem; font-weight: 600; }}
li {{ margin: .15rem 0; }}
</style>
</head>
<body>
)";

/// Returns the text of a value: "none" for an empty one.
std::string text_of(const Json& json)
{
    if (json.is_null()) {
        return "unknown";
    }
    const std::string text = json;
    return text.empty() ? "none" : escape_html(text);
}

/// Writes the parts of the report one behind the other.
class Report {
public:
    Report(const Configuration& configuration, const std::optional<Json>& events)
        : configuration_(configuration)
        , events_(events)
    {
        for (const auto& file : configuration.tree().files()) {
            numbers_.emplace(file->name, file->number);
        }
    }

    [[nodiscard]] std::string write()
    {
        const std::string title = escape_html(configuration_.file());
        out_ = fmt::format(head, fmt::arg("title", title));
        out_ += fmt::format("<h1>{}</h1>\n<p>for {}</p>\n", title,
                            escape_html(configuration_.program().name()));
        write_problems();
        if (events_) {
            write_answers(*events_);
            write_values(*events_);
        }
        write_listening();
        write_modules();
        write_blocks();
        write_variables();
        write_includes();
        write_files();
        return out_ + "</body>\n</html>\n";
    }

private:
    /// Returns the text of a place, with a link to its line if its file is in the report.
    [[nodiscard]] std::string link(const Place& place) const
    {
        const auto found = numbers_.find(place.file);
        const std::string text = escape_html(place.text());
        return found == numbers_.end() || place.line == 0
                   ? text
                   : fmt::format("<a href=\"#f{}-{}\">{}</a>", found->second, place.line, text);
    }

    [[nodiscard]] std::string links(const Json& places) const
    {
        std::string text;
        for (const Json& place : places) {
            text += (text.empty() ? "" : ", ") + link(place_from(place));
        }
        return text;
    }

    void write_problem(const Problem& problem)
    {
        if (const auto found = numbers_.find(problem.place.file); found != numbers_.end()) {
            bad_lines_.emplace(found->second, problem.place.line);
        }
        out_ += fmt::format("<li>{}: <span class=\"bad\">{}</span>{}{}</li>\n", link(problem.place),
                            escape_html(problem.text), problem.hint.empty() ? "" : "; ",
                            escape_html(problem.hint));
    }

    void write_problems()
    {
        const std::vector<Problem> problems = all_problems(configuration_, events_);
        if (problems.empty()) {
            out_ += "<p>Nothing is wrong.</p>\n";
            return;
        }
        out_ += "<h2>What is wrong</h2>\n<ul>\n";
        for (const Problem& problem : problems) {
            write_problem(problem);
        }
        out_ += "</ul>\n";
        out_ += events_ ? "" : "<p>There is no answer about events.</p>\n";
    }

    void write_answers(const Json& events)
    {
        for (const Json& answer : events["answers"]) {
            const Json& method = answer["method"];
            out_ += fmt::format("<h2>Events in {}</h2>\n<p class=\"clients\">{}</p>\n<ul>\n"
                                "<li>method: {}, because {}</li>\n",
                                text_of(answer["program"]), text_of(answer["clients"]["words"]),
                                text_of(method["name"]), text_of(method["why"]));
            for (const Json& limit : answer["limits"]) {
                out_ += fmt::format("<li>{}</li>\n", text_of(limit["words"]));
            }
            out_ += "</ul>\n";
        }
        if (events["ngxx_refuses"].empty()) {
            return;
        }
        out_ += "<h2>What ngxx refuses</h2>\n<ul>\n";
        for (const Json& refused : events["ngxx_refuses"]) {
            const Json& place = refused["place"];
            out_ += fmt::format("<li>{}{}{}</li>\n", place.is_null() ? "" : link(place_from(place)),
                                place.is_null() ? "" : ": ", text_of(refused["text"]));
        }
        out_ += "</ul>\n";
    }

    void write_values(const Json& events)
    {
        out_ += fmt::format("<h2>Values</h2>\n<div class=\"wide\"><table>\n<tr><th>directive</th>"
                            "<th>{}</th><th>ngxx</th><th>from</th></tr>\n",
                            text_of(events["program"]));
        for (const Json& value : events["values"]) {
            const std::string why = value["why"];
            const std::string from = links(value["places"]);
            out_ += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}{}{}</td></tr>\n",
                                text_of(value["directive"]), text_of(value["value"]),
                                text_of(value["ngxx"]), from.empty() ? "default" : from,
                                why.empty() ? "" : ": ", escape_html(why));
        }
        out_ += "</table></div>\n";
    }

    void write_listening()
    {
        const Json view = listening_view(configuration_);
        out_ += "<h2>Sockets</h2>\n";
        if (view["listening"].empty()) {
            out_ += "<p>Nothing listens.</p>\n";
            return;
        }
        out_ += "<div class=\"wide\"><table>\n<tr><th>address</th><th>block</th><th>type</th>"
                "<th>parameters</th><th>from</th></tr>\n";
        for (const Json& socket : view["listening"]) {
            std::string parameters;
            for (const Json& parameter : socket["parameters"]) {
                parameters += (parameters.empty() ? "" : " ") + text_of(parameter);
            }
            const std::string from = links(socket["places"]);
            out_ += fmt::format(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                text_of(socket["address"]), text_of(socket["block"]), text_of(socket["type"]),
                parameters, from.empty() ? "a server without \"listen\"" : from);
        }
        out_ += "</table></div>\n";
    }

    void write_modules()
    {
        const Json view = modules_view(&configuration_, nullptr);
        out_ += "<h2>Modules</h2>\n<div class=\"wide\"><table>\n<tr><th>module</th><th>how</th>"
                "<th>ngxx</th><th>directives</th></tr>\n";
        for (const Json& module : view["modules"]) {
            std::string directives;
            for (const Json& directive : module["directives"]) {
                directives +=
                    fmt::format("{}{} ({})", directives.empty() ? "" : ", ",
                                text_of(directive["name"]), directive["count"].get<std::size_t>());
            }
            const Json& loaded = module["loaded_by"];
            out_ += fmt::format("<tr><td>{}</td><td>{}{}{}</td><td>{}</td><td>{}</td></tr>\n",
                                text_of(module["name"]), text_of(module["how"]),
                                loaded.is_null() ? "" : ", ",
                                loaded.is_null() ? "" : link(place_from(loaded)),
                                module["ngxx"].get<bool>() ? "has it" : "", directives);
        }
        for (const Json& directive : view["unknown"]) {
            out_ += fmt::format("<tr><td>unknown</td><td>{}</td><td></td><td>{} ({})</td></tr>\n",
                                link(place_from(directive["place"])), text_of(directive["name"]),
                                directive["count"].get<std::size_t>());
        }
        out_ += "</table></div>\n";
    }

    void write_blocks()
    {
        const Json view = conf_ctx_view(&configuration_, nullptr);
        out_ += "<h2>Blocks</h2>\n<div class=\"wide\"><table>\n<tr><th>block</th>"
                "<th>structures</th><th>modules with directives</th></tr>\n";
        for (const Json& block : view["blocks"]) {
            std::string modules;
            for (const Json& module : block["modules"]) {
                modules += (modules.empty() ? "" : ", ") + text_of(module["module"]);
            }
            const Json& place = block["place"];
            out_ += fmt::format(
                "<tr><td style=\"padding-left: {}em\">{}{}{}</td><td>{}</td><td>{}</td></tr>\n",
                block["depth"].get<std::size_t>(), text_of(block["name"]),
                place.is_null() ? "" : " ", place.is_null() ? "" : link(place_from(place)),
                escape_html(words_text(block["levels"])), modules);
        }
        out_ += "</table></div>\n";
    }

    /// Returns the links to the places of a variable.
    [[nodiscard]] std::string variable_links(const Json& places) const
    {
        std::string text;
        for (const Json& place : places) {
            text += (text.empty() ? "" : ", ") + link(place_from(place["place"]));
        }
        return text;
    }

    void write_variables()
    {
        const Json view = variables_view(&configuration_, nullptr);
        if (view["variables"].empty()) {
            return;
        }
        out_ += "<h2>Variables</h2>\n<div class=\"wide\"><table>\n<tr><th>variable</th>"
                "<th>block</th><th>from</th><th>defined</th><th>used</th></tr>\n";
        for (const Json& variable : view["variables"]) {
            out_ +=
                fmt::format("<tr><td>${}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                            text_of(variable["name"]), text_of(variable["block"]),
                            escape_html(variable_words(variable)),
                            variable_links(variable["defined"]), variable_links(variable["used"]));
        }
        out_ += "</table></div>\n";
    }

    /// Returns the includes of a file with their lines.
    [[nodiscard]] std::vector<conf::Directive> includes_of(std::uint32_t file) const
    {
        std::vector<conf::Directive> list;
        configuration_.tree().walk_file(file, [&list](const conf::Directive& directive) {
            if (directive.is("include") && !directive.included().empty()) {
                list.push_back(directive);
            }
            return true;
        });
        return list;
    }

    /// Writes a file and those that it includes. A file that is included again is not unfolded
    /// again, so that the tree has no more items than the configuration has includes.
    void write_include_tree(std::uint32_t file, std::set<std::uint32_t>& seen)
    {
        const auto& files = configuration_.tree().files();
        out_ += fmt::format("<a href=\"#f{}\">{}</a>", file, escape_html(files[file]->name));
        if (!seen.insert(file).second) {
            return;
        }
        const std::vector<conf::Directive> includes = includes_of(file);
        if (includes.empty()) {
            return;
        }
        out_ += "\n<ul>\n";
        for (const conf::Directive& include : includes) {
            for (const std::uint32_t inner : include.included()) {
                out_ += fmt::format("<li>line {}: ", include.place().line);
                write_include_tree(inner, seen);
                out_ += "</li>\n";
            }
        }
        out_ += "</ul>\n";
    }

    void write_includes()
    {
        std::set<std::uint32_t> seen;
        out_ += "<h2>Files</h2>\n<ul><li>";
        write_include_tree(0, seen);
        out_ += "</li></ul>\n";
    }

    void write_files()
    {
        for (const auto& file : configuration_.tree().files()) {
            out_ += fmt::format("<h3 id=\"f{}\">{}</h3>\n", file->number, escape_html(file->name));
            if (!file->was_read) {
                out_ += "<p class=\"bad\">cannot be read</p>\n";
                continue;
            }
            out_ += "<pre>";
            for (std::size_t line = 1; line <= file->lines.size(); line++) {
                write_line(*file, line);
            }
            out_ += "</pre>\n";
        }
    }

    void write_line(const conf::File& file, std::size_t line)
    {
        const std::size_t begin = file.lines[line - 1];
        const std::size_t end = line < file.lines.size() ? file.lines[line] : file.bytes.size();
        std::string_view text = std::string_view(file.bytes).substr(begin, end - begin);
        while (text.ends_with('\n') || text.ends_with('\r')) {
            text.remove_suffix(1);
        }
        if (text.empty() && line == file.lines.size()) {
            return;  // behind the last newline
        }
        out_ += fmt::format("<span id=\"f{}-{}\"{}><i>{}</i>{}</span>", file.number, line,
                            bad_lines_.contains({file.number, line}) ? " class=\"bad\"" : "", line,
                            escape_html(text));
    }

    const Configuration& configuration_;
    const std::optional<Json>& events_;
    std::map<std::string_view, std::uint32_t> numbers_{};          // of the files, by name
    std::set<std::pair<std::uint32_t, std::size_t>> bad_lines_{};  // file and line
    std::string out_{};
};

}  // namespace

std::string html_report(const Configuration& configuration, const std::optional<Json>& events)
{
    return Report(configuration, events).write();
}

}  // namespace ngx::inspect
