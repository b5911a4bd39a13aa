#pragma once

/// \file
/// The directives of nginx and of modules for it (docs/nginx-directives.tsv), and the program for
/// which a configuration is.

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ngx::inspect {

/// A row of the table. All fields have the form of the file.
struct DirectiveRow {
    std::string_view name;
    std::string_view module;
    std::string_view contexts;
    std::string_view arguments;
    std::string_view block;
    std::string_view since;
    std::string_view until;
    std::string_view package;

    [[nodiscard]] bool allows(std::string_view context) const;
    [[nodiscard]] bool takes(std::size_t arguments_n) const;
    [[nodiscard]] bool is_block() const { return !block.empty(); }

    /// Returns the context of the content of a block that is in `context`.
    [[nodiscard]] std::string_view opens(std::string_view context) const;

    /// Returns the permitted numbers of arguments in words.
    [[nodiscard]] std::string arguments_text() const;
};

/// Returns the rows of a name.
std::span<const DirectiveRow> find_directive(std::string_view name);

/// The program for which a configuration is: "nginx-1.24+lua+rtmp", "angie", "tengine".
class Program {
public:
    /// The newest nginx of the table, with any module.
    Program();

    /// Throws std::runtime_error if the text names no program.
    explicit Program(std::string_view text);

    /// Returns "nginx 1.24", or "angie".
    [[nodiscard]] std::string name() const;

    /// Returns true if the program has what the row says.
    [[nodiscard]] bool has(const DirectiveRow& row) const;

    /// Returns true if the program has what the package has in its newest state.
    [[nodiscard]] bool has(std::string_view package) const;

    /// Returns true if the program is as new as this version of nginx.
    [[nodiscard]] bool is_since(std::string_view version) const;

    /// Returns true if "+WORD" names the module or option.
    [[nodiscard]] bool with(std::string_view word) const;

    /// Returns false if no text has named the program.
    [[nodiscard]] bool is_stated() const { return stated_; }

private:
    using Version = std::array<unsigned, 3>;

    std::string package_ = "nginx";
    std::string version_text_{};
    Version version_{};
    std::vector<std::string> words_{};
    bool stated_ = false;
};

/// Returns the newest version of nginx that the table knows.
std::string_view newest_version();

}  // namespace ngx::inspect
