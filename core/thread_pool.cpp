#include "core/thread_pool.hpp"

#include <cassert>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/conf_file.hpp"
#include "core/cycle.hpp"
#include "core/log.hpp"
#include "core/string.hpp"
#include "event/event_core_module.hpp"
#include "os/unix/process.hpp"

namespace ngx {

namespace {

constexpr std::int64_t default_threads = 32;
constexpr std::int64_t default_max_queue = 65536;

/// nginx: ngx_thread_pool_queue_t
struct TaskQueue {
    ThreadTask* first = nullptr;
    ThreadTask* last = nullptr;

    void push(ThreadTask& task) noexcept
    {
        task.next = nullptr;
        (first ? last->next : first) = &task;
        last = &task;
    }

    /// Removes and returns the first task, or null.
    ThreadTask* pop() noexcept
    {
        ThreadTask* const task = first;
        first = task ? task->next : nullptr;
        return task;
    }
};

struct {
    std::uint64_t task_id = 0;  // only the loop's thread posts
    std::mutex done_mtx{};      // guards the members below
    TaskQueue done{};
    bool notified = false;  // the loop has been notified of `done`
} state;

}  // namespace

/// A pool of the configuration, and in a worker its threads. It owns the threads and no tasks. The
/// loop's thread posts to `queue`, the threads take from it.
///
/// nginx: ngx_thread_pool_t
struct ThreadPool {
    ThreadPool() = default;
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    ~ThreadPool();

    std::mutex mtx{};  // guards the next four members
    TaskQueue queue{};
    std::int64_t waiting = 0;  // tasks minus idle threads
    std::condition_variable cond{};
    bool exiting = false;

    Log* log = nullptr;
    Rc (*notify)(EventHandler handler) noexcept = nullptr;

    std::string_view name{};
    std::int64_t threads = 0;  // 0 if the pool is not defined yet
    std::int64_t max_queue = 0;

    std::string_view file{};  // the first place that names it
    std::size_t line = 0;

    std::vector<std::thread> running{};
};

namespace {

/// The pools of a cycle. Their threads end with the cycle: in a reload without a master the old
/// pools go on serving the old cycle's connections.
///
/// nginx: ngx_thread_pool_conf_t
struct ThreadPoolConf {
    static constexpr Module* module = &thread_pool_module;

