#include "tools/trace/names.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <map>
#include <memory>
#include <span>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ngx::trace {

namespace {

/// The names already found. Not a local static of handler_name(), which would be destroyed before
/// the last turn is written, in the handler of atexit().
std::map<EventHandler, std::string> handler_names{};

/// A file mapped for reading. Empty if the file cannot be opened or mapped.
class MappedFile {
public:
    explicit MappedFile(const char* path)
    {
        const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
        struct stat info {};
        if (fd != invalid_file && ::fstat(fd, &info) == 0) {
            const auto size = static_cast<std::size_t>(info.st_size);
            void* const addr = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
            bytes_ = addr == MAP_FAILED ? std::span<const char>()
                                        : std::span(static_cast<const char*>(addr), size);
        }
        if (fd != invalid_file) {
            ::close(fd);
        }
    }
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile()
    {
        if (!bytes_.empty()) {
            ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
        }
    }

    /// Returns a part of the file as an array; empty if the file is too short.
    template <typename T>
    std::span<const T> part(std::uint64_t offset, std::uint64_t size) const noexcept
    {
        if (offset > bytes_.size() || size > bytes_.size() - offset) {
            return {};
        }
        return {reinterpret_cast<const T*>(bytes_.data() + offset), size / sizeof(T)};
    }

private:
    std::span<const char> bytes_{};
};

/// Returns the name of the function at `place` in a file from the section .symtab. Only this
/// section has the functions of unnamed namespaces; a stripped program does not have it. Empty if
/// not found.
std::string find_symbol(const char* path, std::uintptr_t place)
{
    const MappedFile file(path);
    const auto head = file.part<ElfW(Ehdr)>(0, sizeof(ElfW(Ehdr)));
    if (head.empty() || std::memcmp(head[0].e_ident, ELFMAG, SELFMAG) != 0) {
        return {};
    }
    const auto sections =
        file.part<ElfW(Shdr)>(head[0].e_shoff, std::uint64_t{head[0].e_shnum} * sizeof(ElfW(Shdr)));
    for (const auto& section : sections) {
        if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) {
            continue;
        }
        const auto& strings = sections[section.sh_link];
        const auto names = file.part<char>(strings.sh_offset, strings.sh_size);
        for (const auto& symbol : file.part<ElfW(Sym)>(section.sh_offset, section.sh_size)) {
            if (symbol.st_value == place && ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
                symbol.st_name < names.size()) {
                return &names[symbol.st_name];
            }
        }
    }
    return {};
}

void remove_all(std::string& text, std::string_view what)
{
    for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at)) {
        text.erase(at, what.size());
    }
}

std::string readable(const char* symbol)
{
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> demangled(
        abi::__cxa_demangle(symbol, nullptr, nullptr, &status), std::free);
    std::string name = demangled ? demangled.get() : symbol;
    remove_all(name, "(anonymous namespace)::");

    // The name of a lambda contains parameters, so only the last list is removed.
    name.resize(std::min(name.size(), name.find(" [clone")));
    if (name.ends_with(')')) {
        name.resize(name.rfind('('));
    }
    return name;
}

std::string find_name(const void* address)
{
    Dl_info info{};
    link_map* map = nullptr;
    if (::dladdr1(address, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0) {
        return fmt::format("{}", address);
    }
    const char* const path = map->l_name[0] == '\0' ? "/proc/self/exe" : info.dli_fname;
    const std::uintptr_t place = reinterpret_cast<std::uintptr_t>(address) - map->l_addr;
    if (const std::string symbol = find_symbol(path, place); !symbol.empty()) {
        return readable(symbol.c_str());
    }
    if (info.dli_sname && info.dli_saddr == address) {
        return readable(info.dli_sname);
    }
    const std::string_view whole = info.dli_fname;
    return fmt::format("{}+{:#x}", whole.substr(whole.rfind('/') + 1), place);
}

}  // namespace

const std::string& handler_name(EventHandler handler)
{
    auto found = handler_names.find(handler);
    if (found == handler_names.end()) {
        found =
            handler_names.emplace(handler, find_name(reinterpret_cast<const void*>(handler))).first;
    }
    return found->second;
}

}  // namespace ngx::trace
