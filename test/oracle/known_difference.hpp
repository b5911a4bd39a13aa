#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "test/oracle/outcome.hpp"

namespace ngx::test::oracle {

/// An intended difference between ngxx and the oracle. A case whose name matches one of the shell
/// patterns must differ exactly as described. Each pattern must match at least one case, so that
/// the list has no outdated entries. The first match counts.
struct KnownDifference {
    Agreement agreement;
    std::string_view reason;
    std::vector<std::string> patterns;
    std::string_view with = "";  // only if `ngxx -V` prints this option of the build
};

std::span<const KnownDifference> known_differences();

/// The pattern that matches a case, and its entry; null if none matches.
struct KnownDifferenceMatch {
    const KnownDifference* difference = nullptr;
    const std::string* pattern = nullptr;
};

/// `version` is the output of `ngxx -V`.
KnownDifferenceMatch find_known_difference(const std::string& name, const std::string& version);

/// Returns the outcome of the oracle, nginx 1.22, with the messages that nginx 1.31 words
/// differently.
Outcome reworded(Outcome outcome);

}  // namespace ngx::test::oracle
