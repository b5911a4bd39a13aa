#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "tools/conf/commands.hpp"

namespace ngx::conf {

namespace {

using Json = nlohmann::json;

constexpr std::string_view header = "# This configuration was built from JSON by ngxx-conf.\n\n";

constexpr bool is_blank(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n' || ch == '\v' || ch == '\f';
}

/// Returns whether a word that has its escapes needs quotes to be one word of nginx. Like
/// crossplane, it quotes more than nginx needs: a "}", and a "$" at the end.
bool needs_quotes(std::string_view word)
{
    if (word.empty() || word.front() == '}' || word.front() == '#' || word.starts_with("${")) {
        return true;
    }
    bool in_variable = false;  // behind "${"
    for (std::size_t i = 0; i < word.size(); i++) {
        const char ch = word[i];
        if (ch == '\\') {
            if (++i == word.size()) {
                return true;
            }
        } else if (ch == '$' && i + 1 < word.size() && word[i + 1] == '{') {
            if (in_variable) {
                return true;
            }
            in_variable = true;
            i++;
        } else if (ch == '}') {
            if (!in_variable) {
                return true;
            }
            in_variable = false;
        } else if (is_blank(ch) || ch == '{' || ch == ';' || ch == '"' || ch == '\'') {
            return true;
        }
    }
    return in_variable || word.back() == '$';
}

/// Quotes a word that has its escapes. The quotes are those that Python's repr() would choose.
std::string quote_escaped(std::string_view word)
{
    const bool has_single = word.find('\'') != word.npos;
    const char quote = has_single && word.find('"') == word.npos ? '"' : '\'';
    std::string out(1, quote);
    for (std::size_t i = 0; i < word.size(); i++) {
        const char ch = word[i];
        if (ch == '\\' && i + 1 < word.size()) {
            out += ch;
            out += word[++i];
        } else if (ch == quote || ch == '\\') {
            out += '\\';
            out += ch;
        } else if (ch == '\n') {
            out += "\\n";
        } else if (ch == '\r') {
            out += "\\r";
        } else if (ch == '\t') {
            out += "\\t";
        } else {
            out += ch;
        }
    }
    return out + quote;
}

/// Writes a word of which nginx is to read exactly these bytes.
std::string quote_value(std::string_view word)
{
    std::string out;
    bool quoted = needs_quotes(word);
    for (const char ch : word) {
        switch (ch) {
        case '\\':
        case '"':
            out += '\\';
            out += ch;
            quoted = true;
            break;
        case '\n':
            out += "\\n";
            break;
        case '\r':
            out += "\\r";
            break;
        case '\t':
            out += "\\t";
            break;
        default:
            out += ch;
        }
    }
    return quoted ? '"' + out + '"' : out;
}

/// Builds one file from its list of directives.
class Builder {
public:
    explicit Builder(const CommandOptions& options)
        : indent_(options.tabs ? "\t" : std::string(options.indent.value_or(4), ' '))
        , escapes_(options.escapes)
    {}

    std::string build(const Json& parsed)
    {
        levels_.push_back({parsed.begin(), parsed.end(), 0});
        for (;;) {
            Level& level = levels_.back();
            if (level.next != level.end) {
                const Json& directive = *level.next++;
                write(directive, level);
                continue;
            }
            levels_.pop_back();
            if (levels_.empty()) {
                return std::move(out_);
            }
            new_line();
            out_ += '}';
        }
    }

private:
    struct Level {
        Json::const_iterator next;
        Json::const_iterator end;
        std::size_t last_line;  // of the directive before; no_line behind a comment
    };
    static constexpr auto no_line = static_cast<std::size_t>(-1);

    [[nodiscard]] std::string word(const Json& json) const
    {
        const auto& text = json.get_ref<const std::string&>();
        if (escapes_ == Escapes::nginx) {
            return quote_value(text);
        }
        return needs_quotes(text) ? quote_escaped(text) : text;
    }

