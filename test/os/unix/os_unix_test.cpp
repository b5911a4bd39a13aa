#define BOOST_TEST_MODULE os_unix

#include <csignal>

#include <boost/test/unit_test.hpp>

namespace ngx::test {

namespace {

/// As the server does: a peer that is gone is an errno.
struct NoSigpipe {
    NoSigpipe() { ::signal(SIGPIPE, SIG_IGN); }
};

BOOST_TEST_GLOBAL_FIXTURE(NoSigpipe);

}  // namespace

}  // namespace ngx::test
