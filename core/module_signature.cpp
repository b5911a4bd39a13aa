#include "core/module_signature.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ngx {

constinit const ModuleSignature module_signature = make_module_signature();

namespace {

constexpr std::size_t max_module_size = 256 << 20;

/// Maps a file for reading. fault() is a text if the file must not be read, and err() the errno of
/// a failed call; it unmaps the file at its end.
class MappedFile {
public:
    explicit MappedFile(const char* path) noexcept : fault_(map(path)) {}
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile()
    {
        if (!bytes_.empty()) {
            ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
        }
    }

    std::string_view bytes() const noexcept { return bytes_; }
    const char* fault() const noexcept { return fault_; }
    Err err() const noexcept { return err_; }

private:
    /// Returns null, or why the file must not be read.
    const char* map(const char* path) noexcept
    {
        struct stat info {};
        if (::stat(path, &info) == -1) {
            return failed();
        }
        if (!S_ISREG(info.st_mode)) {
            return "is not a regular file";
        }
        const int fd = ::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd == invalid_file) {
            return failed();
        }
        const char* const fault = map_file(fd);
        ::close(fd);
        return fault;
    }

    const char* map_file(int fd) noexcept
    {
        struct stat info {};
        if (::fstat(fd, &info) == -1) {
            return failed();
        }
        const auto size = static_cast<std::size_t>(info.st_size);
        if (size == 0) {
            return "is empty";
        }
        if (size > max_module_size) {
            return "is larger than 256 MiB";
        }
        void* const addr = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (addr == MAP_FAILED) {
            return failed();
        }
        bytes_ = {static_cast<char*>(addr), size};
        return nullptr;
    }

    const char* failed() noexcept
    {
        err_ = errno;
        return nullptr;
    }

    std::string_view bytes_{};
    Err err_ = 0;
    const char* fault_;
};

/// Copies an object out of a file. Returns false if the file ends before the object's end.
template <typename T>
bool read_at(std::string_view bytes, std::size_t offset, T& object) noexcept
{
    if (offset > bytes.size() || sizeof(T) > bytes.size() - offset) {
        return false;
    }
    std::memcpy(&object, bytes.data() + offset, sizeof(T));
    return true;
}

/// Tells whether the file has all bytes that the loader maps. A missing page would kill the
/// process.
bool is_whole(std::string_view bytes, const ElfW(Ehdr) & header) noexcept
{
    for (std::size_t n = 0; n < header.e_phnum; n++) {
        ElfW(Phdr) segment;
        if (!read_at(bytes, header.e_phoff + n * sizeof(segment), segment)) {
            return false;
        }
        if (segment.p_offset > bytes.size() || segment.p_filesz > bytes.size() - segment.p_offset) {
            return false;
        }
    }
    return true;
}

/// Returns why the bytes are not those of a module, or null.
const char* find_fault(std::string_view bytes) noexcept
{
    constexpr unsigned char word_size = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;

    ElfW(Ehdr) header;
    if (!bytes.starts_with(ELFMAG) || !read_at(bytes, 0, header) ||
        header.e_ident[EI_CLASS] != word_size || header.e_type != ET_DYN) {
        return "is not a shared object";
    }
    if (!is_whole(bytes, header)) {
        return "is cut off";
    }
    if (bytes.find(module_signature_mark) == std::string_view::npos) {
        return bytes.find("ngx_module_names") != std::string_view::npos
                   ? "is a module of nginx, not of ngxx"
                   : "has no signature of ngxx";
    }
    return nullptr;
}

/// A line of a signature, "NAME=VALUE".
struct Part {
    std::string_view name;
    std::string_view value;
};

/// Removes the first line and returns it.
Part next_part(std::string_view& signature) noexcept
{
    const std::string_view line = signature.substr(0, signature.find('\n'));
    signature.remove_prefix(std::min(line.size() + 1, signature.size()));
    const std::size_t equals = std::min(line.find('='), line.size());
    return {line.substr(0, equals), line.substr(std::min(equals + 1, line.size()))};
}

constexpr std::string_view unknown = "unknown";

/// Returns the value of a part in a signature, or "unknown".
std::string_view value_of(std::string_view name, std::string_view signature) noexcept
{
    while (!signature.empty()) {
        if (const Part part = next_part(signature); part.name == name) {
            return part.value;
        }
    }
    return unknown;
}

/// Describes the parts that differ: `compiler is "clang 14" instead of "gcc 12"`, joined by "; ".
std::string difference(std::string_view signature, std::string_view own)
{
    std::string text;
    for (std::string_view rest = own; !rest.empty();) {
        const Part part = next_part(rest);
        if (const std::string_view value = value_of(part.name, signature); value != part.value) {
            text += fmt::format("{}{} is \"{}\" instead of \"{}\"", text.empty() ? "" : "; ",
                                part.name, value, part.value);
        }
    }
    return text;
}

}  // namespace

std::string_view find_module_signature(std::string_view bytes) noexcept
{
    const std::size_t start = bytes.find(module_signature_mark);
    if (start == std::string_view::npos) {
        return {};
    }
    const std::string_view found = bytes.substr(start, sizeof(ModuleSignature::text));
    return found.substr(0, found.find('\0'));
}

Rc check_module_file(Conf& cf, const std::string& file)
{
    const MappedFile mapped(file.c_str());
    if (mapped.err() != 0) {
        // The message is the loader's; nginx leaves this check to the loader.
        conf_log_error(log_emerg, cf, 0,
                       "dlopen() \"{0}\" failed ({0}: cannot open shared object file: {1})", file,
                       strerror(mapped.err()));
        return Rc::error;
    }
    const char* const fault = mapped.fault() ? mapped.fault() : find_fault(mapped.bytes());
    if (fault) {
        conf_log_error(log_emerg, cf, 0, "module \"{}\" {}", file, fault);
        return Rc::error;
    }
    return check_module_signature(cf, file, find_module_signature(mapped.bytes()));
}

Rc check_module_signature(Conf& cf, std::string_view file, std::string_view signature)
{
    const std::string_view own = module_signature.text.data();

    // Its source has to be changed, whatever else differs.
    if (const std::string_view api = value_of("module API", signature);
        api != unknown && api != value_of("module API", own)) {
        conf_log_error(log_emerg, cf, 0, "module \"{}\" is for module API {} instead of {}", file,
                       api, module_api_version);
        return Rc::error;
    }
    if (const std::string_view version = value_of("version", signature);
        version != server_version) {
        conf_log_error(log_emerg, cf, 0, "module \"{}\" version {} instead of {}", file, version,
                       server_version);
        return Rc::error;
    }
    if (const std::string what = difference(signature, own); !what.empty()) {
        conf_log_error(log_emerg, cf, 0, "module \"{}\" is not binary compatible: {}", file, what);
        return Rc::error;
    }
    return Rc::ok;
}

}  // namespace ngx
