#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// \file
/// A reader of nginx's configurations that keeps every byte: the words, the comments, the blanks.
/// It knows nginx's rules of words, blocks and includes, and no directive except `include`: it
/// reads a configuration of any module and any version. It opens the files of the configuration,
/// and nothing else.
///
///     ngx::conf::Tree tree;
///     tree.read("/etc/nginx/nginx.conf");
///     for (const ngx::conf::Error& error : tree.errors()) {
///         std::cerr << tree.message(error) << '\n';
///     }
///     tree.walk([](const ngx::conf::Directive& directive) {
///         std::cout << directive.name() << ' ' << directive.place().line << '\n';
///         return true;  // its block, too
///     });

namespace ngx::conf {

class Tree;

/// A place in a file. Line and column are counted from 1, the column in bytes; both are 0 if the
/// place is a whole file.
struct Place {
    std::string_view file{};
    std::size_t line = 0;
    std::size_t column = 0;
};

/// The bytes [begin, end) of a file.
struct Range {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
};

enum class ErrorKind : std::uint8_t {
    cannot_read,        // the file is missing, or is not a file that can be read
    byte_order_mark,    // nginx reads it as a part of the first word
    unexpected_char,    // ";" or "{" without a word, "}" without a block
    after_quote,        // a word begins directly behind a closing quote
    not_terminated,     // "}" or the end of the file in place of ";"
    unclosed_quote,     // the word is taken to end where its line ends
    unclosed_block,     // the end of the file in place of "}"
    unclosed_text,      // the same in the Lua code of a block
    too_long,           // a word or a comment that nginx's buffer cannot hold
    include_arguments,  // `include` without exactly one word, or with a block
    include_loop,       // a file that includes itself, directly or through others
    include_depth,      // more than max_include_depth files that include one another
    refused,            // by a program that checks directives; no tree has such an error
};

/// An error that has been found. The reading goes on behind it.
struct Error {
    ErrorKind kind;
    std::uint32_t file;    // number of the file in which it is
    std::uint32_t offset;  // in bytes from the file's beginning
    std::string text;      // nginx's message where nginx has one
    std::string hint;      // what to change; may be empty
    int err = 0;           // errno of cannot_read
    std::string name{};    // the name of the file that cannot be read
};

/// The most errors that a tree holds.
inline constexpr std::size_t max_errors = 10'000;

/// The most bytes of all files together.
inline constexpr std::size_t max_bytes = 512 * 1024 * 1024 - 1;

/// The longest chain of files that include one another. nginx has no limit except those of the
/// descriptors and the stack.
inline constexpr std::uint32_t max_include_depth = 1000;

enum class Kind : std::uint8_t {
    simple,   // NAME WORD...;
    block,    // NAME WORD... { ... }
    text,     // a block with code of another language: the last word is the code
    broken,   // without its end: not_terminated has been reported
    open,     // a block without its end: unclosed_block has been reported
    comment,  // # up to the end of the line
};

/// A directive or comment in the tree, in 16 bytes. It is internal to the library.
class Node {
public:
    Node() = default;
    Node(Kind kind, std::uint32_t offset, std::uint32_t word) noexcept
        : begin(offset)
        , end(offset)
        , first_word(word)
        , kind_(static_cast<std::uint32_t>(kind))
    {}
    [[nodiscard]] Kind kind() const noexcept { return static_cast<Kind>(kind_ & kind_mask); }
    void set_kind(Kind kind) noexcept
    {
        kind_ = (kind_ & ~kind_mask) | static_cast<std::uint32_t>(kind);
    }

    /// The number of the node behind the last one of its block.
    [[nodiscard]] std::uint32_t next() const noexcept { return kind_ >> kind_bits; }
    void set_next(std::uint32_t next) noexcept
    {
        kind_ = (next << kind_bits) | (kind_ & kind_mask);
    }

    std::uint32_t begin;
    std::uint32_t end;
    std::uint32_t first_word;

private:
    static constexpr std::uint32_t kind_bits = 3;
    static constexpr std::uint32_t kind_mask = (1U << kind_bits) - 1;

    std::uint32_t kind_;  // and next()
};

/// A word as it is written. It refers to bytes of the tree.
class Word {
public:
    Word(std::string_view file, Range range) noexcept : file_(file), range_(range) {}

    /// Returns the word with its quotes and escapes.
    [[nodiscard]] std::string_view raw() const noexcept
    {
        return file_.substr(range_.begin, range_.end - range_.begin);
    }

    /// Returns the quote around the word, or 0.
    [[nodiscard]] char quote() const noexcept;

    /// Returns the word without its quotes, with its escapes.
    [[nodiscard]] std::string_view inner() const noexcept;

