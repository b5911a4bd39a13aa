#include "test/oracle/known_difference.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <vector>

namespace ngx::test::oracle {

bool KnownDifference::matches(const std::string& name) const {
    return ::fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
}

std::span<const KnownDifference> known_differences() {
    static const std::vector<KnownDifference> table{};
    return table;
}

const KnownDifference* find_known_difference(const std::string& name) {
    const auto table = known_differences();
    const auto found = std::ranges::find_if(
        table, [&name](const KnownDifference& entry) { return entry.matches(name); });
    return found == table.end() ? nullptr : &*found;
}

}  // namespace ngx::test::oracle
