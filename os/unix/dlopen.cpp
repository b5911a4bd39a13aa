#include "os/unix/dlopen.hpp"

#include <algorithm>
#include <dlfcn.h>
#include <string_view>
#include <sys/stat.h>
#include <vector>

#include "core/core.hpp"

namespace ngx {

namespace {

/// A file that was loaded. One that the loader keeps although nobody here uses it any more, because
/// it must or because somebody else has it, stays in the list, too.
struct Loaded {
    void* handle;
    std::string name;  // by which the loader knows it
    dev_t device;
    ino_t inode;
    std::size_t users;
};

struct {
    std::vector<Loaded> files{};
} state;

/// The path in another spelling, which is another name to the loader.
std::string spelled(const std::string& path, std::size_t n)
{
    std::string name = path;
    const std::size_t slash = name.rfind('/') + 1;  // 0 if there is none
    for (std::size_t i = 0; i < n; i++) {
        name.insert(slash, "./");
    }
    return name;
}

/// What the loader has of this name, be it an older file, or of the file that has it now. Null if
/// neither.
void* find_loaded(const std::string& name) noexcept
{
    void* const handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (handle) {
        ::dlclose(handle);
    }
    return handle;
}

/// A name that no other file of the list has.
std::string new_name(const std::string& path)
{
    std::size_t n = 0;
    while (std::ranges::find(state.files, find_loaded(spelled(path, n)), &Loaded::handle) !=
           state.files.end()) {
        n++;
    }
    return spelled(path, n);
}

void forget_what_is_gone()
{
    std::erase_if(state.files, [](const Loaded& file) {
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
    const auto loaded = std::ranges::find_if(state.files, [&](const Loaded& file) {
        return file.device == info.st_dev && file.inode == info.st_ino;
    });
    if (loaded != state.files.end()) {
        loaded->users++;
        return ::dlopen(loaded->name.c_str(), RTLD_NOW);
    }

    std::string name = new_name(path);
    void* const handle = ::dlopen(name.c_str(), RTLD_NOW);
    if (handle) {
        state.files.push_back({handle, std::move(name), info.st_dev, info.st_ino, 1});
    }
    return handle;
}

int dlclose(void* handle) noexcept
{
    const auto loaded = std::ranges::find(state.files, handle, &Loaded::handle);
    if (loaded != state.files.end()) {
        loaded->users--;
    }
    return ::dlclose(handle);
}

const char* dlerror() noexcept
{
    return ::dlerror();
}

}  // namespace ngx
