#pragma once

/// \file
/// Whether the tests run under AddressSanitizer, which keeps released memory and needs much address
/// space.

#include <boost/test/tools/assertion_result.hpp>
#include <boost/test/tree/test_unit.hpp>

namespace ngx::test {

#ifdef __SANITIZE_ADDRESS__
inline constexpr bool has_sanitizer = true;
#else
inline constexpr bool has_sanitizer = false;
#endif

/// The precondition of tests that limit the address space.
inline boost::test_tools::assertion_result has_no_sanitizer(boost::unit_test::test_unit_id)
{
    return !has_sanitizer;
}

}  // namespace ngx::test
