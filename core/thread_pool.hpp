#pragma once

#include <cstdint>
#include <string_view>

#include "core/core.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"

namespace ngx {

/// A task for a thread of a pool: `handler(ctx)` runs in that thread, and must not touch what the
/// loop uses. Then the handler of `event` runs on the loop's thread. In between `event` is active,
/// and the owner of the task must keep it and its ctx alive.
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

/// Creates a task with a Ctx; `pool` owns both.
///
/// nginx: ngx_thread_task_alloc()
template <typename Ctx>
ThreadTask* thread_task_alloc(Pool& pool)
{
    auto* task = pool.create<ThreadTask>();
    task->ctx = pool.create<Ctx>();
    return task;
}

/// Posts the task to the pool's queue. Returns error after logging if the task is active or
/// max_queue tasks are waiting. Does not allocate. Call it on the loop's thread.
///
/// nginx: ngx_thread_task_post()
Rc thread_task_post(ThreadPool& tp, ThreadTask& task) noexcept;

/// Returns the pool of this name, and adds it to the cycle that is being configured if necessary.
/// It may be defined later; at the end of the configuration an undefined pool is an error unless it
/// is the default one. The cycle owns it.
///
/// nginx: ngx_thread_pool_add()
ThreadPool& thread_pool_add(Conf& cf, std::string_view name = thread_pool_default);

/// Returns the pool of this name, or null.
///
/// nginx: ngx_thread_pool_get()
ThreadPool* thread_pool_get(const Cycle& cycle, std::string_view name) noexcept;

}  // namespace ngx
