#pragma once

/// \file
/// A configuration as the server reads it, and each directive that it has met on the way.

#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "core/conf_file.hpp"
#include "core/cycle.hpp"

namespace ngx::inspect {

/// Where a directive begins. Without a file it is of the option -g.
struct Place {
    std::string file{};
    std::size_t line = 0;
    std::size_t column = 0;

    /// "FILE:LINE:COLUMN"
    [[nodiscard]] std::string text() const;
};

struct Directive {
    std::vector<std::string> words{};  // its name first
    Place place{};
    const Module* module = nullptr;
    const Command* command = nullptr;
    std::list<Directive> block{};               // of an include, what the files have
    std::vector<std::string> included_files{};  // of an include
    Directive* parent = nullptr;                // null at the top

    [[nodiscard]] const std::string& name() const { return words.front(); }
    [[nodiscard]] bool is_include() const { return name() == "include"; }
    [[nodiscard]] bool is_block() const;
};

/// What is to be read.
struct Source {
    std::string prefix{};
    std::string conf_file{};
    std::string conf_param{};
};

/// A reading. It opens the files of the configuration, and nothing else: no log, no socket, no
/// shared memory. One at a time.
class Reading {
public:
    explicit Reading(const Source& source);
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading();

    /// False if the configuration is refused: error_line() is then what -t says.
    [[nodiscard]] bool ok() const noexcept { return cycle_ != nullptr; }
    [[nodiscard]] const Cycle& cycle() const noexcept { return *cycle_; }

    /// The log lines of the reading, as -t writes them.
    [[nodiscard]] const std::string& log() const noexcept { return log_text_; }

    /// The error: its text without time and process, and where, if that is known.
    [[nodiscard]] const std::string& error() const noexcept { return error_; }
    [[nodiscard]] const Place& error_place() const noexcept { return error_place_; }

    /// The directives outside of all blocks, in their order.
    [[nodiscard]] const std::list<Directive>& directives() const noexcept { return root_.block; }

    /// The files, in the order in which they were opened first.
    [[nodiscard]] const std::vector<std::string>& files() const noexcept { return files_; }

    /// Calls `function(directive)` for each, those of blocks and included files too.
    template <typename Function>
    void for_each(Function function) const
    {
        for_each_of(root_.block, function);
    }

    /// The last directive of this command; null if it does not stand there.
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
    void find_error();

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
