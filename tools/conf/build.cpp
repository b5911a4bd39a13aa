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

}  // namespace

std::string written_word(std::string_view word, Escapes escapes)
{
    if (escapes == Escapes::nginx) {
        return quote_value(word);
    }
    return needs_quotes(word) ? quote_escaped(word) : std::string(word);
}

namespace {

/// Builds one file from its list of directives.
class Builder {
public:
    Builder(const CommandOptions& options, const Json& config)
        : indent_(options.tabs ? "\t" : std::string(options.indent.value_or(4), ' '))
        , escapes_(options.escapes)
        , config_(config)
    {
        latin1_ = config.value("encoding", "utf-8") == "latin-1";
        if (config.contains("escapes")) {
            escapes_ = config["escapes"] == "nginx" ? Escapes::nginx : Escapes::crossplane;
        }
    }

    std::string build()
    {
        const Json& parsed = config_.at("parsed");
        levels_.push_back({parsed.begin(), parsed.end(), 0, end_of(config_)});
        for (;;) {
            Level& level = levels_.back();
            if (level.next != level.end) {
                const Json& directive = *level.next++;
                write(directive, level);
                continue;
            }
            const Json* const end = level.end_text;
            levels_.pop_back();
            if (end) {
                add(bytes_of(*end));
            } else if (!levels_.empty()) {
                new_line();
                out_ += '}';
            }
            if (levels_.empty()) {
                return std::move(out_);
            }
        }
    }

private:
    struct Level {
        Json::const_iterator next;
        Json::const_iterator end;
        std::size_t last_line;  // of the directive before; no_line behind a comment
        const Json* end_text;   // of the lossless form, or null
    };
    static constexpr auto no_line = static_cast<std::size_t>(-1);

    static const Json* end_of(const Json& block)
    {
        const auto end = block.find("end");
        return end == block.end() ? nullptr : &*end;
    }

    [[nodiscard]] std::string bytes_of(const Json& json) const
    {
        const auto& text = json.get_ref<const std::string&>();
        return latin1_ ? to_latin1(text) : text;
    }

    [[nodiscard]] std::string word(const Json& json) const
    {
        return written_word(bytes_of(json), escapes_);
    }

    void new_line()
    {
        if (!out_.empty()) {
            out_ += '\n';
        }
        for (std::size_t i = 1; i < levels_.size(); i++) {
            out_ += indent_;
        }
        behind_comment_ = false;
    }

    /// Adds bytes of the lossless form. They would belong to a comment if that comment had lost
    /// the end of its line.
    void add(const std::string& text)
    {
        const std::size_t end = text.find_first_not_of(" \t\r");
        if (behind_comment_ && end != text.npos && text[end] != '\n') {
            out_ += '\n';
        }
        out_ += text;
        behind_comment_ = behind_comment_ && end == text.npos;
    }

    void check_depth() const
    {
        if (levels_.size() > most_levels) {
            throw std::length_error(
                fmt::format("a block is in more than {} others, which is too deep for an indent",
                            most_levels - 1));
        }
    }

    void write(const Json& directive, Level& level)
    {
        const auto block = directive.find("block");
        const bool is_block = block != directive.end() && !block->is_null();
        const std::size_t line = directive.value("line", std::size_t(0));
        const bool is_comment = directive.at("directive") == "#" && directive.contains("comment");
        if (const auto text = text_of(directive, is_comment, is_block)) {
            add(*text);
        } else if (is_comment) {
            write_comment(directive, line == level.last_line);
        } else {
            write_head(directive, is_block);
        }
        behind_comment_ = is_comment;
        level.last_line = is_comment ? no_line : line;
        if (is_block) {
            levels_.push_back({block->begin(), block->end(), line, end_of(directive)});
        }
    }

    /// Returns the bytes that the lossless form has for a directive or comment, with the changes
    /// that were made in its words.
    [[nodiscard]] std::optional<std::string> text_of(const Json& directive, bool is_comment,
                                                     bool is_block) const
    {
        const auto text = directive.find("text");
        if (text == directive.end()) {
            return std::nullopt;
        }
        Wanted wanted;
        wanted.escapes = escapes_;
        wanted.is_comment = is_comment;
        wanted.is_block = is_block;
        if (is_comment) {
            wanted.comment = bytes_of(directive.at("comment"));
        } else {
            wanted.words.push_back(bytes_of(directive.at("directive")));
            for (const Json& arg : directive.at("args")) {
                wanted.words.push_back(bytes_of(arg));
            }
        }
        return fitted_text(bytes_of(*text), out_.empty(), wanted);
    }

    void write_comment(const Json& comment, bool same_line)
    {
        if (same_line && !out_.empty()) {
            out_ += ' ';
        } else {
            new_line();
        }
        out_ += '#' + bytes_of(comment.at("comment"));
    }

    /// Writes a directive up to its ";" or "{".
    void write_head(const Json& directive, bool is_block)
    {
        if (is_block) {
            check_depth();
        }
        new_line();
        const auto& name = directive.at("directive").get_ref<const std::string&>();
        const Json& args = directive.at("args");
        out_ += word(directive.at("directive"));
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
        out_ += is_block ? " {" : ";";
    }

    /// Writes the words of a block that has code of another language as its last word.
    void write_text(const Json& args)
    {
        for (const Json& arg : args) {
            const bool is_text = &arg == &args.back();
            out_ += ' ';
            out_ += is_text ? '{' + bytes_of(arg) + '}' : word(arg);
        }
    }

    std::string indent_;
    Escapes escapes_;
    const Json& config_;
    bool latin1_ = false;
    std::string out_{};
    std::vector<Level> levels_{};
    bool behind_comment_ = false;  // the output ends in a comment
};

struct Built {
    std::filesystem::path path;
    std::string text;
    bool lossless = false;
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
        const std::string name = config.at("file");
        std::string text = Builder(options, config).build();
        if (config.contains("encoding")) {
            files.push_back({directory / name, std::move(text), true});
            continue;
        }
        text.insert(0, options.no_headers ? "" : header);
        while (!text.empty() && is_blank(text.back())) {
            text.pop_back();
        }
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
        if (files.size() == 1 && files.front().lossless) {
            out << files.front().text;
            out.finish();
            return 0;
        }
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
