#include <algorithm>
#include <fmt/format.h>
#include <stdexcept>
#include <system_error>

#include "tools/conf/checks.hpp"

namespace ngx::conf {

namespace {

/// Returns a string as Python's repr() quotes it, in the message of an OSError.
std::string python_repr(const std::string& text)
{
    const bool has_single = text.find('\'') != text.npos;
    const char quote = has_single && text.find('"') == text.npos ? '"' : '\'';
    std::string out(1, quote);
    for (const char ch : text) {
        if (ch == quote || ch == '\\') {
            out += '\\';
        }
        out += ch;
    }
    return out + quote;
}

/// Returns the message that crossplane has for an error.
std::string crossplane_text(const Tree& tree, const Error& error)
{
    if (error.kind == ErrorKind::cannot_read) {
        const std::string reason = std::error_code(error.err, std::generic_category()).message();
        return fmt::format("[Errno {}] {}: {}", error.err, reason, python_repr(error.name));
    }
    const Place place = tree.place(error);
    return fmt::format("{} in {}:{}", error.text, place.file, place.line);
}

/// Removes the parentheses around the condition of an `if`.
void strip_parentheses(std::vector<std::string>& args)
{
    if (args.empty() || !args.front().starts_with('(') || !args.back().ends_with(')')) {
        return;
    }
    constexpr std::string_view blanks = " \t\r\n";
    std::string& first = args.front();
    first.erase(0, 1);
    first.erase(0, first.find_first_not_of(blanks));
    std::string& last = args.back();
    if (!last.empty()) {
        last.pop_back();
    }
    last.erase(last.find_last_not_of(blanks) + 1);
    if (args.back().empty()) {
        args.pop_back();
    }
    if (!args.empty() && args.front().empty()) {
        args.erase(args.begin());
    }
}

class Payload {
public:
    /// `checks` is null if no checks are made.
    Payload(const Tree& tree, const Checks* checks, const CommandOptions& options, Output& out)
        : tree_(tree)
        , checks_(checks)
        , all_errors_(checks ? checks->errors() : tree.errors())
        , options_(options)
        , json_(out, options.indent)
        , errors_(checks ? checks->files().size() : tree.files().size())
    {
        for (const Error& error : all_errors_) {
            errors_[options.combine ? 0 : index(error.file)].push_back(&error);
        }
    }

    void write()
    {
        json_.begin_object();
        status(all_errors_.empty());
        json_.key("errors");
        json_.begin_array();
        for (const Error& error : all_errors_) {
            write_error(error, true);
        }
        json_.end_array();
        json_.key("config");
        json_.begin_array();
        const std::size_t files = options_.combine ? 1 : errors_.size();
        for (std::uint32_t i = 0; i < files; i++) {
            write_file(checks_ ? checks_->files()[i] : i, errors_[i]);
        }
        json_.end_array();
        json_.end_object();
    }

private:
    /// A directive whose block is being written.
    struct Level {
        Directive directive;
        std::uint32_t body;  // where its block begins
        bool is_block;
        bool skipped;  // an include whose files are written in its place
    };

    void status(bool ok)
    {
        json_.key("status");
        json_.string(ok ? "ok" : "failed");
    }

    void write_error(const Error& error, bool with_file)
    {
        const Place place = tree_.place(error);
        json_.begin_object();
        if (with_file) {
            json_.key("file");
            json_.string(place.file);
        }
        json_.key("error");
        json_.string(crossplane_text(tree_, error));
        json_.key("line");
        place.line == 0 ? json_.null() : json_.number(place.line);
        if (options_.columns) {
            json_.key("column");
            place.line == 0 ? json_.null() : json_.number(place.column);
            json_.key("hint");
            json_.string(error.hint);
        }
        json_.end_object();
    }

    /// Returns the place of a file in `config`.
    [[nodiscard]] std::uint32_t index(std::uint32_t file) const
    {
        return checks_ ? checks_->index(file) : file;
    }

    void write_file(std::uint32_t number, const std::vector<const Error*>& errors)
    {
        const File& file = *tree_.files()[number];
        bytes_ = file.bytes;
        written_ = 0;
        latin1_ = options_.lossless && !is_utf8(bytes_);
        json_.begin_object();
        json_.key("file");
        json_.string(file.name);
        status(errors.empty());
        json_.key("errors");
        json_.begin_array();
        for (const Error* error : errors) {
            write_error(*error, false);
        }
        json_.end_array();
        write_form();
        json_.key("parsed");
        json_.begin_array();
        write_directives(number);
        json_.end_array();
        write_bytes("end", static_cast<std::uint32_t>(bytes_.size()));
        json_.end_object();
    }

