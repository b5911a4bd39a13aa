#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <memory>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "tools/conf/parser.hpp"

namespace ngx::conf {

namespace {

/// A descriptor that is closed at the end of its scope.
class Descriptor {
public:
    explicit Descriptor(int fd) noexcept : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor()
    {
        if (fd_ > STDERR_FILENO) {
            ::close(fd_);
        }
    }
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_;
};

/// The content of a file, or the system call that failed and its errno.
struct Content {
    std::string bytes{};
    const char* failed = nullptr;
    int err = 0;
};

/// Reads up to the end of a file, but not more than `limit` bytes. `size` is the expected size.
Content read_all(int fd, std::size_t size, std::size_t limit)
{
    Content content;
    std::size_t filled = 0;
    for (;;) {
        // One byte more than the size, to see the end without another allocation.
        const std::size_t least = std::max(size + 1, filled + filled / 2 + 4096);
        if (filled == content.bytes.size()) {
            content.bytes.resize(filled == 0 ? size + 1 : least);
        }
        const ssize_t n = ::read(fd, content.bytes.data() + filled, content.bytes.size() - filled);
        if (n == -1 && errno == EINTR) {
            continue;
        }
        if (n == -1) {
            return {{}, "read()", errno};
        }
        filled += static_cast<std::size_t>(n);
        if (filled > limit) {
            return {{}, "read()", EFBIG};
        }
        if (n == 0) {
            content.bytes.resize(filled);
            return content;
        }
    }
}

/// Returns whether a file is a pipe with a name. A pipe of the shell, such as /dev/fd/63, has none.
bool is_named_pipe(const std::string& name)
{
    struct stat info {};
    if (::stat(name.c_str(), &info) == -1 || !S_ISFIFO(info.st_mode)) {
        return false;
    }
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(name.c_str(), nullptr),
                                                           std::free);
    return real != nullptr;
}

/// Reads a file. Only the first one may be a device or a pipe without a name: an included one, and
/// a pipe that no process writes to, could block.
Content read_file(const std::string& name, bool is_first, std::size_t limit)
{
    const bool is_stdin = is_first && name == "-";
    if (is_first && !is_stdin && is_named_pipe(name)) {
        return {{}, "read()", EINVAL};
    }
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | (is_first ? 0 : O_NONBLOCK);
    const Descriptor fd(is_stdin ? STDIN_FILENO : ::open(name.c_str(), flags));
    if (fd.get() == -1) {
        return {{}, "open()", errno};
    }
    struct stat info {};
    if (::fstat(fd.get(), &info) == -1) {
        return {{}, "fstat()", errno};
    }
    if (!is_first && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
        return {{}, "read()", EINVAL};
    }
    const auto size = S_ISREG(info.st_mode) ? static_cast<std::size_t>(info.st_size) : 0;
    return size > limit ? Content{{}, "read()", EFBIG} : read_all(fd.get(), size, limit);
}

std::vector<std::uint32_t> line_starts(std::string_view bytes)
{
    std::vector<std::uint32_t> lines;
    lines.reserve(static_cast<std::size_t>(std::ranges::count(bytes, '\n')) + 1);
    lines.push_back(0);
    for (std::size_t pos = bytes.find('\n'); pos != bytes.npos; pos = bytes.find('\n', pos + 1)) {
        lines.push_back(static_cast<std::uint32_t>(pos + 1));
    }
    return lines;
}

Error cannot_read(const std::string& name, const Content& content)
{
    const std::string reason = std::error_code(content.err, std::generic_category()).message();
    return {.kind = ErrorKind::cannot_read,
            .file = 0,
            .offset = 0,
            .text =
                fmt::format("{} \"{}\" failed ({}: {})", content.failed, name, content.err, reason),
            .hint = {},
            .err = content.err,
            .name = name};
}

}  // namespace

File& Tree::add_file(std::string name, std::string bytes)
{
    bytes_ += bytes.size();
    auto file = std::make_unique<File>();
    file->name = std::move(name);
    file->bytes = std::move(bytes);
    file->lines = line_starts(file->bytes);
    file->number = static_cast<std::uint32_t>(files_.size());
    file->was_read = true;
    numbers_.emplace(file->name, file->number);
    files_.push_back(std::move(file));
    return *files_.back();
}

bool Tree::read(std::string_view name, const Options& options)
{
    const std::string first(name);
    Content content = read_file(first, true, max_bytes);
    if (content.failed) {
        add_file(first, {}).was_read = false;
        add_error(cannot_read(first, content));
        return false;
    }
    add_file(first, std::move(content.bytes));
    read_files(options);
    return true;
}

void Tree::read_text(std::string_view name, std::string text, const Options& options)
{
    if (text.size() > max_bytes) {
        add_file(std::string(name), {}).was_read = false;
        add_error(cannot_read(std::string(name), {{}, "read()", EFBIG}));
        return;
    }
    add_file(std::string(name), std::move(text));
    read_files(options);
}

/// Parses the files; their includes add more of them.
void Tree::read_files(const Options& options)
{
    Includes includes(*this, options);
    for (std::size_t i = 0; i < files_.size(); i++) {  // NOLINT(modernize-loop-convert): it grows
        Parser(*this, *files_[i], options.follow_includes ? &includes : nullptr, options).parse();
    }
    Graph(*this).check();
}

