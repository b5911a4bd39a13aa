#pragma once

/// \file
/// Reads a configuration as the server does, and records each directive.

#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "core/conf_file.hpp"
#include "core/cycle.hpp"

namespace ngx::inspect {

/// The position at which a directive begins. `file` is empty for directives of the option -g, and
/// `line` is 0 if the place is a whole file.
struct Place {
    std::string file{};
    std::size_t line = 0;
    std::size_t column = 0;

    /// Returns "FILE:LINE:COLUMN", or "FILE".
    [[nodiscard]] std::string text() const;
};

struct Directive {
    std::vector<std::string> words{};  // the first is its name
    Place place{};
    const Module* module = nullptr;
    const Command* command = nullptr;
    std::list<Directive> block{};               // for include: the directives of the files
    std::vector<std::string> included_files{};  // for include
    Directive* parent = nullptr;                // null outside of all blocks

    [[nodiscard]] const std::string& name() const { return words.front(); }
    [[nodiscard]] bool is_include() const { return name() == "include"; }
    [[nodiscard]] bool is_block() const;
};

/// The configuration to read, as the options -p, -c and -g name it.
struct Source {
    std::string prefix{};
    std::string conf_file{};
    std::string conf_param{};
};

/// A reading looks up users, groups, hosts and modules as the server does, or nothing.
enum class Lookups : bool { none, of_the_server };

/// A configuration that was read. It opens only the configuration's files: no log, no socket, no
/// shared memory; with lookups of the server also what these take. It owns the cycle. A process has
/// at most one object at a time, because it sets ngx_cycle and the configuration's observer.
class Reading {
public:
    explicit Reading(const Source& source, Lookups lookups = Lookups::none);
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading();

    /// False if the configuration is invalid; error() and error_place() then have the reason.
    [[nodiscard]] bool ok() const noexcept { return cycle_ != nullptr; }
    [[nodiscard]] const Cycle& cycle() const noexcept { return *cycle_; }

    /// The log lines that reading it produced, as the server's -t writes them.
    [[nodiscard]] const std::string& log() const noexcept { return log_text_; }

    /// The text of the error without time and process, and its place, if that is known.
    [[nodiscard]] const std::string& error() const noexcept { return error_; }
    [[nodiscard]] const Place& error_place() const noexcept { return error_place_; }

    /// The directives outside of all blocks, in the order of the file.
    [[nodiscard]] const std::list<Directive>& directives() const noexcept { return root_.block; }

    /// The files, in the order in which they were first opened.
    [[nodiscard]] const std::vector<std::string>& files() const noexcept { return files_; }

    /// Calls `function(directive)` for each directive, including those in blocks and included
    /// files.
    template <typename Function>
    void for_each(Function function) const
    {
        for_each_of(root_.block, function);
    }

    /// Returns the last directive of this command; null if the configuration has none.
    [[nodiscard]] const Directive* find(const Command& command) const;

private:
    template <typename Function>
    static void for_each_of(const std::list<Directive>& list, Function& function)
    {
        for (const Directive& directive : list) {
            function(directive);
            for_each_of(directive.block, function);
        }
    }

    void begin(const Conf& cf, const Module& module, const Command& command);
    void error(const ConfPlace& place, std::string_view text);

    Directive root_{};
    Directive* current_ = &root_;
    std::vector<std::string> files_{};
    std::string log_text_{};
    std::string error_{};
    Place error_place_{};
    Cycle* before_ = nullptr;
    Cycle* cycle_ = nullptr;
};

}  // namespace ngx::inspect
