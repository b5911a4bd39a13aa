#pragma once

/// \file
/// The pollers of this build, which may have only one of them, and preconditions of cases that need
/// one. The report of Boost.Test has the reason why a case is skipped.

#include <string>
#include <string_view>
#include <vector>

#include <boost/test/tools/assertion_result.hpp>

namespace ngx::test {

using boost::test_tools::assertion_result;

/// Returns the pollers of the build in nginx's order, the default first. Without rtsig, which the
/// suites of the contract, of stream and of the process test, and without iouring where the kernel
/// refuses io_uring.
std::vector<std::string> built_pollers();

/// Returns those of them that another thread cannot wake.
std::vector<std::string> built_pollers_without_notify();

/// Returns the pollers of built_pollers() except one.
std::vector<std::string> built_pollers_but(std::string_view name);

/// Returns whether the build has this poller.
bool has_poller(std::string_view name);

/// The precondition of cases that need a poller.
inline auto poller_is_built(std::string_view name)
{
    return [name](auto) {
        assertion_result result(has_poller(name));
        result.message() << "this build has no " << name;
        return result;
    };
}

/// Returns whether this build has iouring and the kernel permits io_uring.
bool iouring_works();

/// The precondition of cases that need iouring.
inline assertion_result iouring_is_there(unsigned long)
{
    assertion_result result(iouring_works());
    result.message() << "this build has no iouring, or the kernel refuses io_uring";
    return result;
}

/// Returns whether a worker with epoll can read files asynchronously, which some containers refuse.
bool has_file_aio();

/// The precondition of cases that need asynchronous reads.
inline assertion_result file_aio_is_there(unsigned long)
{
    assertion_result result(has_file_aio());
    result.message() << "this build has no epoll, or the kernel no asynchronous reads";
    return result;
}

}  // namespace ngx::test
