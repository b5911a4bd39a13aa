#pragma once

/// \file
/// The headers that most test files include and that take longest to compile, for builds with
/// b_pch. Each file includes what it uses, because some builds have no precompiled headers. Of
/// Boost.Test it has all but unit_test_suite.hpp, which makes the main() of one file.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/test/framework.hpp>
#include <boost/test/test_tools.hpp>
#include <boost/test/tree/auto_registration.hpp>
#include <boost/test/tree/global_fixture.hpp>
#include <boost/test/tree/test_case_template.hpp>
#include <fmt/format.h>
