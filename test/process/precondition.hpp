#pragma once

/// \file
/// The preconditions of some cases. If one is not met, the case is skipped and reported.

#include <boost/test/unit_test.hpp>

#include "test/support/process.hpp"

namespace ngx::test::process {

using boost::test_tools::assertion_result;
using boost::unit_test::precondition;
using boost::unit_test::test_unit_id;

/// A socket can be bound to ::1.
assertion_result ipv6_is_there(test_unit_id);

assertion_result curl_is_there(test_unit_id);

/// The kernel lets the test duplicate the descriptors of its children.
assertion_result descriptors_can_be_seen(test_unit_id);

/// The binary has a second event method.
assertion_result methods_can_be_changed(test_unit_id);

assertion_result method_is_select(test_unit_id);

/// Allocations can be made to fail, because the server uses the C library's.
assertion_result no_sanitizer(test_unit_id);

assertion_result we_are_root(test_unit_id);

assertion_result method_is_epoll(test_unit_id);

assertion_result method_is_iouring(test_unit_id);
assertion_result method_is_rtsig(test_unit_id);

/// nginx and its stream module are installed.
assertion_result nginx_is_there(test_unit_id);

assertion_result redis_is_there(test_unit_id);

/// A netcat is installed that supports -N (close after the end of the input).
assertion_result netcat_is_there(test_unit_id);

/// dnsmasq and dig are installed.
assertion_result dns_is_there(test_unit_id);

/// strace is installed and may trace the test's children.
assertion_result strace_works(test_unit_id);

/// Duplicates a descriptor of the child.
Fd steal_descriptor(const Child& child, int fd);

}  // namespace ngx::test::process
