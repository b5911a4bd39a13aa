#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

#include "core/core.hpp"

namespace ngx::contract {

enum class Outcome { kept, broken, not_declared };

/// What came of trying one promise: kept, unless something was seen that was not expected, or the
/// event module does not declare what the promise is about. Nothing here stops the trial.
class Verdict {
public:
    /// Whether what the sentence says holds.
    bool expect(bool holds, std::string_view sentence);

    /// Whether `what` is as expected. Both are compared, and shown, as text.
    template <typename Seen, typename Expected>
    bool same(std::string_view what, const Seen& seen, const Expected& expected)
    {
        return same_text(what, to_text(seen), to_text(expected));
    }

    /// The promise was not tried.
    void not_declared(std::string_view capability);

    /// For the reader, whatever the outcome.
    void note(std::string text) { notes_.push_back(std::move(text)); }

    [[nodiscard]] Outcome outcome() const noexcept { return outcome_; }

    /// What was expected and what was seen, a line for each that differs.
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
