#pragma once

/// \file
/// A configuration of nginx, with any modules, and what is wrong with it.

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/conf/conf.hpp"
#include "tools/inspect/directive_table.hpp"
#include "tools/inspect/listen.hpp"
#include "tools/inspect/reading.hpp"

namespace ngx::inspect {

/// Something in a configuration that the program would refuse, or does not know.
struct Problem {
    Place place{};
    std::string text{};
    std::string hint{};

    /// Returns "FILE:LINE:COLUMN: TEXT; HINT".
    [[nodiscard]] std::string message() const;
};

/// A directive and the context in which it is: "main", "http.location", ... The context is empty in
/// a block of which the table knows nothing.
struct Placed {
    const conf::Directive& directive;
    std::string_view context;
};

/// Whether a walk has the entries of blocks that hold no directives, such as `map`. The context of
/// an entry is "free".
enum class Entries : bool { left_out, included };

/// Reads a configuration without its modules. It opens the files of the configuration and nothing
/// else, and resolves no name. Errors do not end the reading.
class Configuration {
public:
    Configuration(const Source& source, const Program& program);

    [[nodiscard]] const Program& program() const noexcept { return program_; }
    [[nodiscard]] const std::string& prefix() const noexcept { return prefix_; }

    /// Returns the files and their directives, without those of the option -g.
    [[nodiscard]] const conf::Tree& tree() const noexcept { return tree_; }

    /// Returns the name of the first file.
    [[nodiscard]] const std::string& file() const noexcept { return tree_.files().front()->name; }

    /// Returns false if the first file cannot be read.
    [[nodiscard]] bool was_read() const noexcept { return was_read_; }

    /// Returns what is wrong, in the order of reading.
    [[nodiscard]] const std::vector<Problem>& problems() const noexcept { return problems_; }

    /// Returns true if the program would refuse the directive.
    [[nodiscard]] bool refuses(const conf::Directive& directive) const;

    /// Returns the row of the table by which the program reads a directive; without one, the row of
    /// another program that allows it there. Null if there is none.
    [[nodiscard]] const DirectiveRow* row(const Placed& placed) const;

    /// Returns the context of the content of a block: "free" if it holds no directives, empty if
    /// the table does not know the block.
    [[nodiscard]] std::string_view content(const Placed& placed) const;

    /// Calls `enter` for each directive in nginx's order, and `leave` behind each block. Returns
    /// false if the includes make too many directives; the rest is then left out.
    using Enter = std::function<void(const Placed&)>;
    using Leave = std::function<void(const Placed&)>;
    bool walk(const Enter& enter, const Leave& leave = {},
              Entries entries = Entries::left_out) const;

private:
    bool walk_tree(const conf::Tree& tree, const Enter& enter, const Leave& leave,
                   Entries entries) const;
    void add_errors(const conf::Tree& tree);
    void check();
    void check_one(const Placed& placed);
    void check_values(const Placed& placed, std::span<const DirectiveRow* const> possible);
    void check_listen(const Placed& placed);
    void check_repeated(const Placed& placed, std::vector<std::string>& seen);
    void add(const Placed& placed, std::string text, std::string hint = {});
    void add_whole(std::string text, std::string hint);

    Program program_;
    std::string prefix_;
    conf::Tree global_{};  // the option -g
    conf::Tree tree_{};
    bool was_read_ = false;
    std::vector<Problem> problems_{};
    ListenRepeats listens_{};
    std::set<std::pair<const conf::File*, std::uint32_t>> refused_{};  // file and node
};

/// Returns the module of ngxx that has the directive in this context; empty if none has.
std::string_view ngxx_module_of(const Placed& placed);

/// Returns the place of a directive.
Place place_of(const conf::Directive& directive);

}  // namespace ngx::inspect