    /// Writes what a build of the lossless form has to know.
    void write_form()
    {
        if (options_.lossless) {
            json_.key("encoding");
            json_.string(latin1_ ? "latin-1" : "utf-8");
            json_.key("escapes");
            json_.string(options_.escapes == Escapes::nginx ? "nginx" : "crossplane");
        }
    }

    /// In the lossless form, writes the bytes of the file that are not yet written, up to `end`.
    void write_bytes(std::string_view key, std::uint32_t end)
    {
        if (options_.lossless) {
            json_.key(key);
            string(bytes_.substr(written_, end - written_));
            written_ = end;
        }
    }

    /// Writes bytes of the file.
    void string(std::string_view bytes)
    {
        latin1_ ? json_.string(from_latin1(bytes)) : json_.string(bytes);
    }

    void write_directives(std::uint32_t number)
    {
        const auto enter = [this](const Directive& directive) { return this->enter(directive); };
        const auto leave = [this](const Directive&) { this->leave(); };
        if (checks_) {
            write_checked(number);
        } else if (!options_.combine) {
            tree_.walk_file(number, enter, leave);
        } else if (!tree_.walk(enter, leave, most_combined)) {
            refuse_combined();
        }
    }

    [[noreturn]] static void refuse_combined()
    {
        throw Refused("the includes make more than 100,000,000 directives");
    }

    /// Writes what the checks leave of a file.
    void write_checked(std::uint32_t number)
    {
        checks_->walk(
            number, [this](const Directive& directive) { return enter_checked(directive); },
            [this](const Directive&) { leave(); });
    }

    bool enter_checked(const Directive& directive)
    {
        if (!options_.combine || !is_include(directive)) {
            count_combined();
            return enter(directive);
        }
        count_combined();
        const std::size_t levels = levels_.size();
        enter(directive);
        for (const std::uint32_t file : directive.included()) {
            write_checked(file);
        }
        if (levels_.size() != levels) {
            leave();
        }
        return false;
    }

    void count_combined()
    {
        if (options_.combine && combined_++ == most_combined) {
            refuse_combined();
        }
    }

    /// Returns whether the files of a directive are written, or their numbers.
    [[nodiscard]] bool is_include(const Directive& directive) const
    {
        return !options_.single && directive.kind() == Kind::simple && directive.is("include");
    }

    bool enter(const Directive& directive)
    {
        if (directive.is_comment()) {
            if (options_.comments && !is_in_head(directive)) {
                write_comment(directive, directive);
            }
            return true;
        }
        if (is_ignored(directive)) {
            written_ = directive.range().end;
            return false;
        }

        const bool has_files = is_include(directive);
        const bool skipped = options_.combine && has_files;
        if (!skipped) {
            begin_directive(directive);
            if (has_files) {
                write_includes(directive);
            }
        }
        const bool is_block = directive.is_block();
        if (is_block) {
            json_.key("block");
            json_.begin_array();
        }
        const bool has_inner = !directive.children().empty();
        if (is_block || has_inner || (skipped && !directive.included().empty())) {
            const std::uint32_t end = directive.range().end;
            levels_.push_back(
                {directive, is_block ? directive.body().begin : end, is_block, skipped});
        } else if (!skipped) {
            json_.end_object();
        }
        return true;
    }

    void leave()
    {
        const Level level = levels_.back();
        levels_.pop_back();
        if (level.is_block) {
            json_.end_array();
            write_bytes("end", level.directive.range().end);
        }
        if (!level.skipped) {
            json_.end_object();
        }
        if (options_.lossless) {
            return;  // the comments between the words are in the text of the directive
        }
        // crossplane writes these comments with and without --include-comments, without a file.
        for (const Directive& inner : level.directive.children()) {
            if (!inner.is_comment() || (level.is_block && inner.range().begin >= level.body)) {
                break;
            }
            write_comment(inner, level.directive);
        }
    }

    /// Returns whether a comment is in the head of a directive, or behind one that has no end.
    [[nodiscard]] bool is_in_head(const Directive& comment) const
    {
        if (levels_.empty() || &comment.file() != &levels_.back().directive.file()) {
            return false;
        }
        const Level& level = levels_.back();
        return !level.is_block || comment.range().begin < level.body;
    }

    [[nodiscard]] bool is_ignored(const Directive& directive) const
    {
        return !options_.ignore.empty() &&
               std::ranges::find(options_.ignore, json_word(directive, 0, options_.escapes)) !=
                   options_.ignore.end();
    }

    /// Writes the head of a directive. `place` is the directive whose line counts.
    void begin_statement(std::string_view name, const Directive& place, bool with_file = true)
    {
        json_.begin_object();
        if (options_.combine && with_file) {
            json_.key("file");
            json_.string(place.file().name);
        }
        json_.key("directive");
        string(name);
        const Place where = place.place();
        json_.key("line");
        json_.number(where.line);
        if (options_.columns) {
            json_.key("column");
            json_.number(where.column);
        }
        json_.key("args");
    }

