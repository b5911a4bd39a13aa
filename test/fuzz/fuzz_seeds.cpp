/// \file
/// Runs a fuzz target once over each seed, in every build.
///
///     conf_fuzz_seeds DIRECTORY
///     proxy_protocol_fuzz_seeds DIRECTORY
///     reader_fuzz_seeds DIRECTORY
///
/// A seed with the name good_... must be accepted, one with the name bad_... refused. A name that
/// contains _stream or _epoll applies only to a build with this module.

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "core/module.hpp"
#include "test/fuzz/fuzz.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

namespace {

bool is_built(std::string_view module)
{
    for (const std::string_view* name = module_names; !name->empty(); name++) {
        if (*name == module) {
            return true;
        }
    }
    return false;
}

/// Returns whether the build has the modules in the name of a seed.
bool is_about_this_build(std::string_view name)
{
    return (name.find("_stream") == name.npos || is_built("ngx_stream_module")) &&
           (name.find("_epoll") == name.npos || is_built("ngx_epoll_module"));
}

/// Returns whether the result for a seed agrees with its name.
bool run_seed(const std::filesystem::path& path)
{
    const std::string text = read_file(path);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());

    const std::string name = path.filename();
    if (!is_about_this_build(name)) {
        return true;
    }
    const bool taken = reads(text);
    if (taken == name.starts_with("good_")) {
        return true;
    }
    std::cerr << name << " was " << (taken ? "taken" : "refused") << '\n';
    return false;
}

int run_seeds(const std::filesystem::path& directory)
{
    std::vector<std::filesystem::path> seeds;
    std::ranges::copy(std::filesystem::directory_iterator(directory), std::back_inserter(seeds));
    std::ranges::sort(seeds);

    const auto failed =
        std::ranges::count_if(seeds, [](const auto& seed) { return !run_seed(seed); });
    std::cout << seeds.size() << " seeds, " << failed << " failed\n";
    return seeds.empty() || failed != 0 ? 1 : 0;
}

}  // namespace

}  // namespace ngx::test

int main(int argc, char** argv)
{
    if (argc != 2) {
        std::cerr << argv[0] << " DIRECTORY\n";
        return 2;
    }
    return ngx::test::run_seeds(argv[1]);
}
