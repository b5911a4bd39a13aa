#pragma once

#include <cstdint>
#include <string_view>

#include "core/core.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"

namespace ngx {

/// Work for another thread: `handler` runs there with `ctx`, and must not touch what the loop
/// uses. Then the handler of `event` runs on the loop's thread. From the post to that moment
/// `event` is active, and whoever owns the task must keep it and its ctx alive.
///
/// nginx: ngx_thread_task_t
struct ThreadTask {
    ThreadTask* next = nullptr;
    std::uint64_t id = 0;
    void* ctx = nullptr;
    void (*handler)(void* ctx, Log* log) noexcept = nullptr;
    Event event{};
};

extern Module thread_pool_module;

inline constexpr std::string_view thread_pool_default = "default";

/// A task with a Ctx behind it; both live as long as `pool`.
///
/// nginx: ngx_thread_task_alloc()
template <typename Ctx>
ThreadTask* thread_task_alloc(Pool& pool)
{
    auto* task = pool.create<ThreadTask>();
    task->ctx = pool.create<Ctx>();
    return task;
}

/// Gives the task to the next thread that is free. An error, after a log line, when the task is
/// active already or max_queue tasks wait. Allocates nothing.
///
/// nginx: ngx_thread_task_post()
Rc thread_task_post(ThreadPool& tp, ThreadTask& task) noexcept;

/// The pool of this name, added to the cycle that is being configured if it is new. It need not
/// be defined yet; a name that never is ends the configuration, unless it is the default one's.
///
/// nginx: ngx_thread_pool_add()
ThreadPool& thread_pool_add(Conf& cf, std::string_view name = thread_pool_default);

/// The pool of this name, or null.
///
/// nginx: ngx_thread_pool_get()
ThreadPool* thread_pool_get(const Cycle& cycle, std::string_view name) noexcept;

}  // namespace ngx