    void begin_directive(const Directive& directive)
    {
        const std::vector<std::string> words = json_words(directive, options_.escapes);
        begin_statement(words.front(), directive);
        json_.begin_array();
        std::for_each(words.begin() + 1, words.end(),
                      [this](const std::string& arg) { string(arg); });
        json_.end_array();
        write_bytes("text", directive.is_block() ? directive.body().begin : directive.range().end);
    }

    void write_comment(const Directive& comment, const Directive& place)
    {
        begin_statement("#", place, comment.node() == place.node());
        json_.begin_array();
        json_.end_array();
        json_.key("comment");
        string(with_newlines(comment.comment()));
        write_bytes("text", comment.range().end);
        json_.end_object();
    }

    void write_includes(const Directive& directive)
    {
        json_.key("includes");
        json_.begin_array();
        for (const std::uint32_t file : directive.included(true)) {
            json_.number(index(file));
        }
        json_.end_array();
    }

    static constexpr std::size_t most_combined = 100'000'000;

    const Tree& tree_;
    const Checks* checks_;
    const std::vector<Error>& all_errors_;
    const CommandOptions& options_;
    JsonWriter json_;
    std::vector<std::vector<const Error*>> errors_;  // of each file in `config`
    std::size_t combined_ = 0;                       // directives of a checked tree
    std::vector<Level> levels_{};

    // of the lossless form
    std::string_view bytes_{};   // of the current file
    std::uint32_t written_ = 0;  // how many of them are written
    bool latin1_ = false;
};

std::string comment_text(const Directive& comment)
{
    std::string text = "#";
    text += with_newlines(comment.comment());
    return text;
}

/// Writes the tokens of a file in their order.
class Tokens {
public:
    Tokens(const Tree& tree, const CommandOptions& options, Output& out)
        : tree_(tree)
        , options_(options)
        , json_(out, options.indent)
    {}

    void write()
    {
        json_.begin_array();
        tree_.walk_file(
            0, [this](const Directive& directive) { return enter(directive); },
            [this](const Directive& directive) {
                if (directive.kind() == Kind::block) {
                    token("}", directive.range().end - 1);
                }
            });
        json_.end_array();
    }

private:
    bool enter(const Directive& directive)
    {
        if (directive.is_comment()) {
            // Those between the words are written with the words.
            if (directive.range().begin >= words_end_) {
                token(comment_text(directive), directive.range().begin);
            }
            return true;
        }
        const Range body = directive.body();
        const Range range = directive.range();
        words_end_ = body.begin;
        write_words(directive, body.begin);
        switch (directive.kind()) {
        case Kind::simple:
        case Kind::text:
            token(";", range.end - 1);
            break;
        case Kind::block:
        case Kind::open:
            token("{", body.begin - 1);
            break;
        default:
            break;
        }
        return true;
    }

    /// Writes the words, and the comments between them.
    void write_words(const Directive& directive, std::uint32_t body)
    {
        const Directives inner = directive.children();
        auto comment = inner.begin();
        const auto comments_before = [&](std::uint32_t offset) {
            for (; comment != inner.end() && (*comment).is_comment() &&
                   (*comment).range().begin < offset;
                 ++comment) {
                token(comment_text(*comment), (*comment).range().begin);
            }
        };
        const bool has_text = directive.kind() == Kind::text;
        for (std::size_t i = 0; i < directive.size(); i++) {
            const Range range = directive.word(i).range();
            comments_before(range.begin);
            const bool is_text = has_text && i + 1 == directive.size();
            token(json_word(directive, i, options_.escapes), is_text ? range.end : range.begin);
        }
        comments_before(body);
    }

    void token(std::string_view text, std::uint32_t offset)
    {
        if (!options_.line_numbers) {
            json_.string(text);
            return;
        }
        json_.begin_array();
        json_.string(text);
        json_.number(tree_.place(*tree_.files().front(), offset).line);
        json_.end_array();
    }