    void new_line()
    {
        if (!out_.empty()) {
            out_ += '\n';
        }
        for (std::size_t i = 1; i < levels_.size(); i++) {
            out_ += indent_;
        }
    }

    void write(const Json& directive, Level& level)
    {
        const auto& name = directive.at("directive").get_ref<const std::string&>();
        const std::size_t line = directive.value("line", std::size_t(0));
        if (name == "#" && directive.contains("comment")) {
            if (line == level.last_line && !out_.empty()) {
                out_ += ' ';
            } else {
                new_line();
            }
            out_ += '#' + directive.at("comment").get_ref<const std::string&>();
            level.last_line = no_line;
            return;
        }

        new_line();
        level.last_line = line;
        out_ += word(directive.at("directive"));
        const Json& args = directive.at("args");
        if (name.ends_with("_by_lua_block") && !args.empty() && !directive.contains("block")) {
            write_text(args);
            return;
        }
        out_ += name == "if" ? " (" : "";
        for (const Json& arg : args) {
            const bool first = &arg == &args.front();
            out_ += first && name == "if" ? "" : " ";
            out_ += word(arg);
        }
        out_ += name == "if" ? ")" : "";

        const auto block = directive.find("block");
        if (block == directive.end() || block->is_null()) {
            out_ += ';';
        } else {
            if (levels_.size() > most_levels) {
                throw std::length_error(fmt::format(
                    "a block is in more than {} others, which is too deep for an indent",
                    most_levels - 1));
            }
            out_ += " {";
            levels_.push_back({block->begin(), block->end(), line});
        }
    }

    /// Writes the words of a block that has code of another language as its last word.
    void write_text(const Json& args)
    {
        for (const Json& arg : args) {
            const bool is_text = &arg == &args.back();
            out_ += ' ';
            out_ += is_text ? '{' + arg.get_ref<const std::string&>() + '}' : word(arg);
        }
    }

    std::string indent_;
    Escapes escapes_;
    std::string out_{};
    std::vector<Level> levels_{};
};

struct Built {
    std::filesystem::path path;
    std::string text;
};

Json read_json(const std::string& name)
{
    if (name == "-") {
        return Json::parse(std::cin);
    }
    std::ifstream file(name, std::ios::binary);
    if (!file) {
        throw std::system_error(errno, std::generic_category(), name);
    }
    return Json::parse(file);
}

std::vector<Built> build_all(const CommandOptions& options)
{
    const Json payload = read_json(options.file);
    const std::filesystem::path directory = options.directory.empty()
                                                ? std::filesystem::current_path()
                                                : std::filesystem::absolute(options.directory);
    std::vector<Built> files;
    for (const Json& config : payload.at("config")) {
        std::string text = options.no_headers ? "" : std::string(header);
        text += Builder(options).build(config.at("parsed"));
        while (!text.empty() && is_blank(text.back())) {
            text.pop_back();
        }
        const std::string name = config.at("file");
        files.push_back({directory / name, text + '\n'});
    }
    return files;
}

}  // namespace

int build_command(const CommandOptions& options)
{
    const std::vector<Built> files = build_all(options);
    if (options.to_stdout) {
        Output out("");
        for (const Built& file : files) {
            out << "# " << file.path.string() << '\n' << file.text << '\n';
        }
        out.finish();
        return 0;
    }

    for (const Built& file : files) {
        if (!options.force && std::filesystem::exists(file.path)) {
            throw std::runtime_error(
                fmt::format("{} exists; --force overwrites it", file.path.string()));
        }
    }
    for (const Built& file : files) {
        if (file.path.has_parent_path()) {
            std::filesystem::create_directories(file.path.parent_path());
        }
        Output out(file.path.string());
        out << file.text;
        out.finish();
        if (options.verbose) {
            fmt::print("wrote to {}\n", file.path.string());
        }
    }
    return 0;
}

}  // namespace ngx::conf
