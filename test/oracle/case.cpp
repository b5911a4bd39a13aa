#include "test/oracle/case.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>

#include "test/support/process.hpp"

namespace ngx::test::oracle {

namespace {

constexpr std::string_view case_mark = "=== ";
constexpr std::string_view file_mark = "--- ";

/// Returns the replacement for the word between two % signs, or nothing if it is not one of ours.
std::optional<std::string> replacement(std::string_view word, const std::filesystem::path& dir,
                                       std::uint16_t port)
{
    static const std::map<std::string_view, std::string> bytes{{"CR", "\r"},
                                                               {"TAB", "\t"},
                                                               {"VT", "\v"},
                                                               {"FF", "\f"},
                                                               {"NUL", std::string(1, '\0')},
                                                               {"BOM", "\xEF\xBB\xBF"}};

    const auto number_after = [word](std::size_t prefix) -> std::optional<unsigned> {
        unsigned number = 0;
        const char* end = word.data() + word.size();
        const auto result = std::from_chars(word.data() + prefix, end, number);
        return result.ec == std::errc{} && result.ptr == end ? std::optional(number) : std::nullopt;
    };
    if (const auto found = bytes.find(word); found != bytes.end()) {
        return found->second;
    }
    if (word == "DIR") {
        return dir.string();
    }
    if (word == "PORT") {
        return std::to_string(port);
    }
    if (word.starts_with("PORT+") && number_after(5)) {
        return std::to_string(port + *number_after(5));
    }
    if (word.starts_with("X") && number_after(1)) {
        return std::string(*number_after(1), 'x');
    }
    return std::nullopt;
}

std::vector<std::string_view> lines_of(std::string_view text)
{
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
        lines.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
    return lines;
}

std::string_view without_newline(std::string_view line)
{
    return line.substr(0, line.find('\n'));
}

/// Splits a header's options into words; '...' may contain blanks.
std::vector<std::string> option_words(std::string_view text)
{
    std::vector<std::string> words;
    bool quoted = false;
    bool inside = false;
    for (const char ch : text) {
        if (ch == ' ' && !quoted) {
            inside = false;
            continue;
        }
        if (!inside) {
            words.emplace_back();
            inside = true;
        }
        if (ch == '\'') {
            quoted = !quoted;
        } else {
            words.back() += ch;
        }
    }
    return words;
}

/// A case as in the file, before it is inserted into its context.
struct RawCase {
    Case written;
    std::size_t line = 0;
    std::string context;
    bool each = false;
};

RawCase parse_header(std::string_view header)
{
    const std::size_t bar = header.find(" | ");
    RawCase raw;
    raw.written.name = header.substr(0, bar);
    if (bar == std::string_view::npos) {
        return raw;
    }
    const std::vector<std::string> words = option_words(header.substr(bar + 3));
    for (auto word = words.begin(); word != words.end(); ++word) {
        if (*word == "each") {
            raw.each = true;
        } else if (*word == "own-pid") {
            raw.written.own_pid = true;
        } else if (*word == "debug") {
            raw.written.needs_debug = true;
        } else if (*word == "-q" || *word == "-T") {
            raw.written.flags.push_back(*word);
        } else if (*word == "in" && std::next(word) != words.end()) {
            raw.context = *++word;
        } else if (*word == "args" && std::next(word) != words.end()) {
            raw.written.arguments = option_words(*++word);
        } else if (*word == "-g" && std::next(word) != words.end()) {
            raw.written.directives = *++word;
        } else {
            throw std::runtime_error("option \"" + *word + "\" of case \"" + raw.written.name +
                                     "\"");
        }
    }
    return raw;
}

/// Appends the finished case, or one for each of its lines.
void finish(RawCase raw, const std::string& file, std::vector<Case>& cases)
{
    const auto place = [&file, &raw](std::size_t offset) {
        return file + ":" + std::to_string(raw.line + offset);
    };
    for (auto& [path, text] : raw.written.files) {
        if (text.ends_with("\n\n")) {
            text.pop_back();
        }
    }
    std::string& text = raw.written.files["nginx.conf"];
    if (!raw.each) {
        if (!raw.context.empty()) {
            text = in_context(raw.context, text);
        }
        raw.written.place = place(0);
        cases.push_back(std::move(raw.written));
        return;
    }
    std::size_t number = 0;
    for (const std::string_view line : lines_of(text)) {
        Case single = raw.written;
        single.place = place(++number);
        single.name += ": " + std::string(without_newline(line));
        single.files["nginx.conf"] = in_context(raw.context, std::string(line));
        cases.push_back(std::move(single));
    }
}

void read_cases(const std::filesystem::path& path, std::vector<Case>& cases)
{
    const std::string content = read_file(path);
    std::optional<RawCase> current;
    std::string file;
    std::size_t number = 0;

    for (const std::string_view line : lines_of(content)) {
        ++number;
        if (line.starts_with(case_mark)) {
            if (current) {
                finish(std::move(*current), path.filename(), cases);
            }
            current = parse_header(without_newline(line.substr(case_mark.size())));
            current->written.name.insert(0, path.stem().string() + ": ");
            current->line = number;
            file = "nginx.conf";
        } else if (current && line.starts_with(file_mark)) {
            file = without_newline(line.substr(file_mark.size()));
            current->written.files[file];
        } else if (current) {
            current->written.files[file] += line;
        }
    }
    if (!current) {
        throw std::runtime_error("no case in " + path.string());
    }
    finish(std::move(*current), path.filename(), cases);
}

}  // namespace

std::string in_context(std::string_view context, const std::string& text)
{
    struct Frame {
        std::string_view context;
        std::string before;
        std::string after;
    };
    static const std::vector<Frame> frames{
        {"file", "", ""},
        {"main", "", "events {}\n"},
        {"events", "events {\n", "}\n"},
        {"stream", "events {}\nstream {\n", "}\n"},
        {"server", "events {}\nstream {\nserver {\n", "}\n}\n"},
        {"listen", "events {}\nstream {\nserver {\n", "return x;\n}\n}\n"},
        {"full", "events {}\nstream {\nserver {\nlisten unix:%DIR%/s;\n", "return x;\n}\n}\n"},
        {"upstream", "events {}\nstream {\nupstream u {\n",
         "}\nserver {\nlisten unix:%DIR%/s;\nproxy_pass u;\n}\n}\n"},
        {"return", "events {}\nstream {\nserver {\nlisten unix:%DIR%/s;\n", "}\n}\n"},
    };
    const auto frame = std::ranges::find(frames, context, &Frame::context);
    if (frame == frames.end()) {
        throw std::runtime_error("no context \"" + std::string(context) + "\"");
    }
    return frame->before + text + frame->after;
}

std::string expand(std::string_view text, const std::filesystem::path& dir, std::uint16_t port)
{
    std::string expanded;
    while (!text.empty()) {
        const std::size_t start = text.find('%');
        expanded += text.substr(0, start);
        if (start == std::string_view::npos) {
            break;
        }
        text.remove_prefix(start + 1);
        const std::string_view word = text.substr(0, text.find('%'));
        if (word == "END") {
            break;
        }
        if (const auto found = replacement(word, dir, port); found) {
            expanded += *found;
            text.remove_prefix(word.size() + 1);
        } else {
            expanded += '%';
        }
    }
    return expanded;
}

std::vector<Case> written_cases(const std::filesystem::path& directory)
{
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        if (entry.path().extension() == ".txt") {
            paths.push_back(entry.path());
        }
    }
    std::ranges::sort(paths);

    std::vector<Case> cases;
    for (const std::filesystem::path& path : paths) {
        read_cases(path, cases);
    }
    return cases;
}

}  // namespace ngx::test::oracle
