#include "tools/trace/names.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <link.h>
#include <map>
#include <memory>
#include <vector>

namespace ngx::trace {

namespace {

/// The functions of a file, by their places in it.
using Functions = std::map<std::uintptr_t, std::string>;

/// Not in the functions that use them: at the exit of the process those would be gone too early.
struct {
    std::map<std::string, Functions> files{};
    std::map<EventHandler, std::string> names{};
} state;

/// A part of a file as an array; empty if the file is too short.
template <typename T>
std::vector<T> part(const std::vector<char>& file, std::uint64_t offset, std::uint64_t size)
{
    if (offset > file.size() || size > file.size() - offset) {
        return {};
    }
    std::vector<T> items(size / sizeof(T));
    std::memcpy(items.data(), file.data() + offset, items.size() * sizeof(T));
    return items;
}

std::vector<char> read_file(const char* path)
{
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// What .symtab has. Functions of an unnamed namespace stand nowhere else; a program that was
/// stripped has none.
Functions read_functions(const char* path)
{
    Functions functions;
    const std::vector<char> file = read_file(path);
    const auto head = part<ElfW(Ehdr)>(file, 0, sizeof(ElfW(Ehdr)));
    if (head.empty() || std::memcmp(head[0].e_ident, ELFMAG, SELFMAG) != 0) {
        return functions;
    }
    const auto sections = part<ElfW(Shdr)>(file, head[0].e_shoff,
                                           std::uint64_t{head[0].e_shnum} * sizeof(ElfW(Shdr)));
    for (const auto& section : sections) {
        if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) {
            continue;
        }
        const auto& strings = sections[section.sh_link];
        const auto names = part<char>(file, strings.sh_offset, strings.sh_size);
        for (const auto& symbol : part<ElfW(Sym)>(file, section.sh_offset, section.sh_size)) {
            if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
                symbol.st_name < names.size()) {
                functions.emplace(symbol.st_value, &names[symbol.st_name]);
            }
        }
    }
    return functions;
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

    // A lambda has parameters in its own name, so it is the last ones that go.
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
    const bool program = map->l_name[0] == '\0';
    const std::string path = program ? "/proc/self/exe" : info.dli_fname;
    auto file = state.files.find(path);
    if (file == state.files.end()) {
        file = state.files.emplace(path, read_functions(path.c_str())).first;
    }

    const std::uintptr_t place = reinterpret_cast<std::uintptr_t>(address) - map->l_addr;
    if (const auto found = file->second.find(place); found != file->second.end()) {
        return readable(found->second.c_str());
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
    auto found = state.names.find(handler);
    if (found == state.names.end()) {
        found =
            state.names.emplace(handler, find_name(reinterpret_cast<const void*>(handler))).first;
    }
    return found->second;
}

}  // namespace ngx::trace
