#pragma once

#include <stdexcept>
#include <sys/resource.h>
#include <unistd.h>

namespace ngx::test {

/// During its lifetime, or until it is lifted, this process can open only descriptors below
/// `files`.
class FileLimit {
public:
    explicit FileLimit(rlim_t files)
    {
        if (::getrlimit(RLIMIT_NOFILE, &before_) == -1) {
            throw std::runtime_error("getrlimit() failed");
        }
        rlimit lower = before_;
        lower.rlim_cur = files;
        if (::setrlimit(RLIMIT_NOFILE, &lower) == -1) {
            throw std::runtime_error("setrlimit() failed");
        }
    }
    FileLimit(const FileLimit&) = delete;
    FileLimit& operator=(const FileLimit&) = delete;
    ~FileLimit() { lift(); }

    void lift() const { ::setrlimit(RLIMIT_NOFILE, &before_); }

    /// Returns the next descriptor that the process would get.
    static rlim_t next_file()
    {
        const int fd = ::dup(STDIN_FILENO);
        ::close(fd);
        return static_cast<rlim_t>(fd);
    }

private:
    rlimit before_{};
};

}  // namespace ngx::test
