#pragma once

#include <span>
#include <string>
#include <string_view>

#include "test/oracle/outcome.hpp"

namespace ngx::test::oracle {

/// Where ngxx and the oracle are meant to differ. A case that matches must differ exactly so far
/// as is said here, and each entry must match some case: the list cannot outlive its reasons.
struct KnownDifference {
    /// The case's name, as a shell pattern.
    std::string pattern;
    Agreement agreement;
    std::string_view reason;

    [[nodiscard]] bool matches(const std::string& name) const;
};

std::span<const KnownDifference> known_differences();

/// The entry for a case, or nullptr.
const KnownDifference* find_known_difference(const std::string& name);

}  // namespace ngx::test::oracle
