#include <cerrno>
#include <string>
#include <sys/utsname.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "auto_build.hpp"
#include "core/times.hpp"
#include "os/unix/os.hpp"
#include "test/support/limit.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

BOOST_AUTO_TEST_SUITE(posix_init)

BOOST_AUTO_TEST_CASE(the_properties_of_the_system_are_read)
{
    const FileLimit limit(123);
    TestLog log;
    ncpu = 0;
    pagesize = 0;
    BOOST_TEST((os_init(&log.log) == Rc::ok));
    BOOST_TEST(ncpu == ::sysconf(_SC_NPROCESSORS_ONLN));
    BOOST_TEST(pagesize == static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
    BOOST_TEST(max_sockets == 123);
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(the_status_is_four_notices)
{
    TestLog log;
    rlimit limits{};
    ::getrlimit(RLIMIT_NOFILE, &limits);
    utsname kernel{};
    ::uname(&kernel);
    BOOST_TEST((os_init(&log.log) == Rc::ok));
    os_status(&log.log);

    BOOST_TEST(count(log.text, "[notice]") == 4);
    BOOST_TEST(count(log.text, "\n") == 4);
    for (const std::string& line :
         {fmt::format(": {}\n", server_build), fmt::format(": built by {}\n", compiler),
          fmt::format(": OS: {} {}\n", kernel.sysname, kernel.release),
          fmt::format(": getrlimit(RLIMIT_NOFILE): {}:{}\n",
                      static_cast<std::int64_t>(limits.rlim_cur),
                      static_cast<std::int64_t>(limits.rlim_max))}) {
        BOOST_TEST(contains(log.text, line), line << " is not in " << log.text);
    }
}

BOOST_AUTO_TEST_CASE(the_io_functions_are_those_of_the_system)
{
    BOOST_TEST(os_io.recv == ngx::unix_recv);
    BOOST_TEST(os_io.recv_chain == ngx::readv_chain);
    BOOST_TEST(os_io.udp_recv == ngx::udp_unix_recv);
    BOOST_TEST(os_io.send == ngx::unix_send);
    BOOST_TEST(os_io.udp_send == ngx::udp_unix_send);
    BOOST_TEST(os_io.udp_send_chain == ngx::udp_unix_sendmsg_chain);
    BOOST_TEST(os_io.send_chain == ngx::linux_sendfile_chain);
}

BOOST_AUTO_TEST_CASE(every_errno_has_the_systems_text)
{
    BOOST_TEST(strerror(ENOENT) == std::string("No such file or directory"));
    BOOST_TEST(strerror(EADDRINUSE) == std::string("Address already in use"));
    BOOST_TEST(strerror(0) == std::string("Success"));
}

BOOST_AUTO_TEST_CASE(a_number_that_is_no_errno_has_a_text_too)
{
    for (const Err err : {-1, 41, 10'000}) {
        BOOST_TEST(strerror(err) == std::string("Unknown error"));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