    /// Returns the word as nginx understands it: without quotes, \" \' \\ \t \r \n decoded.
    [[nodiscard]] std::string value() const;

    /// Compares the value without making a string in the usual case.
    [[nodiscard]] bool is(std::string_view value) const;

    [[nodiscard]] Range range() const noexcept { return range_; }

private:
    std::string_view file_;
    Range range_;
};

/// A file of the configuration.
struct File {
    std::string name;
    std::string bytes;
    std::vector<std::uint32_t> lines;  // where each line begins
    std::uint32_t first = 0;           // its nodes are [first, last)
    std::uint32_t last = 0;
    std::uint32_t includer = 0;  // the node of the directive that was the first to include it
    std::uint32_t number = 0;
    bool was_read = false;
};

/// A directive, or a comment, of a tree. It is a small handle, valid as long as the tree.
class Directive {
public:
    Directive(const Tree& tree, const File& file, std::uint32_t node) noexcept
        : tree_(&tree)
        , file_(&file)
        , node_(node)
    {}

    [[nodiscard]] Kind kind() const noexcept;
    [[nodiscard]] bool is_comment() const noexcept { return kind() == Kind::comment; }
    [[nodiscard]] bool is_block() const noexcept
    {
        return kind() == Kind::block || kind() == Kind::open;
    }

    /// Returns the decoded first word; it is empty for a comment, and for "{" without words.
    [[nodiscard]] std::string name() const;
    [[nodiscard]] bool is(std::string_view name) const;

    /// Returns the number of words, the name included.
    [[nodiscard]] std::size_t size() const noexcept;
    [[nodiscard]] Word word(std::size_t i) const noexcept;

    /// Returns the decoded words behind the name.
    [[nodiscard]] std::vector<std::string> args() const;

    /// Returns a comment without "#" and without the end of its line.
    [[nodiscard]] std::string_view comment() const noexcept;

    /// Returns the bytes from the name to ";" or "}", both included.
    [[nodiscard]] Range range() const noexcept;

    /// Returns the bytes between the braces of a block, or of a text; otherwise an empty range.
    [[nodiscard]] Range body() const noexcept;

    [[nodiscard]] Place place() const noexcept;
    [[nodiscard]] Place place_of(const Word& word) const noexcept;

    /// Returns the directives and comments of the block. Comments between the words come first;
    /// they begin before body().
    [[nodiscard]] class Directives children() const noexcept;

    /// Returns the numbers of the files that an `include` includes, in nginx's order. A file that
    /// would be a loop or too deep is reported, and left out unless `all` is true.
    [[nodiscard]] std::vector<std::uint32_t> included(bool all = false) const;

    [[nodiscard]] const File& file() const noexcept { return *file_; }
    [[nodiscard]] std::uint32_t node() const noexcept { return node_; }

private:
    const Tree* tree_;
    const File* file_;
    std::uint32_t node_;
};

/// The directives of a file or block, without those of the blocks in it.
class Directives {
public:
    class Iterator {
    public:
        using difference_type = std::ptrdiff_t;
        using value_type = Directive;

        Iterator() noexcept = default;
        Iterator(const Tree* tree, const File* file, std::uint32_t node) noexcept
            : tree_(tree)
            , file_(file)
            , node_(node)
        {}
        Directive operator*() const noexcept { return {*tree_, *file_, node_}; }
        Iterator& operator++() noexcept;
        Iterator operator++(int) noexcept
        {
            const Iterator before = *this;
            ++*this;
            return before;
        }
        bool operator==(const Iterator& other) const noexcept { return node_ == other.node_; }

    private:
        const Tree* tree_ = nullptr;
        const File* file_ = nullptr;
        std::uint32_t node_ = 0;
    };

    Directives(const Tree& tree, const File& file, std::uint32_t first, std::uint32_t last) noexcept
        : tree_(&tree)
        , file_(&file)
        , first_(first)
        , last_(last)
    {}
    [[nodiscard]] Iterator begin() const noexcept { return {tree_, file_, first_}; }
    [[nodiscard]] Iterator end() const noexcept { return {tree_, file_, last_}; }
    [[nodiscard]] bool empty() const noexcept { return first_ == last_; }

private:
    const Tree* tree_;
    const File* file_;
    std::uint32_t first_;
    std::uint32_t last_;
};

/// An array that grows without moving what it has: a tree of a million lines has no copies.
template <typename T>
class Chunks {
public:
    void push_back(const T& value)
    {
        if (size_ % chunk == 0) {
            chunks_.push_back(std::unique_ptr<T[]>(new T[chunk]));
        }
        chunks_[size_ / chunk][size_ % chunk] = value;
        size_++;
    }
    [[nodiscard]] const T& operator[](std::size_t i) const noexcept
    {
        return chunks_[i / chunk][i % chunk];
    }
    T& operator[](std::size_t i) noexcept { return chunks_[i / chunk][i % chunk]; }
    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

private:
    static constexpr std::size_t chunk = 4096;
    std::vector<std::unique_ptr<T[]>> chunks_{};
    std::uint32_t size_ = 0;
};

/// How to read.
struct Options {
    bool follow_includes = true;

