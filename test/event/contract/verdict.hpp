#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

#include "core/core.hpp"

namespace ngx::contract {

enum class Outcome { kept, broken, not_declared };

/// The result of trying one promise. kept, unless a check has failed or the event module does not
/// declare what the promise needs. A failed check does not end the trial.
class Verdict {
public:
    /// Checks that the statement of the sentence is true. Returns `holds`.
    bool expect(bool holds, std::string_view sentence);

    /// Checks that `what` has the expected value. Values are compared and shown as text. Returns
    /// whether they are equal.
    template <typename Seen, typename Expected>
    bool same(std::string_view what, const Seen& seen, const Expected& expected)
    {
        return same_text(what, to_text(seen), to_text(expected));
    }

    /// Records that the promise was not tried.
    void not_declared(std::string_view capability);

    /// Adds a line for the reader, whatever the outcome is.
    void note(std::string text) { notes_.push_back(std::move(text)); }

    [[nodiscard]] Outcome outcome() const noexcept { return outcome_; }

    /// Returns the expected and the seen value for each check that failed.
    [[nodiscard]] const std::vector<std::string>& findings() const noexcept { return findings_; }
    [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }

private:
    static std::string to_text(std::integral auto value)
    {
        if constexpr (std::same_as<decltype(value), bool>) {
            return value ? "yes" : "no";
        } else {
            return std::to_string(value);
        }
    }
    static std::string to_text(std::string_view value) { return '"' + std::string(value) + '"'; }
    static std::string to_text(Rc value);

    bool same_text(std::string_view what, const std::string& seen, const std::string& expected);

    Outcome outcome_ = Outcome::kept;
    std::vector<std::string> findings_;
    std::vector<std::string> notes_;
};

}  // namespace ngx::contract