Includes::Includes(Tree& tree, const Options& options) : tree_(tree)
{
    const std::string& first = tree_.files_.front()->name;
    prefix_ = options.conf_prefix.value_or(first.substr(0, first.rfind('/') + 1));
    if (!prefix_.empty() && !prefix_.ends_with('/')) {
        prefix_ += '/';
    }
}

void Includes::add(File& from, std::uint32_t node, const std::string& pattern)
{
    // Like nginx, which passes the name to the system, a name ends at a zero byte.
    const std::string word(pattern, 0, pattern.find('\0'));
    const std::string name = word.starts_with('/') ? word : prefix_ + word;
    if (name.find_first_of("*?[") == name.npos) {
        add_file(from, node, name);
        return;
    }

    glob_t found{};
    const int rc = ::glob(name.c_str(), 0, nullptr, &found);
    if (rc == 0) {
        for (std::size_t i = 0; i < found.gl_pathc; i++) {
            add_file(from, node, found.gl_pathv[i]);
        }
    } else if (rc != GLOB_NOMATCH) {
        Error error = cannot_read(name, {{}, "glob()", errno});
        error.file = from.number;
        error.offset = tree_.nodes_[node].begin;
        tree_.add_error(std::move(error));
    }
    ::globfree(&found);
}

void Includes::add_file(File& from, std::uint32_t node, const std::string& name)
{
    const auto known = tree_.numbers_.find(name);
    if (known != tree_.numbers_.end()) {
        tree_.edges_.push_back({node, from.number, known->second, false});
        return;
    }

    Content content = read_file(name, false, max_bytes - tree_.bytes_);
    if (content.failed) {
        Error error = cannot_read(name, content);
        error.file = from.number;
        error.offset = tree_.nodes_[node].begin;
        error.hint = "the file is left out";
        tree_.add_error(std::move(error));
        return;
    }
    File& file = tree_.add_file(name, std::move(content.bytes));
    file.includer = node;
    tree_.edges_.push_back({node, from.number, file.number, false});
}

void Graph::check()
{
    if (!tree_.edges_.empty()) {
        find_loops();
        limit_depth();
    }
}

std::size_t Graph::first_edge(std::uint32_t file) const
{
    const auto edge = std::ranges::lower_bound(tree_.edges_, file, {}, &Tree::Edge::from);
    return static_cast<std::size_t>(edge - tree_.edges_.begin());
}

/// Goes through the files depth first, and cuts each edge that leads back to a file on the path.
void Graph::find_loops()
{
    enum class State : std::uint8_t { fresh, on_path, done };
    std::vector<State> states(tree_.files_.size(), State::fresh);
    std::vector<std::uint32_t> path{0};
    std::vector<std::size_t> next{first_edge(0)};
    states[0] = State::on_path;
    while (!path.empty()) {
        const std::uint32_t file = path.back();
        const std::size_t i = next.back()++;
        if (i == tree_.edges_.size() || tree_.edges_[i].from != file) {
            states[file] = State::done;
            order_.push_back(file);
            path.pop_back();
            next.pop_back();
            continue;
        }
        Tree::Edge& edge = tree_.edges_[i];
        if (states[edge.to] == State::on_path) {
            report_loop(edge, path);
        } else if (states[edge.to] == State::fresh) {
            states[edge.to] = State::on_path;
            path.push_back(edge.to);
            next.push_back(first_edge(edge.to));
        }
    }
}

void Graph::report_loop(Tree::Edge& edge, const std::vector<std::uint32_t>& path)
{
    edge.cut = true;
    const std::string& name = tree_.files_[edge.to]->name;
    const auto length = path.end() - std::ranges::find(path, edge.to);
    const std::string through =
        length == 1 ? std::string()
                    : fmt::format(" through {} other file{}", length - 1, length == 2 ? "" : "s");
    tree_.add_error({.kind = ErrorKind::include_loop,
                     .file = edge.from,
                     .offset = tree_.nodes_[edge.node].begin,
                     .text = fmt::format("the file \"{}\" includes itself{}", name, through),
                     .hint = "remove one of the includes"});
}

/// Cuts the edges behind which a chain would be longer than max_include_depth.
void Graph::limit_depth()
{
    std::vector<std::uint32_t> depths(tree_.files_.size(), 0);  // 0: no chain leads here
    depths[0] = 1;
    for (auto file = order_.rbegin(); file != order_.rend(); ++file) {
        for (std::size_t i = first_edge(*file);
             depths[*file] != 0 && i < tree_.edges_.size() && tree_.edges_[i].from == *file; i++) {
            Tree::Edge& edge = tree_.edges_[i];
            if (edge.cut) {
                continue;
            }
            if (depths[*file] < max_include_depth) {
                depths[edge.to] = std::max(depths[edge.to], depths[*file] + 1);
                continue;
            }
            edge.cut = true;
            tree_.add_error(
                {.kind = ErrorKind::include_depth,
                 .file = edge.from,
                 .offset = tree_.nodes_[edge.node].begin,
                 .text = fmt::format("more than {} files include one another", max_include_depth),
                 .hint = "include the files from fewer levels"});
        }
    }
}

}  // namespace ngx::conf
