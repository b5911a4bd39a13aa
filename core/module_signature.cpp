#include "core/module_signature.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ngx {

constinit const ModuleSignature module_signature = make_module_signature();

namespace {

/// A regular file in memory, to be read. Empty if that cannot be.
class MappedFile {
public:
    explicit MappedFile(const char* path) noexcept
    {
        // A FIFO is not waited for.
        const int fd = ::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd == invalid_file) {
            return;
        }
        struct stat info {};
        if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
            const auto size = static_cast<std::size_t>(info.st_size);
            void* const addr = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
            bytes_ = addr != MAP_FAILED ? std::string_view(static_cast<char*>(addr), size)
                                        : std::string_view();
        }
        ::close(fd);
    }
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile()
    {
        if (!bytes_.empty()) {
            ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
        }
    }

    std::string_view bytes() const noexcept { return bytes_; }

private:
    std::string_view bytes_{};
};

/// A line of a signature, "NAME=VALUE".
struct Part {
    std::string_view name;
    std::string_view value;
};

/// Takes the first line off.
Part next_part(std::string_view& signature) noexcept
{
    const std::string_view line = signature.substr(0, signature.find('\n'));
    signature.remove_prefix(std::min(line.size() + 1, signature.size()));
    const std::size_t equals = std::min(line.find('='), line.size());
    return {line.substr(0, equals), line.substr(std::min(equals + 1, line.size()))};
}

/// What a signature says of a part; "unknown" if it does not have it.
std::string_view value_of(std::string_view name, std::string_view signature) noexcept
{
    while (!signature.empty()) {
        if (const Part part = next_part(signature); part.name == name) {
            return part.value;
        }
    }
    return "unknown";
}

/// The parts that differ: `compiler is "clang 14" instead of "gcc 12"`, with "; " between them.
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

std::string read_module_signature(const char* path)
{
    const MappedFile file(path);
    const std::size_t start = file.bytes().find(module_signature_mark);
    if (start == std::string_view::npos) {
        return {};
    }
    const std::string_view found = file.bytes().substr(start, sizeof(ModuleSignature::text));
    return std::string(found.substr(0, found.find('\0')));
}

Rc check_module_signature(Conf& cf, std::string_view file, std::string_view signature)
{
    const std::string_view own = module_signature.text.data();

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
