/// \file
/// Runs a fuzz target once over each seed, in every build.
///
///     conf_fuzz_seeds DIRECTORY
///     proxy_protocol_fuzz_seeds DIRECTORY
///
/// A seed that is called good_... must be taken, one that is called bad_... refused. A name with
/// _stream or _epoll in it is about a build that has this module.

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

/// Whether the build has the modules that the name of a seed has.
bool is_about_this_build(std::string_view name)
{
    return (name.find("_stream") == name.npos || is_built("ngx_stream_module")) &&
           (name.find("_epoll") == name.npos || is_built("ngx_epoll_module"));
}

/// Whether what became of the seed is what its name says.
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
