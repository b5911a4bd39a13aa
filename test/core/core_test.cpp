/// \file
/// The unit tests of core/: one suite for each source file.

#define BOOST_TEST_MODULE core
#include <boost/test/unit_test.hpp>
