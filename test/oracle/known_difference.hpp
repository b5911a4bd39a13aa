#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "test/oracle/outcome.hpp"

namespace ngx::test::oracle {

/// Where ngxx and the oracle are meant to differ. A case whose name matches one of the shell
/// patterns must differ, exactly so far as is said here, and each pattern must find some case: the
/// list cannot outlive its reasons. The first match counts.
struct KnownDifference {
    Agreement agreement;
    std::string_view reason;
    std::vector<std::string> patterns;
    std::string_view with = "";  // only if `ngxx -V` has this word: an option of the build
};

std::span<const KnownDifference> known_differences();

/// The pattern that decides about a case, and its entry; null when there is none.
struct KnownDifferenceMatch {
    const KnownDifference* difference = nullptr;
    const std::string* pattern = nullptr;
};

/// `version` is what `ngxx -V` prints.
KnownDifferenceMatch find_known_difference(const std::string& name, const std::string& version);

/// What nginx 1.31 says where the oracle, nginx 1.22, uses other words: the outcome with those
/// messages reworded.
Outcome reworded(Outcome outcome);

}  // namespace ngx::test::oracle
