/// \file
/// The unit tests of core/: one suite for each source file.

#define BOOST_TEST_MODULE core
#define BOOST_TEST_MAIN  // precompiled headers do not see BOOST_TEST_MODULE
#include <boost/test/unit_test.hpp>