    /// The directory at which relative names of included files start. Without one it is that of
    /// the first file, as in nginx.
    std::optional<std::string> conf_prefix{};

    /// The names of blocks in which no include is followed.
    std::vector<std::string> ignore{};
};

/// A configuration: all its files and their directives, as they are written. A file that is
/// included several times is in it once.
class Tree {
public:
    Tree() = default;
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;

    /// Reads a file and those that it includes. The name "-" is the standard input. Returns false
    /// if the file cannot be read; other errors do not stop the reading. May be called once.
    bool read(std::string_view name, const Options& options = {});

    /// Reads a text as if it were the file `name`.
    void read_text(std::string_view name, std::string text, const Options& options = {});

    /// Returns the files, the first one first. The files that a file includes come behind those
    /// that the files before it include.
    [[nodiscard]] const std::vector<std::unique_ptr<File>>& files() const noexcept
    {
        return files_;
    }

    /// Returns the directives of a file outside of its blocks.
    [[nodiscard]] Directives directives(std::uint32_t file = 0) const noexcept;

    /// Returns the errors, file by file in the order of their places; loops come last.
    [[nodiscard]] const std::vector<Error>& errors() const noexcept { return errors_; }

    /// Returns how many errors there are besides those of errors(), which is full.
    [[nodiscard]] std::size_t more_errors() const noexcept { return more_errors_; }

    /// Returns "FILE:LINE:COLUMN: TEXT; HINT".
    [[nodiscard]] std::string message(const Error& error) const;
    [[nodiscard]] Place place(const Error& error) const noexcept;
    [[nodiscard]] Place place(const File& file, std::uint32_t offset) const noexcept;

    /// Calls `enter` for each directive and comment in the order in which nginx reads them:
    /// those of an included file follow the `include`. The block of a directive is left out if
    /// `enter` returns false; so are the files of an `include`. `leave` is called behind each
    /// block and each `include` that was entered. Returns false if it ended early because files
    /// that include one another have more than `limit` directives.
    using Enter = std::function<bool(const Directive&)>;
    using Leave = std::function<void(const Directive&)>;
    bool walk(const Enter& enter, const Leave& leave = {}, std::size_t limit = 100'000'000) const;

    /// Does the same with the directives of one file, and does not follow includes.
    void walk_file(std::uint32_t file, const Enter& enter, const Leave& leave = {}) const;

    [[nodiscard]] const Node& node(std::uint32_t i) const noexcept { return nodes_[i]; }
    [[nodiscard]] Range word(std::uint32_t i) const noexcept { return words_[i]; }
    [[nodiscard]] std::uint32_t words_end(std::uint32_t node) const noexcept;

    /// An edge of the graph of files. All fields are internal to the library.
    struct Edge {
        std::uint32_t node;
        std::uint32_t from;
        std::uint32_t to;
        bool cut;  // reported as a loop or too deep
    };
    [[nodiscard]] const std::vector<Edge>& edges() const noexcept { return edges_; }

private:
    friend class Parser;
    friend class Includes;
    friend class Graph;

    bool walk_from(std::uint32_t file, bool follow, const Enter& enter, const Leave& leave,
                   std::size_t limit) const;
    void add_error(Error error);
    File& add_file(std::string name, std::string bytes);
    void read_files(const Options& options);

    std::vector<std::unique_ptr<File>> files_{};
    std::unordered_map<std::string_view, std::uint32_t> numbers_{};  // of the files, by name
    Chunks<Node> nodes_{};
    Chunks<Range> words_{};
    std::vector<Edge> edges_{};  // in the order of their nodes
    std::vector<Error> errors_{};
    std::size_t more_errors_ = 0;
    std::size_t bytes_ = 0;  // of all files
};

/// Returns the first file of a tree without syntax errors with one indent a level. Its words,
/// quotes, comments and empty lines remain, and so do the words that begin their line.
std::string format(const Tree& tree, std::string_view indent = "    ");

/// Returns the first file of a tree without syntax errors without comments and unnecessary blanks.
std::string minify(const Tree& tree);

}  // namespace ngx::conf
