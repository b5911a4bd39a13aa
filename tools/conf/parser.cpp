#include "tools/conf/parser.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "tools/conf/lua.hpp"

namespace ngx::conf {

namespace {

/// The size of nginx's window over a file. A word, with the character that ends it, must fit.
constexpr std::size_t nginx_buffer = 4096;

/// The characters at which a word without quotes may end or has an escape.
constexpr std::array<bool, 256> word_stops = [] {
    std::array<bool, 256> stops{};
    for (const char ch : std::string_view(" \t\r\n;{\\$")) {
        stops[static_cast<unsigned char>(ch)] = true;
    }
    return stops;
}();

constexpr bool is_blank(char ch) noexcept
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

/// Returns the first words of a directive, for a message.
std::string start_of(std::string_view text)
{
    constexpr std::size_t longest = 40;
    text = text.substr(0, text.find('\n'));
    return text.size() <= longest ? std::string(text)
                                  : fmt::format("{}...", text.substr(0, longest));
}

}  // namespace

Parser::Parser(Tree& tree, File& file, Includes* includes, const Options& options)
    : tree_(tree)
    , file_(file)
    , includes_(includes)
    , options_(options)
    , text_(file.bytes)
{}

void Parser::skip_blanks() noexcept
{
    while (pos_ < text_.size() && is_blank(text_[pos_])) {
        pos_++;
    }
}

void Parser::error(ErrorKind kind, std::size_t offset, std::string text, std::string hint)
{
    tree_.add_error(
        {kind, file_.number, static_cast<Offset>(offset), std::move(text), std::move(hint)});
}

std::uint32_t Parser::add_node(Kind kind, std::size_t begin)
{
    const std::uint32_t number = tree_.nodes_.size();
    tree_.nodes_.push_back({kind, static_cast<Offset>(begin), tree_.words_.size()});
    tree_.nodes_[number].set_next(number + 1);
    return number;
}

Word Parser::word_of(std::uint32_t node, std::size_t i) const noexcept
{
    return {text_, tree_.words_[tree_.nodes_[node].first_word + i]};
}

std::string Parser::line_of(std::size_t offset) const
{
    return fmt::format("line {}", tree_.place(file_, static_cast<Offset>(offset)).line);
}

void Parser::parse()
{
    file_.first = tree_.nodes_.size();
    if (text_.starts_with(byte_order_mark)) {
        error(ErrorKind::byte_order_mark, 0, "the file begins with a byte order mark",
              "remove the first three bytes, which nginx reads as a part of the first word");
        pos_ = byte_order_mark.size();
    }
    for (skip_blanks(); !at_end(); skip_blanks()) {
        switch (text_[pos_]) {
        case '#':
            read_comment();
            flush_comments();
            break;
        case ';':
            error(ErrorKind::unexpected_char, pos_, "unexpected \";\"", "remove it");
            pos_++;
            break;
        case '{':
            error(ErrorKind::unexpected_char, pos_, "unexpected \"{\"",
                  "write the name of a block before it");
            node_ = add_node(Kind::block, pos_);
            open_block();
            break;
        case '}':
            close_block();
            break;
        default:
            read_directive();
        }
    }
    close_all();
    file_.last = tree_.nodes_.size();
}

void Parser::read_comment()
{
    const std::size_t begin = pos_;
    const std::size_t line_end = text_.find('\n', begin);
    pos_ = line_end == npos ? text_.size() : line_end;
    check_length(begin, line_end == npos ? pos_ - 1 : pos_, '\0');

    std::size_t end = pos_;
    while (text_[end - 1] == '\r') {
        end--;
    }
    comments_.push_back({static_cast<Offset>(begin), static_cast<Offset>(end)});
}

/// Adds the comments that have been read to the tree.
void Parser::flush_comments()
{
    for (const Range& comment : comments_) {
        tree_.nodes_[add_node(Kind::comment, comment.begin)].end = comment.end;
    }
    comments_.clear();
}

void Parser::read_directive()
{
    node_ = add_node(Kind::simple, pos_);
    read_words();
    if (at_end() || text_[pos_] == '}') {
        not_terminated();
        flush_comments();
    } else if (text_[pos_] == '{') {
        open_block();
    } else {
        pos_++;
        tree_.nodes_[node_].end = static_cast<Offset>(pos_);
        flush_comments();
        tree_.nodes_[node_].set_next(tree_.nodes_.size());
        if (includes_ && word_of(node_, 0).is("include")) {
            include();
        }
    }
}

/// Reads words and comments up to ";", "{", "}" or the end of the file.
void Parser::read_words()
{
    for (;;) {
        skip_blanks();
        if (at_end()) {
            return;
        }
        switch (text_[pos_]) {
        case ';':
        case '{':
        case '}':
            return;
        case '#':
            read_comment();
            break;
        case '"':
        case '\'':
            read_quoted();
            break;
        default:
            read_word();
        }
    }
}

void Parser::read_word()
{
    const std::size_t begin = pos_;
    bool variable = false;  // behind "$": "{" belongs to the word
    while (pos_ < text_.size()) {
        const char ch = text_[pos_];
        if (!word_stops[static_cast<unsigned char>(ch)]) {
            variable = false;
            pos_++;
        } else if (ch == '\\') {
            variable = false;
            pos_ = std::min(pos_ + 2, text_.size());
        } else if (ch == '$' || (ch == '{' && variable)) {
            variable = true;
            pos_++;
        } else {
            break;
        }
    }
    check_length(begin, pos_, '\0');
    tree_.words_.push_back({static_cast<Offset>(begin), static_cast<Offset>(pos_)});
}

void Parser::read_quoted()
{
    const std::size_t begin = pos_;
    const char quote = text_[begin];
    std::size_t& no_quote = quote == '"' ? no_double_quote_ : no_single_quote_;
    const char stops[] = {quote, '\\'};

    std::size_t end = no_quote == npos ? begin + 1 : npos;
    while (end < text_.size()) {
        end = text_.find_first_of(std::string_view(stops, sizeof(stops)), end);
        if (end == npos || text_[end] == quote) {
            break;
        }
        end += 2;
    }
    if (end >= text_.size()) {
        no_quote = begin;
        pos_ = recover_quoted(begin, quote);
        tree_.words_.push_back({static_cast<Offset>(begin), static_cast<Offset>(pos_)});
        return;
    }

    pos_ = end + 1;
    check_length(begin + 1, end, quote);
    tree_.words_.push_back({static_cast<Offset>(begin), static_cast<Offset>(pos_)});
    if (at_end()) {
        return;
    }
    const char next = text_[pos_];
    if (!is_blank(next) && next != ';' && next != '{' && next != ')') {
        const bool has_lines = text_.substr(begin, pos_ - begin).find('\n') != npos;
        error(ErrorKind::after_quote, pos_, fmt::format("unexpected \"{}\"", next),
              "write a blank or \";\" behind the closing quote" +
                  (has_lines ? ", or close the quote earlier: it begins in " + line_of(begin)
                             : std::string()));
    }
}

/// Reports a quote that is not closed. Returns where the word is taken to end: in its line, before
/// a ";" or "{" at the end of the line.
std::size_t Parser::recover_quoted(std::size_t begin, char quote)
{
    const bool too_long = text_.size() - begin - 1 > nginx_buffer;
    error(ErrorKind::unclosed_quote, begin,
          too_long ? fmt::format("too long parameter, probably missing terminating \"{}\" "
                                 "character",
                                 quote)
                   : "unexpected end of file, expecting \";\" or \"}\"",
          fmt::format("close the quote that begins here, in {}", line_of(begin)));

    const std::size_t line_end = std::min(text_.find('\n', begin), text_.size());
    std::string_view line = text_.substr(0, line_end);
    const auto trim = [&] {
        while (line.size() > begin + 1 && is_blank(line.back())) {
            line.remove_suffix(1);
        }
    };
    trim();
    if (line.size() > begin + 1 && (line.back() == ';' || line.back() == '{')) {
        line.remove_suffix(1);
        trim();
    }
    return line.size();
}

/// Reports a word or comment whose end, at `end`, is outside of nginx's window.
void Parser::check_length(std::size_t begin, std::size_t end, char quote)
{
    if (end - begin < nginx_buffer) {
        return;
    }
    const std::size_t place = quote == '\0' ? begin : begin - 1;
    const std::string text =
        quote == '\0'
            ? fmt::format("too long parameter \"{}...\" started", text_.substr(begin, 10))
            : fmt::format("too long parameter, probably missing terminating \"{}\" character",
                          quote);
    error(ErrorKind::too_long, place, text,
          fmt::format("a word or comment of nginx has at most {} bytes", nginx_buffer - 1));
}

/// Ends a directive at "}" or at the end of the file.
void Parser::not_terminated()
{
    const std::uint32_t last_word = tree_.words_.size() - 1;
    Node& node = tree_.nodes_[node_];
    node.end = tree_.words_[last_word].end;
    node.set_kind(Kind::broken);

    const std::string start = start_of(text_.substr(node.begin, node.end - node.begin));
    error(ErrorKind::not_terminated, pos_,
          at_end() ? "unexpected end of file, expecting \";\" or \"}\"" : "unexpected \"}\"",
          fmt::format("write \";\" behind \"{}\" in {}", start, line_of(node.end)));
    node.set_next(tree_.nodes_.size() + static_cast<std::uint32_t>(comments_.size()));
}

/// Enters the block at whose "{" the parser is.
void Parser::open_block()
{
    pos_++;
    tree_.nodes_[node_].set_kind(Kind::block);
    const bool named = tree_.nodes_[node_].first_word != tree_.words_.size();
    const std::string name = named ? word_of(node_, 0).value() : std::string();
    if (name.ends_with("_by_lua_block")) {
        read_text();
        return;
    }
    if (name == "include") {
        error(ErrorKind::include_arguments, pos_ - 1,
              "directive \"include\" is not terminated by \";\"", "write \";\" in place of \"{\"");
    }
    flush_comments();
    open_.push_back(node_);
    const auto& ignore = options_.ignore;
    ignored_ += ignored_ != 0 || std::ranges::find(ignore, name) != ignore.end() ? 1 : 0;
}

/// Reads the Lua code of a block, whose "{" has been read, as its last word.
void Parser::read_text()
{
    const std::size_t begin = pos_;
    std::size_t unclosed = npos;
    pos_ = lua_end(text_, begin, unclosed);
    tree_.words_.push_back({static_cast<Offset>(begin), static_cast<Offset>(pos_)});
    tree_.nodes_[node_].set_kind(Kind::text);
    if (at_end()) {
        const std::string what =
            unclosed == npos
                ? fmt::format("close the block that begins in {}", line_of(begin))
                : fmt::format("close the string or comment that begins in {}", line_of(unclosed));
        error(ErrorKind::unclosed_text, begin - 1, "unexpected end of file, expecting \"}\"", what);
    } else {
        pos_++;
    }
    tree_.nodes_[node_].end = static_cast<Offset>(pos_);
    flush_comments();
    tree_.nodes_[node_].set_next(tree_.nodes_.size());
}

void Parser::close_block()
{
    if (open_.empty()) {
        error(ErrorKind::unexpected_char, pos_, "unexpected \"}\"",
              "remove it, or write the beginning of its block");
        pos_++;
        return;
    }
    pos_++;
    Node& node = tree_.nodes_[open_.back()];
    node.end = static_cast<Offset>(pos_);
    node.set_next(tree_.nodes_.size());
    open_.pop_back();
    ignored_ -= ignored_ != 0 ? 1 : 0;
}

/// Returns whether a place is behind the blanks with which its line begins, and their number.
std::pair<bool, std::size_t> Parser::indent_of(std::size_t offset) const
{
    std::size_t begin = offset;
    while (begin > 0 && is_blank(text_[begin - 1]) && text_[begin - 1] != '\n') {
        begin--;
    }
    return {begin == 0 || text_[begin - 1] == '\n', offset - begin};
}

/// Returns a hint at the first "}" whose indent is less than that of its block: the block may be
/// the one whose "}" is missing.
std::string Parser::odd_brace() const
{
    const Node* first = nullptr;
    for (std::uint32_t i = file_.first; i < tree_.nodes_.size(); i++) {
        const Node& node = tree_.nodes_[i];
        // The end of an open block is its beginning.
        if (node.kind() != Kind::block || node.end == node.begin) {
            continue;
        }
        const auto [begins_line, indent] = indent_of(node.begin);
        const auto [ends_line, end_indent] = indent_of(node.end - 1);
        if (begins_line && ends_line && end_indent < indent &&
            (first == nullptr || node.end < first->end)) {
            first = &node;
        }
    }
    return first == nullptr ? std::string()
                            : fmt::format("; the \"}}\" in {} closes the block that begins in {}, "
                                          "whose indent is another",
                                          line_of(first->end - 1), line_of(first->begin));
}

/// Ends the blocks that are open at the end of the file.
void Parser::close_all()
{
    if (open_.empty()) {
        return;
    }
    constexpr std::size_t listed = 3;
    std::string blocks;
    for (std::size_t i = 0; i < std::min(open_.size(), listed); i++) {
        const Node& node = tree_.nodes_[open_[open_.size() - 1 - i]];
        const std::uint32_t behind = tree_.words_end(open_[open_.size() - 1 - i]);
        const std::size_t end =
            behind == node.first_word ? node.begin + 1 : tree_.words_[behind - 1].end;
        const std::string start = start_of(text_.substr(node.begin, end - node.begin));
        blocks += fmt::format("{}\"{}\" in {}", i == 0 ? "" : ", of ", start, line_of(node.begin));
    }
    error(ErrorKind::unclosed_block, text_.size(), "unexpected end of file, expecting \"}\"",
          fmt::format("write the \"}}\" of {}{}{}", blocks, open_.size() > listed ? ", ..." : "",
                      odd_brace()));

    for (const std::uint32_t number : open_) {
        Node& node = tree_.nodes_[number];
        node.end = static_cast<Offset>(text_.size());
        node.set_next(tree_.nodes_.size());
        node.set_kind(Kind::open);
    }
    open_.clear();
}

/// Resolves the `include` that has been read.
void Parser::include()
{
    const std::uint32_t words = tree_.words_.size() - tree_.nodes_[node_].first_word;
    if (words != 2) {
        error(ErrorKind::include_arguments, tree_.nodes_[node_].begin,
              "invalid number of arguments in \"include\" directive",
              "write one file or pattern behind it");
    } else if (ignored_ == 0) {
        includes_->add(file_, node_, word_of(node_, 1).value());
    }
}

}  // namespace ngx::conf
