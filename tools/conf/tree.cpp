#include <algorithm>
#include <fmt/format.h>

#include "core/conf_escape.hpp"
#include "tools/conf/conf.hpp"

namespace ngx::conf {

char Word::quote() const noexcept
{
    const std::string_view word = raw();
    return !word.empty() && (word.front() == '"' || word.front() == '\'') ? word.front() : '\0';
}

std::string_view Word::inner() const noexcept
{
    std::string_view word = raw();
    const char mark = quote();
    if (mark == '\0') {
        return word;
    }
    word.remove_prefix(1);
    if (word.ends_with(mark)) {
        word.remove_suffix(1);
    }
    return word;
}

std::string Word::value() const
{
    const std::string_view word = inner();
    std::string value;
    value.reserve(word.size());
    conf_unescape(word, [&value](char ch) { value += ch; });
    return value;
}

bool Word::is(std::string_view value) const
{
    const std::string_view word = inner();
    return word.find('\\') == word.npos ? word == value : this->value() == value;
}

Kind Directive::kind() const noexcept
{
    return tree_->node(node_).kind();
}

std::string Directive::name() const
{
    return size() == 0 ? std::string() : word(0).value();
}

bool Directive::is(std::string_view name) const
{
    return size() != 0 && word(0).is(name);
}

std::size_t Directive::size() const noexcept
{
    return tree_->words_end(node_) - tree_->node(node_).first_word;
}

Word Directive::word(std::size_t i) const noexcept
{
    const auto number = tree_->node(node_).first_word + static_cast<std::uint32_t>(i);
    return {file_->bytes, tree_->word(number)};
}

std::vector<std::string> Directive::args() const
{
    std::vector<std::string> args;
    const std::size_t words = size();
    // The code of another language has no quotes and escapes of nginx.
    const std::size_t code = kind() == Kind::text ? words - 1 : words;
    for (std::size_t i = 1; i < words; i++) {
        args.push_back(i == code ? std::string(word(i).raw()) : word(i).value());
    }
    return args;
}

std::string_view Directive::comment() const noexcept
{
    const Node& node = tree_->node(node_);
    return std::string_view(file_->bytes).substr(node.begin + 1, node.end - node.begin - 1);
}

Range Directive::range() const noexcept
{
    const Node& node = tree_->node(node_);
    return {node.begin, node.end};
}

Range Directive::body() const noexcept
{
    if (kind() == Kind::text) {
        return word(size() - 1).range();
    }
    if (!is_block()) {
        return {range().end, range().end};
    }
    const std::string_view bytes = file_->bytes;
    std::size_t pos = size() == 0 ? range().begin : word(size() - 1).range().end;
    while (bytes[pos] != '{') {
        pos = bytes[pos] == '#' ? bytes.find('\n', pos) : pos + 1;
    }
    const bool closed = kind() == Kind::block;
    return {static_cast<std::uint32_t>(pos + 1), range().end - (closed ? 1 : 0)};
}

Place Directive::place() const noexcept
{
    return tree_->place(*file_, range().begin);
}

Place Directive::place_of(const Word& word) const noexcept
{
    return tree_->place(*file_, word.range().begin);
}

Directives Directive::children() const noexcept
{
    return {*tree_, *file_, node_ + 1, tree_->node(node_).next()};
}

std::vector<std::uint32_t> Directive::included(bool all) const
{
    const auto& edges = tree_->edges();
    std::vector<std::uint32_t> files;
    auto edge = std::ranges::lower_bound(edges, node_, {}, &Tree::Edge::node);
    for (; edge != edges.end() && edge->node == node_; ++edge) {
        if (all || !edge->cut) {
            files.push_back(edge->to);
        }
    }
    return files;
}

Directives::Iterator& Directives::Iterator::operator++() noexcept
{
    node_ = tree_->node(node_).next();
    return *this;
}

Directives Tree::directives(std::uint32_t file) const noexcept
{
    return {*this, *files_[file], files_[file]->first, files_[file]->last};
}

std::uint32_t Tree::words_end(std::uint32_t node) const noexcept
{
    return node + 1 < nodes_.size() ? nodes_[node + 1].first_word : words_.size();
}

void Tree::add_error(Error error)
{
    if (errors_.size() == max_errors) {
        more_errors_++;
    } else {
        errors_.push_back(std::move(error));
    }
}

std::string Tree::message(const Error& error) const
{
    const Place where = place(error);
    std::string text(where.file);
    if (where.line != 0) {
        text += fmt::format(":{}:{}", where.line, where.column);
    }
    text += ": " + error.text;
    return error.hint.empty() ? text : text + "; " + error.hint;
}

Place Tree::place(const Error& error) const noexcept
{
    const File& file = *files_[error.file];
    return file.was_read ? place(file, error.offset) : Place{file.name, 0, 0};
}

Place Tree::place(const File& file, std::uint32_t offset) const noexcept
{
    const auto behind = std::ranges::upper_bound(file.lines, offset);
    return {file.name, static_cast<std::size_t>(behind - file.lines.begin()),
            offset - *(behind - 1) + 1};
}

namespace {

/// A block or file that walk() is in, or an `include` that it has to leave.
struct Level {
    const File* file;
    std::uint32_t node;  // the next one
    std::uint32_t last;
    std::optional<Directive> leave{};
};

}  // namespace

bool Tree::walk(const Enter& enter, const Leave& leave, std::size_t limit) const
{
    return files_.empty() || walk_from(0, true, enter, leave, limit);
}

void Tree::walk_file(std::uint32_t file, const Enter& enter, const Leave& leave) const
{
    walk_from(file, false, enter, leave, nodes_.size());
}

bool Tree::walk_from(std::uint32_t file, bool follow, const Enter& enter, const Leave& leave,
                     std::size_t limit) const
{
    std::vector<Level> levels{{files_[file].get(), files_[file]->first, files_[file]->last}};
    while (!levels.empty()) {
        Level& level = levels.back();
        if (level.node == level.last) {
            const std::optional<Directive> left = level.leave;
            levels.pop_back();
            if (left && leave) {
                leave(*left);
            }
            continue;
        }
        if (limit-- == 0) {
            return false;
        }

        const Directive directive(*this, *level.file, level.node);
        level.node = nodes_[level.node].next();
        if (!enter(directive) || directive.is_comment()) {
            continue;
        }
        const auto files = follow ? directive.included() : std::vector<std::uint32_t>();
        const bool has_block = directive.is_block() || directive.node() + 1 != level.node;
        if (has_block || !files.empty()) {
            levels.push_back({level.file, directive.node() + 1, level.node, directive});
        }
        for (std::size_t i = files.size(); i-- > 0;) {
            const File& included = *files_[files[i]];
            levels.push_back({&included, included.first, included.last});
        }
    }
    return true;
}

}  // namespace ngx::conf
