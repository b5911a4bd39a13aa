#pragma once

#include <string_view>
#include <sys/stat.h>

#include "core/core.hpp"

namespace ngx {

/// A file that is read, or sent. It does not own the descriptor.
///
/// nginx: ngx_file_t
struct File {
    int fd = invalid_file;
    std::string_view name{};
    struct ::stat info {};

    off_t offset = 0;

    Log* log = nullptr;

    /// How its owner has a task done by a thread; null when threads are off. `thread_ctx` is the
    /// owner's, `thread_task` the task of the read that is under way.
    Rc (*thread_handler)(ThreadTask& task, File& file) noexcept = nullptr;
    void* thread_ctx = nullptr;
    ThreadTask* thread_task = nullptr;

    EventAio* aio = nullptr;  // made with the first asynchronous read

    unsigned valid_info : 1 = 0;
    unsigned directio : 1 = 0;
};

}  // namespace ngx
