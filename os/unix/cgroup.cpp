#include "os/unix/cgroup.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sched.h>
#include <sstream>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "os/unix/os.hpp"

namespace ngx {

namespace {

/// One of the two kinds of cgroup hierarchies. In version 1 each controller has its own hierarchy.
struct Hierarchy {
    std::string_view type;        // type of the file system
    std::string_view controller;  // empty in version 2, which has one for all
};

bool has_word(std::string_view list, std::string_view word)
{
    std::istringstream words{std::string(list)};
    for (std::string item; std::getline(words, item, ',');) {
        if (item == word) {
            return true;
        }
    }
    return false;
}

/// Returns the mount point. The lines of /proc/self/mountinfo are: ID PARENT DEV ROOT MOUNT-POINT
/// ... - TYPE SOURCE OPTIONS.
std::string find_mount(const std::string& root, const Hierarchy& h)
{
    std::ifstream in(root + "/proc/self/mountinfo");
    for (std::string line; std::getline(in, line);) {
        const std::size_t dash = line.find(" - ");
        if (dash == line.npos) {
            continue;
        }
        std::istringstream before(line.substr(0, dash));
        std::istringstream after(line.substr(dash + 3));
        std::string skipped;
        std::string mount;
        before >> skipped >> skipped >> skipped >> skipped >> mount;
        std::string type;
        std::string options;
        after >> type >> skipped >> options;
        if (type == h.type && (h.controller.empty() || has_word(options, h.controller))) {
            return mount;
        }
    }
    return {};
}

/// Returns the cgroup's path. The lines of /proc/self/cgroup are NUMBER:CONTROLLERS:PATH.
std::string find_path(const std::string& root, const Hierarchy& h)
{
    std::ifstream in(root + "/proc/self/cgroup");
    for (std::string line; std::getline(in, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == line.npos || second == line.npos) {
            continue;
        }
        const auto controllers = std::string_view(line).substr(first + 1, second - first - 1);
        if (h.controller.empty() ? controllers.empty() : has_word(controllers, h.controller)) {
            return line.substr(second + 1);
        }
    }
    return {};
}

/// Returns the directories of this process's cgroup and of each cgroup above it, without `root`. In
/// a container the path may be the host's, of which only the mounted part is visible.
std::vector<std::string> cgroup_dirs(const std::string& root, const Hierarchy& h)
{
    const std::string mount = find_mount(root, h);
    std::string path = find_path(root, h);
    std::vector<std::string> dirs;
    if (mount.empty() || path.empty()) {
        return dirs;
    }
    for (; path.size() > 1; path.resize(path.rfind('/'))) {
        dirs.push_back(mount + path);
    }
    dirs.push_back(mount);
    return dirs;
}

/// Returns the numbers in a file; "max" is -1.
std::vector<std::int64_t> read_numbers(const std::string& path)
{
    std::vector<std::int64_t> numbers;
    std::ifstream in(path);
    for (std::string word; in >> word;) {
        numbers.push_back(word == "max" ? -1 : std::strtoll(word.c_str(), nullptr, 10));
    }
    return numbers;
}

void limit(Share& share, std::int64_t n, const std::string& by)
{
    if (n < share.n) {
        share = {.n = std::max<std::int64_t>(n, 1), .limited_by = by};
    }
}

/// Applies a quota: microseconds of processor time in each period, also in microseconds.
void limit_by_quota(Share& share, const std::string& dir, std::int64_t quota, std::int64_t period)
{
    if (quota > 0 && period > 0) {
        limit(share, (quota + period - 1) / period,
              fmt::format("the quota of {}: {} us in {} us", dir, quota, period));
    }
}

void limit_by_memory(Share& share, const std::string& dir, const std::string& path)
{
    const auto bytes = read_numbers(path);
    if (!bytes.empty() && bytes[0] > 0) {
        limit(share, bytes[0], fmt::format("the memory limit of {}", dir));
    }
}

constexpr Hierarchy v2{.type = "cgroup2", .controller = ""};

}  // namespace

Share processor_share(const std::string& root)
{
    Share share{.n = ncpu};

    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (::sched_getaffinity(0, sizeof(mask), &mask) == 0) {
        limit(share, CPU_COUNT(&mask), "the affinity mask");
    }
    for (const std::string& dir : cgroup_dirs(root, v2)) {
        if (const auto max = read_numbers(root + dir + "/cpu.max"); max.size() == 2) {
            limit_by_quota(share, dir, max[0], max[1]);
        }
    }
    for (const std::string& dir : cgroup_dirs(root, {.type = "cgroup", .controller = "cpu"})) {
        const auto quota = read_numbers(root + dir + "/cpu.cfs_quota_us");
        const auto period = read_numbers(root + dir + "/cpu.cfs_period_us");
        if (quota.size() == 1 && period.size() == 1) {
            limit_by_quota(share, dir, quota[0], period[0]);
        }
    }
    return share;
}

Share memory_share(const std::string& root)
{
    Share share{.n = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE)};

    rlimit rlmt{};
    if (::getrlimit(RLIMIT_AS, &rlmt) == 0 && rlmt.rlim_cur != RLIM_INFINITY) {
        limit(share, static_cast<std::int64_t>(rlmt.rlim_cur), "RLIMIT_AS");
    }
    for (const std::string& dir : cgroup_dirs(root, v2)) {
        limit_by_memory(share, dir, root + dir + "/memory.max");
    }
    for (const std::string& dir : cgroup_dirs(root, {.type = "cgroup", .controller = "memory"})) {
        limit_by_memory(share, dir, root + dir + "/memory.limit_in_bytes");
    }
    return share;
}

}  // namespace ngx
