#include <algorithm>

#include "tools/conf/parser.hpp"

namespace ngx::conf {

namespace {

/// Returns the byte order mark of the first file, or nothing.
std::string_view mark_of(const Tree& tree)
{
    const bool has_mark = tree.files().front()->bytes.starts_with(byte_order_mark);
    return has_mark ? byte_order_mark : std::string_view();
}

/// Puts a line end before a text whose first word begins with the bytes of a byte order mark: at
/// the beginning of a file they would be a mark.
std::string without_new_mark(const Tree& tree, std::string text, std::string_view line_end)
{
    if (mark_of(tree).empty() && text.starts_with(byte_order_mark)) {
        text.insert(0, line_end);
    }
    return text;
}

/// Returns the line end for a form of the text. A text with both line ends gets line feeds: a
/// second form must be equal to the first, also if the words have lines in them.
std::string_view line_end_of(std::string_view bytes)
{
    bool returns = false;
    for (std::size_t at = bytes.find('\n'); at != bytes.npos; at = bytes.find('\n', at + 1)) {
        returns = at > 0 && bytes[at - 1] == '\r';
        if (!returns) {
            break;
        }
    }
    return returns ? "\r\n" : "\n";
}

/// Writes the directives of a file with one indent a level. Words, quotes and comments remain as
/// they are; so do the lines on which the words of a directive are.
class Formatter {
public:
    Formatter(const Tree& tree, std::string_view indent)
        : tree_(tree)
        , bytes_(tree.files().front()->bytes)
        , indent_(indent)
        , newline_(line_end_of(bytes_))
    {
        out_.reserve(bytes_.size());
        out_ += mark_of(tree);
    }

    std::string write()
    {
        tree_.walk_file(
            0, [this](const Directive& directive) { return enter(directive); },
            [this](const Directive& directive) { leave(directive); });
        if (!first_) {
            out_ += newline_;
        }
        return without_new_mark(tree_, std::move(out_), newline_);
    }

private:
    bool enter(const Directive& directive)
    {
        const Range range = directive.range();
        if (directive.is_comment()) {
            if (range.begin < words_end_) {
                return true;  // written with the words
            }
            begin(range.begin, true);
            out_ += bytes_.substr(range.begin, range.end - range.begin);
            end_ = range.end;
            return true;
        }

        begin(range.begin, false);
        const Range body = directive.body();
        words_end_ = body.begin;
        const bool behind_comment = write_words(directive, body.begin);
        if (behind_comment) {
            new_line(depth_);
        }
        if (directive.kind() == Kind::simple) {
            out_ += ';';
            end_ = range.end;
            return true;
        }

        out_ += (behind_comment ? "{" : " {");
        if (directive.kind() == Kind::text) {
            out_ += bytes_.substr(body.begin, body.end - body.begin);
            out_ += '}';
            end_ = range.end;
        } else {
            depth_++;
            end_ = body.begin;
            block_starts_ = true;
        }
        return true;
    }

    void leave(const Directive& directive)
    {
        if (directive.kind() != Kind::block) {
            return;
        }
        depth_--;
        if (!block_starts_) {
            new_line(depth_);
        }
        block_starts_ = false;
        out_ += '}';
        end_ = directive.range().end;
    }

    /// Begins a directive or comment at this place: on its own line, behind an empty line if it
    /// had one. A comment remains behind the directive that is on its line.
    void begin(std::uint32_t offset, bool is_comment)
    {
        const std::string_view between = bytes_.substr(end_, offset - end_);
        const auto lines = std::ranges::count(between, '\n');
        const bool starts = block_starts_ || first_;
        block_starts_ = false;
        if (is_comment && lines == 0 && !first_) {
            out_ += ' ';
            return;
        }
        if (lines > 1 && !starts) {
            out_ += newline_;
        }
        if (!first_) {
            new_line(depth_);
        }
        first_ = false;
    }

    void new_line(std::size_t depth)
    {
        out_ += newline_;
        for (std::size_t i = 0; i < depth; i++) {
            out_ += indent_;
        }
    }

    /// Writes the words and the comments between them. Returns whether the last one is a comment.
    bool write_words(const Directive& directive, std::uint32_t body)
    {
        const Directives inner = directive.children();
        auto comment = inner.begin();
        bool behind_comment = false;
        const auto comments_before = [&](std::uint32_t offset) {
            for (; comment != inner.end() && (*comment).is_comment() &&
                   (*comment).range().begin < offset;
                 ++comment) {
                const Range range = (*comment).range();
                write_part(range, behind_comment);
                behind_comment = true;
            }
        };
        const std::size_t words = directive.size() - (directive.kind() == Kind::text ? 1 : 0);
        end_ = directive.range().begin;
        for (std::size_t i = 0; i < words; i++) {
            const Range range = directive.word(i).range();
            comments_before(range.begin);
            write_part(range, behind_comment);
            behind_comment = false;
        }
        comments_before(body);
        return behind_comment;
    }

    /// Writes a word of a directive, on a line of its own if it had one.
    void write_part(Range range, bool behind_comment)
    {
        const std::string_view between = bytes_.substr(end_, range.begin - end_);
        if (behind_comment || between.find('\n') != between.npos) {
            new_line(depth_ + 1);
        } else if (!between.empty()) {
            out_ += ' ';
        }
        out_ += bytes_.substr(range.begin, range.end - range.begin);
        end_ = range.end;
    }

    const Tree& tree_;
    std::string_view bytes_;
    std::string out_{};
    std::string_view indent_;
    std::string_view newline_;
    std::size_t depth_ = 0;
    std::uint32_t end_ = 0;        // the bytes before it are written
    std::uint32_t words_end_ = 0;  // of the current directive
    bool first_ = true;
    bool block_starts_ = false;  // a block has nothing in it so far
};

/// Writes the words as they are, and no comment.
class Minifier {
public:
    explicit Minifier(const Tree& tree) : tree_(tree), out_(mark_of(tree)) {}

    std::string write()
    {
        tree_.walk_file(
            0, [this](const Directive& directive) { return enter(directive); },
            [this](const Directive& directive) {
                if (directive.kind() == Kind::block) {
                    out_ += '}';
                }
            });
        out_ += '\n';
        return without_new_mark(tree_, std::move(out_), "\n");
    }

private:
    bool enter(const Directive& directive)
    {
        if (directive.is_comment()) {
            return true;
        }
        const bool has_text = directive.kind() == Kind::text;
        const std::size_t words = directive.size() - (has_text ? 1 : 0);
        std::string_view word;
        for (std::size_t i = 0; i < words; i++) {
            word = directive.word(i).raw();
            out_ += (i == 0 ? "" : " ");
            out_ += word;
        }
        if (directive.kind() == Kind::simple) {
            out_ += ';';
            return true;
        }
        // "${" would be the beginning of a variable.
        while (word.ends_with('{')) {
            word.remove_suffix(1);
        }
        out_ += word.ends_with('$') ? " {" : "{";
        if (has_text) {
            out_ += directive.word(words).raw();
            out_ += '}';
        }
        return true;
    }

    const Tree& tree_;
    std::string out_;
};

}  // namespace

std::string format(const Tree& tree, std::string_view indent)
{
    return Formatter(tree, indent).write();
}

std::string minify(const Tree& tree)
{
    return Minifier(tree).write();
}

}  // namespace ngx::conf
