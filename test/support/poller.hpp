#pragma once

/// \file
/// The pollers of this build, which may leave out all but one of them, and preconditions of cases
/// that need one. The report of Boost.Test has the reason why a case is skipped.

#include <string>
#include <string_view>
#include <vector>

#include <boost/test/tools/assertion_result.hpp>

namespace ngx::test {

using boost::test_tools::assertion_result;

/// Those of epoll, select and poll that were built, in nginx's order: the first is the default.
/// rtsig is tried by the suites of the contract, of stream and of the process.
std::vector<std::string> built_pollers();

/// The same without one of them.
std::vector<std::string> built_pollers_but(std::string_view name);

/// Whether the build has this poller.
bool has_poller(std::string_view name);

/// A precondition: a poller was built.
inline auto poller_is_built(std::string_view name)
{
    return [name](auto) {
        assertion_result result(has_poller(name));
        result.message() << "this build has no " << name;
        return result;
    };
}

/// Whether a worker on epoll reads files asynchronously; in some containers the kernel refuses it.
bool has_file_aio();

/// A precondition: the same.
inline assertion_result file_aio_is_there(unsigned long)
{
    assertion_result result(has_file_aio());
    result.message() << "this build has no epoll, or the kernel no asynchronous reads";
    return result;
}

}  // namespace ngx::test