    std::list<ThreadPool> pools{};
};

/// Blocks all signals while threads are created, so that they inherit the mask; not the synchronous
/// ones (SIGSEGV ...).
class BlockedSignals {
public:
    BlockedSignals() noexcept
    {
        sigset_t set;
        sigfillset(&set);
        for (const int signo : {SIGILL, SIGFPE, SIGSEGV, SIGBUS}) {
            sigdelset(&set, signo);
        }
        ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;
    ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

/// Calls the event handlers of completed tasks, on the loop's thread.
///
/// nginx: ngx_thread_pool_handler()
void thread_pool_handler(Event& ev) noexcept
{
    assert(in_loop_thread());
    log_debug(log_debug_core, ev.log, 0, "thread pool handler");

    TaskQueue done;
    {
        const std::lock_guard lock(state.done_mtx);
        done = std::exchange(state.done, {});
        state.notified = false;
    }
    // A handler may free its task or post it again.
    while (ThreadTask* const task = done.pop()) {
        log_debug(log_debug_core, ev.log, 0, "run completion handler for task #{}", task->id);
        assert(task->event.active && task->event.handler);
        task->event.complete = 1;
        task->event.active = 0;
        task->event.handler(task->event);
    }
}

/// Returns the next task. Returns null if the pool is ending and the queue is empty.
ThreadTask* wait_for_task(ThreadPool& tp)
{
    std::unique_lock lock(tp.mtx);
    tp.waiting--;
    tp.cond.wait(lock, [&] { return tp.queue.first || tp.exiting; });
    return tp.queue.pop();
}

/// Passes a completed task to the loop, which may free it at once. One notification is enough for
/// all tasks that the loop has not fetched. If it fails, which is logged, the next task sends
/// another.
void complete_task(ThreadPool& tp, ThreadTask& task)
{
    bool notified = false;
    {
        const std::lock_guard lock(state.done_mtx);
        state.done.push(task);
        notified = std::exchange(state.notified, true);
    }
    if (!notified && tp.notify(thread_pool_handler) != Rc::ok) {
        const std::lock_guard lock(state.done_mtx);
        state.notified = false;
    }
}

/// The main function of a pool's threads.
///
/// nginx: ngx_thread_pool_cycle()
void thread_pool_cycle(ThreadPool& tp) noexcept
{
    log_debug(log_debug_core, tp.log, 0, "thread in pool \"{}\" started", tp.name);

    while (ThreadTask* const task = wait_for_task(tp)) {
        log_debug(log_debug_core, tp.log, 0, "run task #{} in thread pool \"{}\"", task->id,
                  tp.name);
        task->handler(task->ctx, tp.log);
        log_debug(log_debug_core, tp.log, 0, "complete task #{} in thread pool \"{}\"", task->id,
                  tp.name);
        complete_task(tp, *task);
    }
}

/// Starts the threads of a pool. Returns error after logging.
///
/// nginx: ngx_thread_pool_init()
Rc thread_pool_init(ThreadPool& tp, Log* log)
{
    assert(tp.running.empty() && tp.threads > 0);
    if (!event_actions.notify) {
        log_error(log_alert, log, 0,
                  "the configured event method cannot be used with thread pools");
        return Rc::error;
    }
    tp.log = log;
    tp.notify = event_actions.notify;

    const BlockedSignals blocked;
    try {
        for (std::int64_t n = 0; n < tp.threads; n++) {
            tp.running.emplace_back(thread_pool_cycle, std::ref(tp));
        }
    } catch (const std::system_error& e) {
        log_error(log_alert, log, e.code().value(), "pthread_create() failed");
        return Rc::error;
    }
    return Rc::ok;
}

/// Waits until every posted task is done and the threads have ended. The loop may fetch the
/// completed tasks later.
///
/// Differs from nginx: nginx posts to each thread a task that ends it, which a full queue refuses.
///
/// nginx: ngx_thread_pool_destroy(), ngx_thread_pool_exit_handler()
void thread_pool_destroy(ThreadPool& tp) noexcept
{
    {
        const std::lock_guard lock(tp.mtx);
        tp.exiting = true;
    }
    tp.cond.notify_all();
    for (std::thread& thread : tp.running) {
        thread.join();
    }
    tp.running.clear();
}

}  // namespace

ThreadPool::~ThreadPool()
{
    thread_pool_destroy(*this);
}

Rc thread_task_post(ThreadPool& tp, ThreadTask& task) noexcept
{
    assert(in_loop_thread());
    assert(task.handler);
    if (task.event.active) {
        log_error(log_alert, tp.log, 0, "task #{} already active", task.id);
        return Rc::error;
    }

    std::unique_lock lock(tp.mtx);
    if (tp.waiting >= tp.max_queue) {
        const std::int64_t waiting = tp.waiting;
        lock.unlock();
        log_error(log_err, tp.log, 0, "thread pool \"{}\" queue overflow: {} tasks waiting",
                  tp.name, waiting);
        return Rc::error;
    }
    task.event.active = 1;
    task.id = state.task_id++;
    log_debug(log_debug_core, tp.log, 0, "task #{} added to thread pool \"{}\"", task.id, tp.name);
    assert(!tp.exiting);
    tp.queue.push(task);
    tp.waiting++;
    lock.unlock();
    tp.cond.notify_one();
    return Rc::ok;
}

ThreadPool& thread_pool_add(Conf& cf, std::string_view name)
{
    if (ThreadPool* const tp = thread_pool_get(*cf.cycle, name)) {
        return *tp;
    }
    auto& tcf = *get_conf<ThreadPoolConf>(cf.cycle->conf_ctx);
    ThreadPool& tp = tcf.pools.emplace_back();
    tp.name = name;
    tp.file = cf.pool->pstrdup(cf.conf_file->name);
    tp.line = cf.conf_file->line;
    return tp;
}

ThreadPool* thread_pool_get(const Cycle& cycle, std::string_view name) noexcept
{
    for (ThreadPool& tp : get_conf<ThreadPoolConf>(cycle.conf_ctx)->pools) {
        if (tp.name == name) {
            return &tp;
        }
    }
    return nullptr;
}

namespace {

/// nginx: ngx_thread_pool_create_conf()
void* thread_pool_create_conf(Cycle& cycle)
{
    return cycle.pool->create<ThreadPoolConf>();
}

/// Sets the default size of the default pool if it is used and not defined. Any other undefined
/// pool is an error.
///
/// Differs from nginx: an event method that threads cannot wake is an error here; with nginx every
/// worker exits at its start.
///
/// nginx: ngx_thread_pool_init_conf()
const char* thread_pool_init_conf(Cycle& cycle, void* conf)
{
    for (ThreadPool& tp : static_cast<ThreadPoolConf*>(conf)->pools) {
        if (tp.threads == 0 && tp.name != thread_pool_default) {
            conf_log_error(log_emerg, cycle.log, {tp.file, tp.line}, 0,
                           "unknown thread pool \"{}\"", tp.name);
            return conf_error;
        }
        if (tp.threads == 0) {
            tp.threads = default_threads;
            tp.max_queue = default_max_queue;
        }
        const EventModule& method = event_method(cycle);
        if (!method.actions.notify) {
            conf_log_error(log_emerg, cycle.log, {tp.file, tp.line}, 0,
                           "the event method \"{}\" cannot be used with thread pools, as \"{}\"",
                           method.name, tp.name);
            return conf_error;
        }
    }
    return conf_ok;
}

/// Parses `threads=N` or `max_queue=N`. Returns false after logging.
///
/// Differs from nginx: nginx ignores any other word.
bool set_parameter(Conf& cf, ThreadPool& tp, std::string_view value)
{
    if (value.starts_with("threads=")) {
        tp.threads = atoi(value.substr(8)).value_or(0);
        if (tp.threads == 0) {
            conf_log_error(log_emerg, cf, 0, "invalid threads value \"{}\"", value);
        }
        return tp.threads != 0;
    }
    if (value.starts_with("max_queue=")) {
        const std::optional<std::int64_t> max_queue = atoi(value.substr(10));
        if (!max_queue) {
            conf_log_error(log_emerg, cf, 0, "invalid max_queue value \"{}\"", value);
        }
        tp.max_queue = max_queue.value_or(0);
        return max_queue.has_value();
    }
    conf_log_error(log_emerg, cf, 0, "invalid parameter \"{}\"", value);
    return false;
}

/// The directive `thread_pool NAME threads=N [max_queue=N];`
///
/// nginx: ngx_thread_pool()
const char* thread_pool(Conf& cf, const Command& cmd, void*)
{
    ThreadPool& tp = thread_pool_add(cf, cf.args[1]);
    if (tp.threads != 0) {
        conf_log_error(log_emerg, cf, 0, "duplicate thread pool \"{}\"", tp.name);
        return conf_error;
    }

    tp.max_queue = default_max_queue;
    for (std::size_t i = 2; i < cf.args.size(); i++) {
        if (!set_parameter(cf, tp, cf.args[i])) {
            return conf_error;
        }
    }
    if (tp.threads == 0) {
        conf_log_error(log_emerg, cf, 0, "\"{}\" must have \"threads\" parameter", cmd.name);
        return conf_error;
    }
    return conf_ok;
}

bool has_loop() noexcept
{
    return process == Process::worker || process == Process::single;
}

/// Starts the threads of a worker. The queue of completed tasks is not cleared, as it may hold
/// tasks of an old cycle.
///
/// nginx: ngx_thread_pool_init_worker()
Rc thread_pool_init_worker(Cycle& cycle)
{
    if (!has_loop()) {
        return Rc::ok;
    }
    for (ThreadPool& tp : get_conf<ThreadPoolConf>(cycle.conf_ctx)->pools) {
        if (thread_pool_init(tp, cycle.log) != Rc::ok) {
            return Rc::error;
        }
    }
    return Rc::ok;
}

/// Ends the threads, and clears the queue of completed tasks, as no loop will fetch them.
///
/// nginx: ngx_thread_pool_exit_worker()
void thread_pool_exit_worker(Cycle& cycle)
{
    const auto destroy_pools = [](const Cycle& c) {
        for (ThreadPool& tp : get_conf<ThreadPoolConf>(c.conf_ctx)->pools) {
            thread_pool_destroy(tp);
        }
    };
    if (has_loop()) {
        destroy_pools(cycle);
        for (const Cycle* old : old_cycles) {
            destroy_pools(*old);
        }
        state.done = {};
        state.notified = false;
    }
}

constexpr Command thread_pool_commands[] = {
    {
        .name = "thread_pool",
        .type = main_conf | direct_conf | conf_take23,
        .set = thread_pool,
    },
};

constexpr CoreModule thread_pool_module_ctx = {
    .name = "thread_pool",
    .create_conf = thread_pool_create_conf,
    .init_conf = thread_pool_init_conf,
};

}  // namespace

constinit Module thread_pool_module = {
    .ctx = &thread_pool_module_ctx,
    .commands = thread_pool_commands,
    .type = ModuleType::core,
    .init_process = thread_pool_init_worker,
    .exit_process = thread_pool_exit_worker,
};

}  // namespace ngx
