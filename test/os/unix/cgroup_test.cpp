// Processors and memory from files in a temporary directory that replaces /.

#include "os/unix/cgroup.hpp"

#include <sched.h>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "os/unix/os.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/forked.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

namespace {

constexpr std::int64_t mega = 1024 * 1024;

/// A machine with 64 processors; this process may use all of them.
struct Machine {
    Machine() { ncpu = 64; }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine() { ncpu = ncpu_before; }

    void write(std::string_view name, std::string_view text) const { write_file(dir / name, text); }

    /// Puts the process into a cgroup of version 2.
    void mount_v2(const std::string& path) const
    {
        write("proc/self/mountinfo",
              "20 1 0:20 / /proc rw,nosuid - proc proc rw\n"
              "30 20 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
        write("proc/self/cgroup", "0::" + path + "\n");
    }

    /// Puts it into cgroups of version 1, of the controllers for processors and for memory.
    void mount_v1(const std::string& path) const
    {
        write("proc/self/mountinfo",
              "30 20 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
              "31 20 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
              "32 20 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
        write("proc/self/cgroup",
              "9:cpuset:/\n4:cpu,cpuacct:" + path + "\n3:memory:" + path + "\n1:name=systemd:/s\n");
    }

    [[nodiscard]] std::string root() const { return dir.path().string(); }
    [[nodiscard]] Share processors() const { return processor_share(root()); }
    [[nodiscard]] Share memory() const { return memory_share(root()); }

    TempDir dir{};
    int ncpu_before = ncpu;
    FakeCall no_mask{Call::sched_getaffinity, {.err = ENOSYS}, FakeCall::always};
};

std::int64_t physical_memory()
{
    return ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cgroup)

BOOST_FIXTURE_TEST_CASE(without_a_cgroup_the_limit_is_the_machines, Machine)
{
    const auto check = [this] {
        BOOST_TEST(processors().n == 64);
        BOOST_TEST(processors().limited_by == "");
        BOOST_TEST(memory().n == physical_memory());
        BOOST_TEST(memory().limited_by == "");
    };
    check();
    write("proc/self/mountinfo", "20 1 0:20 / /proc rw - proc proc rw\nnonsense\n");
    write("proc/self/cgroup", "0::/a\nnonsense\n");
    write("sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    write("sys/fs/cgroup/a/memory.max", "1000\n");
    check();
}

BOOST_FIXTURE_TEST_CASE(a_quota_is_rounded_up, Machine)
{
    mount_v2("/a");
    const auto of = [this](std::string_view max) {
        write("sys/fs/cgroup/a/cpu.max", max);
        return processors().n;
    };
    BOOST_TEST(of("300000 100000\n") == 3);
    BOOST_TEST(of("300001 100000\n") == 4);
    BOOST_TEST(of("50000 100000\n") == 1);
    BOOST_TEST(of("1 100000\n") == 1);
    BOOST_TEST(of("100000 50000\n") == 2);
    BOOST_TEST(of("100000000 100000\n") == 64);
    BOOST_TEST(of("max 100000\n") == 64);
    BOOST_TEST(of("") == 64);
    BOOST_TEST(of("0 100000\n") == 64);
    BOOST_TEST(of("100000 0\n") == 64);
}

BOOST_FIXTURE_TEST_CASE(the_lowest_limit_of_nested_groups_counts, Machine)
{
    mount_v2("/a/b/c");
    write("sys/fs/cgroup/cpu.max", "max 100000\n");
    write("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    write("sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n");
    BOOST_TEST(processors().n == 2);
    BOOST_TEST(processors().limited_by == "the quota of /sys/fs/cgroup/a: 200000 us in 100000 us");

    write("sys/fs/cgroup/a/b/c/cpu.max", "100000 100000\n");
    BOOST_TEST(processors().n == 1);
    BOOST_TEST(processors().limited_by ==
               "the quota of /sys/fs/cgroup/a/b/c: 100000 us in 100000 us");
}

BOOST_FIXTURE_TEST_CASE(the_lowest_memory_limit_counts, Machine)
{
    mount_v2("/a/b");
    write("sys/fs/cgroup/a/memory.max", "16777216\n");
    write("sys/fs/cgroup/a/b/memory.max", "max\n");
    BOOST_TEST(memory().n == 16 * mega);
    BOOST_TEST(memory().limited_by == "the memory limit of /sys/fs/cgroup/a");

    write("sys/fs/cgroup/a/b/memory.max", "8388608\n");
    BOOST_TEST(memory().n == 8 * mega);
    BOOST_TEST(memory().limited_by == "the memory limit of /sys/fs/cgroup/a/b");
}

BOOST_FIXTURE_TEST_CASE(the_root_group_may_have_limits, Machine)
{
    mount_v2("/");
    write("sys/fs/cgroup/cpu.max", "300000 100000\n");
    write("sys/fs/cgroup/memory.max", "8388608\n");
    BOOST_TEST(processors().n == 3);
    BOOST_TEST(processors().limited_by == "the quota of /sys/fs/cgroup: 300000 us in 100000 us");
    BOOST_TEST(memory().n == 8 * mega);
}

BOOST_FIXTURE_TEST_CASE(in_a_container_the_mount_is_the_group, Machine)
{
    mount_v2("/docker/0123456789");
    write("sys/fs/cgroup/cpu.max", "150000 100000\n");
    write("sys/fs/cgroup/memory.max", "8388608\n");
    BOOST_TEST(processors().n == 2);
    BOOST_TEST(memory().n == 8 * mega);
    BOOST_TEST(memory().limited_by == "the memory limit of /sys/fs/cgroup");
}

BOOST_FIXTURE_TEST_CASE(version_1_has_a_hierarchy_for_each, Machine)
{
    mount_v1("/a/b");
    write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n");
    write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    write("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "8388608\n");
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    BOOST_TEST(processors().n == 3);
    BOOST_TEST(processors().limited_by ==
               "the quota of /sys/fs/cgroup/cpu,cpuacct/a: 250000 us in 100000 us");
    BOOST_TEST(memory().n == 8 * mega);
    BOOST_TEST(memory().limited_by == "the memory limit of /sys/fs/cgroup/memory/a/b");
}

BOOST_FIXTURE_TEST_CASE(a_controller_is_found_by_its_whole_name, Machine)
{
    write("proc/self/mountinfo", "30 20 0:30 / /sys/fs/cgroup/set rw - cgroup cgroup rw,cpuset\n");
    write("proc/self/cgroup", "4:cpuset:/\n3:cpu:/\n");
    write("sys/fs/cgroup/set/cpu.cfs_quota_us", "100000\n");
    write("sys/fs/cgroup/set/cpu.cfs_period_us", "100000\n");
    BOOST_TEST(processors().n == 64);
}

BOOST_FIXTURE_TEST_CASE(a_quota_without_a_period_is_ignored, Machine)
{
    mount_v1("/");
    write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "100000\n");
    BOOST_TEST(processors().n == 64);
    mount_v2("/");
    write("sys/fs/cgroup/cpu.max", "100000\n");
    BOOST_TEST(processors().n == 64);
}

BOOST_AUTO_TEST_CASE(the_affinity_mask_is_a_separate_limit)
{
    const TempDir empty;
    const Forked child = in_child([&](int fd) {
        ncpu = 4096;
        cpu_set_t mask;
        CPU_ZERO(&mask);
        ::sched_getaffinity(0, sizeof(mask), &mask);
        const Share all = processor_share(empty.path());
        say(fd, all.n == CPU_COUNT(&mask) ? "all, " : "another, ");

        for (std::size_t cpu = 0; CPU_COUNT(&mask) > 1; cpu++) {
            CPU_CLR(cpu, &mask);
        }
        ::sched_setaffinity(0, sizeof(mask), &mask);
        const Share one = processor_share(empty.path());
        say(fd, fmt::format("{} by {}", one.n, one.limited_by));
    });
    BOOST_TEST(child.text == "all, 1 by the affinity mask");
}

BOOST_AUTO_TEST_CASE(a_limit_of_addresses_limits_memory,
                     *boost::unit_test::precondition([](auto) { return !have_asan; }))
{
    const TempDir empty;
    const Forked child = in_child([&](int fd) {
        const rlimit rlmt{.rlim_cur = static_cast<rlim_t>(physical_memory() - 1),
                          .rlim_max = RLIM_INFINITY};
        ::setrlimit(RLIMIT_AS, &rlmt);
        const Share share = memory_share(empty.path());
        say(fd, fmt::format("{} by {}", share.n - physical_memory(), share.limited_by));
    });
    BOOST_TEST(child.text == "-1 by RLIMIT_AS");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
