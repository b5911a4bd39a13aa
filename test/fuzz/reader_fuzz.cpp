/// \file
/// The input is an nginx.conf for the library of ngxx-conf; no include is followed. The words and
/// comments of the tree must contain each byte once that is not a blank, a brace or a semicolon. A
/// text without errors must have the same words in its formatted and in its minified form, and
/// these must be their own forms.

#include "test/fuzz/fuzz.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tools/conf/conf.hpp"

namespace ngx::test {

namespace {

[[noreturn]] void broken(const char* promise)
{
    std::fprintf(stderr, "reader_fuzz: %s\n", promise);
    std::abort();
}

/// The bytes of a file that belong to a word or comment.
class Cover {
public:
    explicit Cover(const conf::Tree& tree) : bytes_(tree.files().front()->bytes)
    {
        covered_.resize(bytes_.size());
        tree.walk_file(0, [this](const conf::Directive& directive) {
            add(directive);
            return true;
        });
    }

    void check() const
    {
        const std::size_t mark = bytes_.starts_with("\xEF\xBB\xBF") ? 3 : 0;
        for (std::size_t i = mark; i < bytes_.size(); i++) {
            if (!covered_[i] && std::string_view(" \t\r\n;{}").find(bytes_[i]) == bytes_.npos) {
                broken("a byte is in no word");
            }
        }
    }

private:
    void add(const conf::Directive& directive)
    {
        const conf::Range range = directive.range();
        if (range.begin > range.end || range.end > bytes_.size()) {
            broken("a directive is not in its file");
        }
        for (std::size_t i = 0; i < directive.size(); i++) {
            const conf::Range word = directive.word(i).range();
            if (word.begin < range.begin || word.end > range.end) {
                broken("a word is not in its directive");
            }
            add(word);
        }
        if (directive.is_comment()) {
            add(range);
        }
        const conf::Range body = directive.body();
        if (body.begin < range.begin || body.end > range.end || body.begin > body.end) {
            broken("a block is not in its directive");
        }
    }

    void add(conf::Range range)
    {
        for (std::size_t i = range.begin; i < range.end; i++) {
            if (covered_[i]) {
                broken("a byte is in two words");
            }
            covered_[i] = true;
        }
    }

    std::string_view bytes_;
    std::vector<bool> covered_{};
};

/// Returns the words and comments of a text without errors, and where its blocks begin and end.
std::vector<std::string> words_of(const std::string& text, bool with_comments)
{
    conf::Tree tree;
    tree.read_text("nginx.conf", text, {.follow_includes = false});
    for (const conf::Error& error : tree.errors()) {
        if (error.kind != conf::ErrorKind::too_long) {
            broken("another form of the text has an error");
        }
    }
    std::vector<std::string> words;
    const auto enter = [&](const conf::Directive& directive) {
        if (directive.is_comment()) {
            if (with_comments) {
                words.emplace_back(directive.comment());
            }
            return true;
        }
        for (std::size_t i = 0; i < directive.size(); i++) {
            words.emplace_back(directive.word(i).raw());
        }
        words.emplace_back(directive.is_block() ? "{" : ";");
        return true;
    };
    tree.walk_file(0, enter, [&](const conf::Directive&) { words.emplace_back("}"); });
    return words;
}

std::string again(const std::string& text, bool minified)
{
    conf::Tree tree;
    tree.read_text("nginx.conf", text, {.follow_includes = false});
    return minified ? conf::minify(tree) : conf::format(tree);
}

}  // namespace

bool reads(std::string_view text)
{
    conf::Tree tree;
    tree.read_text("nginx.conf", std::string(text), {.follow_includes = false});
    Cover(tree).check();
    for (const conf::Error& error : tree.errors()) {
        if (tree.message(error).empty()) {
            broken("an error has no message");
        }
    }
    if (!tree.errors().empty()) {
        return false;
    }

    const std::string formatted = conf::format(tree);
    const std::string minified = conf::minify(tree);
    if (words_of(formatted, true) != words_of(std::string(text), true)) {
        broken("the formatted text has other words");
    }
    if (again(formatted, false) != formatted || again(minified, true) != minified) {
        broken("the form of a form differs");
    }
    if (words_of(again(minified, false), false) != words_of(minified, false)) {
        broken("the minified text has other words");
    }
    return true;
}

}  // namespace ngx::test

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    ngx::test::reads(std::string_view(reinterpret_cast<const char*>(data), size));
    return 0;
}
