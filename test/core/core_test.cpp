/// \file
/// The units of core/: one suite for each of its source files.

#define BOOST_TEST_MODULE core
#include <boost/test/unit_test.hpp>
