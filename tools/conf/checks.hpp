#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tools/conf/commands.hpp"

/// \file
/// crossplane's checks of directives, with the project's own table of directives.

namespace ngx::inspect {
struct DirectiveRow;
}

namespace ngx::conf {

/// The names of the blocks around a directive, as far as they count for its checks.
struct CheckedContext {
    std::string_view name = "main";  // as in the table; empty where nothing is checked
    bool in_http = false;
};

/// The rows of the table by which a name is checked.
struct CheckedRows {
    bool is_known = false;
    std::vector<const inspect::DirectiveRow*> rows{};  // none if the name is not checked
};

/// The part of a configuration that the checks do not refuse. As in crossplane, a directive that is
/// refused is left out, an include that is left out includes nothing, and a file is checked in the
/// place where it is included first.
class Checks {
public:
    /// Makes the checks that the options ask for. The tree must outlive them.
    Checks(const Tree& tree, const CommandOptions& options);
    Checks(const Checks&) = delete;
    Checks& operator=(const Checks&) = delete;

    /// Returns the numbers of the files that remain, in crossplane's order.
    [[nodiscard]] const std::vector<std::uint32_t>& files() const noexcept { return files_; }

    /// Returns the place of a file in files().
    [[nodiscard]] std::uint32_t index(std::uint32_t file) const { return indexes_.at(file); }

    /// Returns the errors of the files that remain, those of the tree among them.
    [[nodiscard]] const std::vector<Error>& errors() const noexcept { return errors_; }
    [[nodiscard]] std::size_t more_errors() const noexcept { return more_errors_; }

    /// Calls `enter` for each directive and comment of a file that remains, as Tree::walk_file()
    /// does, in the blocks in which crossplane has them. `leave` is called behind each block that
    /// was entered, and behind each other directive with comments between its words.
    void walk(std::uint32_t file, const Tree::Enter& enter, const Tree::Leave& leave) const;

    /// The result of the checks of a directive. It is internal to the checks.
    enum class Fate : std::uint8_t {
        kept,
        left_out,        // with its block
        left_out_brace,  // with the "}" in place of its ";"
        opened,          // without its block, whose directives take its place
    };

private:
    struct Refusal;

    void check_file(std::uint32_t file);
    Fate check(const Directive& directive, const CheckedContext& context);
    void refuse(const Directive& directive, Refusal refusal);
    void include(const Directive& directive, const CheckedContext& context);
    [[nodiscard]] bool is_ignored(const std::string& name) const;
    [[nodiscard]] Refusal refusal(const Directive& directive, const std::string& name,
                                  const CheckedContext& context);
    [[nodiscard]] Refusal wrong_arguments(const Directive& directive, const std::string& name,
                                          const CheckedRows& found,
                                          const CheckedContext& context) const;
    const CheckedRows& rows_of(const std::string& name);
    void add_tree_errors();
    [[nodiscard]] bool remains(const Error& error) const;
    void sort_errors();

    const Tree& tree_;
    const CommandOptions& options_;
    std::vector<std::uint32_t> files_{};
    std::vector<CheckedContext> contexts_{};  // of files_
    std::unordered_map<std::uint32_t, std::uint32_t> indexes_{};
    std::unordered_map<std::uint32_t, Fate> fates_{};  // of the nodes that are not kept
    std::unordered_map<std::string, CheckedRows> rows_{};
    std::unordered_set<std::uint64_t> includes_{};  // the places of those that are kept
    std::unordered_set<std::uint64_t> replaced_{};  // the places of errors that a check replaces
    std::vector<Error> errors_{};
    std::size_t more_errors_ = 0;
};

}  // namespace ngx::conf
