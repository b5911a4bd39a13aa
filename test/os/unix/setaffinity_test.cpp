#include "os/unix/setaffinity.hpp"

#include <string>

#include <boost/test/unit_test.hpp>

#include "test/support/forked.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// Returns a mask with only the first processor that this process may use.
cpu_set_t one_processor()
{
    cpu_set_t all;
    CPU_ZERO(&all);
    BOOST_TEST(::sched_getaffinity(0, sizeof(all), &all) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    return one;
}

std::size_t first_of(const cpu_set_t& mask)
{
    std::size_t cpu = 0;
    while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &mask)) {
        cpu++;
    }
    return cpu;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(setaffinity)

BOOST_AUTO_TEST_CASE(a_process_is_bound_to_the_processors_of_its_mask)
{
    const cpu_set_t one = one_processor();
    const Forked child = in_child([&](int fd) {
        TestLog log;
        ngx::setaffinity(one, &log.log);
        cpu_set_t now;
        CPU_ZERO(&now);
        ::sched_getaffinity(0, sizeof(now), &now);
        say(fd, (CPU_EQUAL(&now, &one) ? "bound " : "free ") + log.text);
    });
    BOOST_TEST(child.text.starts_with("bound "), child.text);
    BOOST_TEST(contains(child.text, "[notice]"));
    BOOST_TEST(
        contains(child.text, fmt::format("sched_setaffinity(): using cpu #{}\n", first_of(one))));
    BOOST_TEST(count(child.text, "using cpu") == 1U);
}

BOOST_AUTO_TEST_CASE(a_mask_without_a_processor_is_an_alert_and_changes_nothing)
{
    const Forked child = in_child([](int fd) {
        TestLog log;
        cpu_set_t before;
        cpu_set_t after;
        cpu_set_t none;
        CPU_ZERO(&none);
        ::sched_getaffinity(0, sizeof(before), &before);
        ngx::setaffinity(none, &log.log);
        ::sched_getaffinity(0, sizeof(after), &after);
        say(fd, (CPU_EQUAL(&before, &after) ? "as before " : "changed ") + log.text);
    });
    BOOST_TEST(child.text.starts_with("as before "), child.text);
    BOOST_TEST(contains(child.text, "[alert]"));
    BOOST_TEST(contains(child.text, "sched_setaffinity() failed (22: Invalid argument)\n"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
