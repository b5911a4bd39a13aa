#include "os/unix/dlopen.hpp"

#include <algorithm>
#include <dlfcn.h>
#include <string_view>
#include <sys/stat.h>
#include <vector>

#include "core/core.hpp"

namespace ngx {

namespace {

/// A loaded file. A file without users stays in the list as long as the loader keeps it loaded.
struct Loaded {
    void* handle;
    std::string name;  // the loader's name for it
    dev_t device;
    ino_t inode;
    std::size_t users;
};

std::vector<Loaded> loaded_files{};

/// Returns another spelling of the path, which the loader takes as another name.
std::string spelled(const std::string& path, std::size_t n)
{
    std::string name = path;
    const std::size_t slash = name.rfind('/') + 1;  // 0 if there is none
    for (std::size_t i = 0; i < n; i++) {
        name.insert(slash, "./");
    }
    return name;
}

/// Returns the handle under which the loader already has this name or file loaded; null if it has
/// neither.
void* find_loaded(const std::string& name) noexcept
{
    void* const handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (handle) {
        ::dlclose(handle);
    }
    return handle;
}

/// Returns a spelling of the path that belongs to no other file of the list.
std::string new_name(const std::string& path)
{
    std::size_t n = 0;
    while (std::ranges::find(loaded_files, find_loaded(spelled(path, n)), &Loaded::handle) !=
           loaded_files.end()) {
        n++;
    }
    return spelled(path, n);
}

void forget_what_is_gone()
{
    std::erase_if(loaded_files, [](const Loaded& file) {
        return file.users == 0 && find_loaded(file.name) != file.handle;
    });
}

}  // namespace

void* dlopen(const std::string& path)
{
    struct stat info {};
    if (::stat(path.c_str(), &info) == -1) {
        return ::dlopen(path.c_str(), RTLD_NOW);
    }

    forget_what_is_gone();
    const auto loaded = std::ranges::find_if(loaded_files, [&](const Loaded& file) {
        return file.device == info.st_dev && file.inode == info.st_ino;
    });
    if (loaded != loaded_files.end()) {
        loaded->users++;
        return ::dlopen(loaded->name.c_str(), RTLD_NOW);
    }

    std::string name = new_name(path);
    void* const handle = ::dlopen(name.c_str(), RTLD_NOW);
    if (handle) {
        loaded_files.push_back({handle, std::move(name), info.st_dev, info.st_ino, 1});
    }
    return handle;
}

int dlclose(void* handle) noexcept
{
    const auto loaded = std::ranges::find(loaded_files, handle, &Loaded::handle);
    if (loaded != loaded_files.end()) {
        loaded->users--;
    }
    return ::dlclose(handle);
}

const char* dlerror() noexcept
{
    return ::dlerror();
}

}  // namespace ngx
