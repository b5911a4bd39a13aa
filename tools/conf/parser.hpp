#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/conf/conf.hpp"

/// \file
/// The parts of the reader that are not in its interface.

namespace ngx::conf {

/// The bytes that some editors write at the beginning of a file.
inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// Resolves the includes of a tree, and adds their files to it.
class Includes {
public:
    Includes(Tree& tree, const Options& options);

    /// Adds the files of an `include` to the tree, and reports those that cannot be read.
    void add(File& from, std::uint32_t node, const std::string& pattern);

private:
    void add_file(File& from, std::uint32_t node, const std::string& name);

    Tree& tree_;
    std::string prefix_;
};

/// Reports the includes that end in a loop, or that are too deep.
class Graph {
public:
    explicit Graph(Tree& tree) : tree_(tree) {}
    void check();

private:
    [[nodiscard]] std::size_t first_edge(std::uint32_t file) const;
    void find_loops();
    void report_loop(Tree::Edge& edge, const std::vector<std::uint32_t>& path);
    void limit_depth();

    Tree& tree_;
    std::vector<std::uint32_t> order_{};  // a file comes behind those that it includes
};

/// Reads the directives of one file into the tree.
class Parser {
public:
    Parser(Tree& tree, File& file, Includes* includes, const Options& options);
    void parse();

private:
    using Offset = std::uint32_t;

    [[nodiscard]] bool at_end() const noexcept { return pos_ == text_.size(); }
    void skip_blanks() noexcept;
    void error(ErrorKind kind, std::size_t offset, std::string text, std::string hint);
    std::uint32_t add_node(Kind kind, std::size_t begin);
    [[nodiscard]] Word word_of(std::uint32_t node, std::size_t i) const noexcept;
    [[nodiscard]] std::string line_of(std::size_t offset) const;

    void read_comment();
    void flush_comments();
    void read_directive();
    void read_words();
    void read_word();
    void read_quoted();
    std::size_t recover_quoted(std::size_t begin, char quote);
    void check_length(std::size_t begin, std::size_t end, char quote);
    void end_directive();
    void not_terminated();
    void open_block();
    void read_text();
    void close_block();
    [[nodiscard]] std::pair<bool, std::size_t> indent_of(std::size_t offset) const;
    [[nodiscard]] std::string odd_brace() const;
    void close_all();
    void include();

    Tree& tree_;
    File& file_;
    Includes* includes_;
    const Options& options_;
    std::string_view text_;
    std::size_t pos_ = 0;
    std::uint32_t node_ = 0;              // the current directive
    std::vector<std::uint32_t> open_{};   // the blocks around it
    std::vector<Range> comments_{};       // between its words
    std::size_t ignored_ = 0;             // how many of the blocks are ignored
    std::size_t no_double_quote_ = npos;  // behind it no string of this kind ends
    std::size_t no_single_quote_ = npos;

    static constexpr std::size_t npos = std::string_view::npos;
};

}  // namespace ngx::conf
