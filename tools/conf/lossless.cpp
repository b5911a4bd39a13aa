#include <algorithm>
#include <vector>

#include "tools/conf/commands.hpp"

namespace ngx::conf {

namespace {

/// Bytes that take the place of others.
struct TextEdit {
    Range range;
    std::string text;
};

std::string with_edits(std::string text, const std::vector<TextEdit>& edits)
{
    for (auto edit = edits.rbegin(); edit != edits.rend(); ++edit) {
        text.replace(edit->range.begin, edit->range.end - edit->range.begin, edit->text);
    }
    return text;
}

/// Returns the only directive, or for a comment the last one. Comments may be before it: those
/// behind a directive without its end are in the text of the next one.
std::optional<Directive> only_directive(const Tree& tree, bool is_comment)
{
    std::optional<Directive> found;
    for (const Directive directive : tree.directives()) {
        if (found && !found->is_comment()) {
            return std::nullopt;
        }
        found = directive;
    }
    return found && found->is_comment() == is_comment ? found : std::nullopt;
}

/// Returns false for a block of code whose words are not as many as before: the code is the last.
bool can_fit(const Directive& directive, const Wanted& wanted)
{
    return directive.kind() != Kind::text ||
           (!wanted.is_block && wanted.words.size() == directive.size());
}

/// Changes the bytes of one directive.
class Fitting {
public:
    Fitting(const Directive& directive, const Wanted& wanted)
        : directive_(directive)
        , wanted_(wanted)
    {}

    /// Returns the changes in the order of their places.
    std::vector<TextEdit> edits()
    {
        const std::vector<std::string> words = json_words(directive_, wanted_.escapes);
        if (words.front() != wanted_.words.front()) {
            replace(0, written(0));
        }
        const bool same_args = std::equal(words.begin() + 1, words.end(), wanted_.words.begin() + 1,
                                          wanted_.words.end());
        const bool is_if = words.front() == "if" || wanted_.words.front() == "if";
        if (!same_args && !is_if && words.size() == wanted_.words.size()) {
            replace_changed(words);
        } else if (!same_args) {
            replace_all();
        }
        fit_end();
        return std::move(edits_);
    }

private:
    [[nodiscard]] bool is_code(std::size_t i) const
    {
        return directive_.kind() == Kind::text && i + 1 == directive_.size();
    }

    [[nodiscard]] std::string written(std::size_t i) const
    {
        return is_code(i) ? wanted_.words[i] : written_word(wanted_.words[i], wanted_.escapes);
    }

    void replace(std::size_t i, std::string text)
    {
        const std::uint32_t begin = directive_.range().begin;
        const Range range = directive_.size() == 0 ? Range{begin, begin} : range_of(i);
        edits_.push_back({range, std::move(text)});
    }

    [[nodiscard]] Range range_of(std::size_t i) const { return directive_.word(i).range(); }

    void replace_changed(const std::vector<std::string>& words)
    {
        for (std::size_t i = 1; i < words.size(); i++) {
            if (words[i] != wanted_.words[i]) {
                replace(i, written(i));
            }
        }
    }

    /// Writes all words in place of the first one. The comments between the others remain.
    void replace_all()
    {
        const std::string args = all_args();
        if (directive_.size() < 2) {
            const std::uint32_t end =
                directive_.size() == 0 ? directive_.range().begin : range_of(0).end;
            edits_.push_back({{end, end}, args});
            return;
        }
        edits_.push_back({{range_of(0).end, range_of(0).end}, args});
        for (std::size_t i = 1; i < directive_.size(); i++) {
            edits_.push_back({with_blanks(range_of(i)), ""});
        }
    }

    [[nodiscard]] std::string all_args() const
    {
        std::string args;
        for (std::size_t i = 1; i < wanted_.words.size(); i++) {
            args += args.empty() ? "" : " ";
            args += written_word(wanted_.words[i], wanted_.escapes);
        }
        if (wanted_.words.front() == "if") {
            return " (" + args + ")";
        }
        return args.empty() ? args : " " + args;
    }

    /// Returns the bytes of a word and of the blanks before it in its line.
    [[nodiscard]] Range with_blanks(Range range) const
    {
        const std::string_view bytes = directive_.file().bytes;
        while (bytes[range.begin - 1] == ' ' || bytes[range.begin - 1] == '\t') {
            range.begin--;
        }
        return range;
    }

    void fit_end()
    {
        if (directive_.is_block() == wanted_.is_block) {
            return;
        }
        const std::uint32_t end =
            directive_.is_block() ? directive_.body().begin : directive_.range().end;
        const bool has_end = directive_.kind() != Kind::broken;
        edits_.push_back({{has_end ? end - 1 : end, end}, wanted_.is_block ? " {" : ";"});
    }

    const Directive& directive_;
    const Wanted& wanted_;
    std::vector<TextEdit> edits_{};
};

}  // namespace

std::optional<std::string> fitted_text(const std::string& text, bool begins_file,
                                       const Wanted& wanted)
{
    // Behind a line end no bytes are a byte order mark.
    const std::string before = begins_file ? "" : "\n";
    Tree tree;
    tree.read_text("", before + text, {.follow_includes = false});
    const std::optional<Directive> directive = only_directive(tree, wanted.is_comment);
    if (!directive || !can_fit(*directive, wanted)) {
        return std::nullopt;
    }
    std::vector<TextEdit> edits;
    if (!wanted.is_comment) {
        edits = Fitting(*directive, wanted).edits();
    } else if (with_newlines(directive->comment()) != wanted.comment) {
        edits.push_back({directive->range(), '#' + wanted.comment});
    }
    return with_edits(before + text, edits).substr(before.size());
}

}  // namespace ngx::conf