    const Tree& tree_;
    const CommandOptions& options_;
    JsonWriter json_;
    std::uint32_t words_end_ = 0;
};

}  // namespace

std::string with_newlines(std::string_view text)
{
    std::string out;
    for (std::size_t i = 0; i < text.size(); i++) {
        if (text[i] != '\r') {
            out += text[i];
        } else if (!text.substr(i + 1).starts_with('\n')) {
            out += '\n';
        }
    }
    return out;
}

std::string json_word(const Directive& directive, std::size_t i, Escapes escapes)
{
    if (i >= directive.size()) {
        return {};
    }
    const Word word = directive.word(i);
    if (directive.kind() == Kind::text && i + 1 == directive.size()) {
        return escapes == Escapes::nginx ? std::string(word.raw()) : with_newlines(word.raw());
    }
    if (escapes == Escapes::nginx) {
        return word.value();
    }
    const char quote = word.quote();
    const std::string_view inner = word.inner();
    std::string out;
    out.reserve(inner.size());
    for (std::size_t pos = 0; pos < inner.size(); pos++) {
        if (inner[pos] == '\\' && pos + 1 < inner.size()) {
            if (inner[pos + 1] != quote) {
                out += '\\';
            }
            pos++;
        }
        out += inner[pos];
    }
    return out.find('\r') == out.npos ? out : with_newlines(out);
}

std::vector<std::string> json_words(const Directive& directive, Escapes escapes)
{
    std::vector<std::string> words{json_word(directive, 0, escapes)};
    words.reserve(directive.size());
    for (std::size_t i = 1; i < directive.size(); i++) {
        words.push_back(json_word(directive, i, escapes));
    }
    if (words.front() == "if") {
        std::vector<std::string> args(words.begin() + 1, words.end());
        strip_parentheses(args);
        words.resize(1);
        words.insert(words.end(), args.begin(), args.end());
    }
    return words;
}

std::size_t print_errors(const Tree& tree)
{
    return print_errors(tree, tree.errors(), tree.more_errors());
}

std::size_t print_errors(const Tree& tree, const std::vector<Error>& errors, std::size_t more)
{
    for (const Error& error : errors) {
        fmt::print(stderr, "ngxx-conf: {}\n", tree.message(error));
    }
    if (more != 0) {
        fmt::print(stderr, "ngxx-conf: {} more errors\n", more);
    }
    return errors.size() + more;
}

void read_file(Tree& tree, const CommandOptions& options)
{
    if (!tree.read(options.file, {.follow_includes = false})) {
        throw std::runtime_error(tree.message(tree.errors().front()));
    }
}

void read_valid(Tree& tree, const CommandOptions& options)
{
    read_file(tree, options);
    const auto harmless = [](const Error& error) {
        return error.kind == ErrorKind::byte_order_mark || error.kind == ErrorKind::too_long;
    };
    if (!std::ranges::all_of(tree.errors(), harmless)) {
        print_errors(tree);
        throw Refused(fmt::format("{} has errors", options.file));
    }
}

int parse_command(const CommandOptions& options)
{
    Tree tree;
    const bool was_read = tree.read(options.file, {.follow_includes = !options.single,
                                                   .conf_prefix = options.prefix,
                                                   .ignore = options.ignore});
    std::optional<Checks> checks;
    if (options.strict || options.check_ctx || options.check_args) {
        checks.emplace(tree, options);
    }
    const std::vector<Error>& errors = checks ? checks->errors() : tree.errors();
    const int status = errors.empty() ? 0 : (was_read ? 1 : 2);
    if (options.no_catch && status != 0) {
        fmt::print(stderr, "ngxx-conf: {}\n", tree.message(errors.front()));
        return status;
    }
    print_errors(tree, errors, checks ? checks->more_errors() : tree.more_errors());
    Output out(options.out);
    Payload(tree, checks ? &*checks : nullptr, options, out).write();
    out << '\n';
    out.finish();
    return status;
}

int lex_command(const CommandOptions& options)
{
    Tree tree;
    read_file(tree, options);
    print_errors(tree);
    Output out(options.out);
    Tokens(tree, options, out).write();
    out << '\n';
    out.finish();
    return tree.errors().empty() ? 0 : 1;
}

/// Checks that the blocks of a file can be indented.
void check_levels(const Tree& tree)
{
    std::vector<std::uint32_t> ends;  // of the blocks around a directive
    tree.walk_file(0, [&](const Directive& directive) {
        while (!ends.empty() && ends.back() <= directive.range().begin) {
            ends.pop_back();
        }
        if (directive.is_block()) {
            ends.push_back(directive.range().end);
        }
        if (ends.size() > most_levels) {
            const Place place = directive.place();
            throw Refused(fmt::format("{}:{}:{}: the block is in more than {} others: only minify "
                                      "writes it",
                                      place.file, place.line, place.column, most_levels - 1));
        }
        return true;
    });
}

int format_command(const CommandOptions& options)
{
    Tree tree;
    read_valid(tree, options);
    print_errors(tree);
    check_levels(tree);
    const std::string text =
        format(tree, options.tabs ? "\t" : std::string(options.indent.value_or(4), ' '));
    Output out(options.out);
    out << text;
    out.finish();
    return tree.errors().empty() ? 0 : 1;
}

int minify_command(const CommandOptions& options)
{
    Tree tree;
    read_valid(tree, options);
    print_errors(tree);
    Output out(options.out);
    out << minify(tree);
    out.finish();
    return tree.errors().empty() ? 0 : 1;
}

}  // namespace ngx::conf
