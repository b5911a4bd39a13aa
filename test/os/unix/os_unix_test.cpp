#define BOOST_TEST_MODULE os_unix
#define BOOST_TEST_MAIN  // precompiled headers do not see BOOST_TEST_MODULE

#include <csignal>

#include <boost/test/unit_test.hpp>

namespace ngx::test {

namespace {

/// Ignores SIGPIPE, as the server does, so that a closed peer is an errno.
struct NoSigpipe {
    NoSigpipe() { ::signal(SIGPIPE, SIG_IGN); }
};

BOOST_TEST_GLOBAL_FIXTURE(NoSigpipe);

}  // namespace

}  // namespace ngx::test
