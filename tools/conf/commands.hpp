#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tools/conf/conf.hpp"
#include "tools/conf/output.hpp"

/// \file
/// The commands of ngxx-conf. Each returns the exit status, and throws an exception if a file
/// cannot be read or written.

namespace ngx::conf {

/// How the words of a configuration are written in JSON.
enum class Escapes {
    crossplane,  // with their backslashes, except those before the quote around the word
    nginx,       // as nginx understands them
};

struct CommandOptions {
    std::string file{};
    std::string out{};
    std::optional<std::size_t> indent{};
    bool tabs = false;
    Escapes escapes = Escapes::crossplane;

    // parse
    bool combine = false;
    bool comments = false;
    bool single = false;
    bool columns = false;
    bool no_catch = false;
    bool lossless = false;
    bool strict = false;
    bool check_ctx = false;
    bool check_args = false;
    std::vector<std::string> ignore{};
    std::optional<std::string> prefix{};

    // lex
    bool line_numbers = false;

    // build
    std::string directory{};
    bool force = false;
    bool no_headers = false;
    bool to_stdout = false;
    bool verbose = false;

    // set
    std::string path{};
    std::string value{};
    bool add = false;
};

int parse_command(const CommandOptions& options);
int lex_command(const CommandOptions& options);
int build_command(const CommandOptions& options);
int format_command(const CommandOptions& options);
int minify_command(const CommandOptions& options);
int set_command(const CommandOptions& options);

/// A file has errors, or cannot be changed as asked: exit status 1.
class Refused : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Prints the errors of a tree to standard error. Returns how many they are.
std::size_t print_errors(const Tree& tree);
std::size_t print_errors(const Tree& tree, const std::vector<Error>& errors, std::size_t more);

/// Reads the file of a command, and no included one. Throws an exception if it cannot be read.
void read_file(Tree& tree, const CommandOptions& options);

/// Reads the file of a command that writes it in another form. Throws Refused if it has an error
/// that such a command would not keep.
void read_valid(Tree& tree, const CommandOptions& options);

/// Returns a word as it is in JSON.
std::string json_word(const Directive& directive, std::size_t i, Escapes escapes);

/// Returns the words of a directive as they are in JSON: an `if` has no parentheses.
std::vector<std::string> json_words(const Directive& directive, Escapes escapes);

/// Returns a word of JSON as nginx is to read it.
std::string written_word(std::string_view word, Escapes escapes);

/// The content of a directive or a comment in JSON.
struct Wanted {
    std::vector<std::string> words{};  // the name first; none for a comment
    std::string comment{};
    bool is_comment = false;
    bool is_block = false;
    Escapes escapes = Escapes::crossplane;
};

/// Returns the bytes of a directive in the lossless form so that they say what is wanted: they are
/// changed only where they say something else. Returns nothing if they are not one directive.
/// `begins_file` is whether a byte order mark at their beginning is one.
std::optional<std::string> fitted_text(const std::string& text, bool begins_file,
                                       const Wanted& wanted);

/// Returns text with each CR LF and CR as LF, as Python reads it.
std::string with_newlines(std::string_view text);

}  // namespace ngx::conf
