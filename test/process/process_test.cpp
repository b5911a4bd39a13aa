/// \file
/// Tests of whole processes: the real binary with real clients and one event method.
///
///     process_test [options of Boost.Test] -- BINARY METHOD [DIRECTIVES]
///
/// The directives are added to each events block.

#define BOOST_TEST_MODULE process
#define BOOST_TEST_MAIN  // precompiled headers do not see BOOST_TEST_MODULE
#include <boost/test/unit_test.hpp>

#include <sys/resource.h>

#include <filesystem>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>

#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// Returns the event methods that -V prints.
std::vector<std::string> methods_of(const std::string& binary)
{
    const std::string version = run({binary, "-V"}).err;
    constexpr std::string_view mark = "\nevent methods: ";
    const std::size_t start = version.find(mark) + mark.size();
    std::istringstream words(version.substr(start, version.find('\n', start) - start));
    return {std::istream_iterator<std::string>(words), {}};
}

/// Raises the limit to the descriptors of both ends of ten thousand connections.
void raise_file_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

struct ReadCommandLine {
    ReadCommandLine()
    {
        const auto& suite = boost::unit_test::framework::master_test_suite();
        if (suite.argc != 3 && suite.argc != 4) {
            throw std::runtime_error(
                "usage: process_test [options of Boost.Test] -- BINARY METHOD [DIRECTIVES]");
        }
        setup().binary = std::filesystem::absolute(suite.argv[1]);
        setup().method = suite.argv[2];
        setup().events = suite.argc == 4 ? suite.argv[3] : "";
        setup().methods = methods_of(setup().binary);
        raise_file_limit();
    }
};

BOOST_TEST_GLOBAL_FIXTURE(ReadCommandLine);

}  // namespace

}  // namespace ngx::test::process
