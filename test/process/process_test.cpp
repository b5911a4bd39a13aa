/// \file
/// Tests of whole processes: the real binary with real clients and one event method.
///
///     process_test [options of Boost.Test] -- BINARY METHOD

#define BOOST_TEST_MODULE process
#include <boost/test/unit_test.hpp>

#include <sys/resource.h>

#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <string>

#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// Returns the event methods in the table that -V prints.
std::vector<std::string> methods_of(const std::string& binary)
{
    std::vector<std::string> methods;
    std::istringstream words(run({binary, "-V"}).err);
    for (std::string word; words >> word;) {
        for (const char* method : {"epoll", "poll", "select", "rtsig"}) {
            if (word == std::string("ngx_") + method + "_module") {
                methods.emplace_back(method);
            }
        }
    }
    return methods;
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
        if (suite.argc != 3) {
            throw std::runtime_error(
                "usage: process_test [options of Boost.Test] -- BINARY METHOD");
        }
        setup().binary = std::filesystem::absolute(suite.argv[1]);
        setup().method = suite.argv[2];
        setup().methods = methods_of(setup().binary);
        raise_file_limit();
    }
};

BOOST_TEST_GLOBAL_FIXTURE(ReadCommandLine);

}  // namespace

}  // namespace ngx::test::process
