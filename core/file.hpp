#pragma once

#include <string>
#include <string_view>
#include <sys/stat.h>

#include "core/core.hpp"

namespace ngx {

/// A file that is read or sent. It does not own the descriptor. Only the loop's thread changes it;
/// a thread that sends the file reads `fd`.
///
/// nginx: ngx_file_t
struct File {
    int fd = invalid_file;
    std::string_view name{};
    struct ::stat info {};

    off_t offset = 0;

    Log* log = nullptr;

    /// Posts a task to a thread pool for the file's owner; null if threads are off. `thread_ctx`
    /// belongs to the owner, `thread_task` is the task of the current read.
    Rc (*thread_handler)(ThreadTask& task, File& file) noexcept = nullptr;
    void* thread_ctx = nullptr;
    ThreadTask* thread_task = nullptr;

    EventAio* aio = nullptr;  // created by the first asynchronous read

    unsigned valid_info : 1 = 0;
    unsigned directio : 1 = 0;
};

/// A file that the process keeps open for writing, such as a log. A cycle has one OpenFile for each
/// name, and owns it.
///
/// nginx: ngx_open_file_t
struct OpenFile {
    int fd = invalid_file;
    std::string name{};  // empty means stderr
    void (*flush)(OpenFile& file, Log* log) = nullptr;
    void* data = nullptr;
};

}  // namespace ngx
