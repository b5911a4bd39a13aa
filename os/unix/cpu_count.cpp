#include "os/unix/cpu_count.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sched.h>
#include <sstream>
#include <string_view>

#include <fmt/format.h>

#include "os/unix/os.hpp"

namespace ngx {

namespace {

/// A quota: so many microseconds of processor time in each period.
struct Quota {
    std::int64_t quota = -1;
    std::int64_t period = 0;
};

/// Where a hierarchy of cgroups is mounted, and this process's place in it.
struct Place {
    std::string mount;
    std::string path;
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

/// From /proc/self/mountinfo: the mount point of the cgroup2 file system, or of version 1's with
/// the controller `cpu`.
std::string find_mount(const std::string& root, std::string_view type)
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
        std::string found;
        std::string options;
        after >> found >> skipped >> options;
        if (found == type && (type != "cgroup" || has_word(options, "cpu"))) {
            return mount;
        }
    }
    return {};
}

/// From /proc/self/cgroup, whose lines are NUMBER:CONTROLLERS:PATH; version 2 has no controllers.
std::string find_path(const std::string& root, std::string_view type)
{
    std::ifstream in(root + "/proc/self/cgroup");
    for (std::string line; std::getline(in, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == line.npos || second == line.npos) {
            continue;
        }
        const std::string_view controllers =
            std::string_view(line).substr(first + 1, second - first - 1);
        if (type == "cgroup" ? has_word(controllers, "cpu") : controllers.empty()) {
            return line.substr(second + 1);
        }
    }
    return {};
}

std::optional<Place> find_place(const std::string& root, std::string_view type)
{
    Place place{.mount = find_mount(root, type), .path = find_path(root, type)};
    if (place.mount.empty() || place.path.empty()) {
        return std::nullopt;
    }
    return place;
}

/// Version 2: "max 100000" or "50000 100000".
Quota read_v2(const std::string& dir)
{
    std::ifstream in(dir + "/cpu.max");
    std::string quota;
    Quota read;
    if (in >> quota >> read.period && quota != "max") {
        read.quota = std::strtoll(quota.c_str(), nullptr, 10);
    }
    return read;
}

Quota read_v1(const std::string& dir)
{
    Quota read;
    std::ifstream(dir + "/cpu.cfs_quota_us") >> read.quota;
    std::ifstream(dir + "/cpu.cfs_period_us") >> read.period;
    return read;
}

void limit(CpuCount& count, std::int64_t n, const std::string& by)
{
    if (n < count.n) {
        count = {.n = static_cast<int>(std::max(n, std::int64_t{1})), .limited_by = by};
    }
}

/// The quota of the cgroup and of each above it. In a container the path may be the host's, of
/// which nothing can be seen but what is mounted: its root is always looked at.
void limit_by_cgroup(CpuCount& count, const std::string& root, std::string_view type,
                     Quota (*read)(const std::string& dir))
{
    const std::optional<Place> place = find_place(root, type);
    if (!place) {
        return;
    }
    for (std::string path = place->path;; path.resize(path.rfind('/'))) {
        const std::string dir = place->mount + (path == "/" ? "" : path);
        const Quota q = read(root + dir);
        if (q.quota > 0 && q.period > 0) {
            limit(count, (q.quota + q.period - 1) / q.period,
                  fmt::format("the quota of {}: {} us in {} us", dir, q.quota, q.period));
        }
        if (path.empty() || path.rfind('/') == path.npos) {
            return;
        }
    }
}

}  // namespace

CpuCount count_cpus(const std::string& root)
{
    CpuCount count{.n = ncpu};

    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (::sched_getaffinity(0, sizeof(mask), &mask) == 0) {
        limit(count, CPU_COUNT(&mask), "the affinity mask");
    }
    limit_by_cgroup(count, root, "cgroup2", read_v2);
    limit_by_cgroup(count, root, "cgroup", read_v1);
    return count;
}

}  // namespace ngx
