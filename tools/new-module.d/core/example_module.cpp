#include <condition_variable>
#include <csignal>
#include <fstream>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/module.hpp"
#include "core/module_api.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "event/event_wake.hpp"

/// \file
/// `example_interval TIME;` at the main level: the interval at which each worker logs the number of
/// turns of its loop and the memory that it uses.
///
/// The memory is read from a file. That may take long, and the loop must wait only in its poller,
/// so a thread reads the file:
///
///     timer, on the loop  --work-->  thread  --event_wake()-->  waker's handler, on the loop
///
/// Only the loop's thread uses the objects of the loop, including the log.
namespace ngx {

static_assert(module_api_version == 1, "written for another version of the module API");

// Defined at the end of the file.
extern Module example_module;

namespace {

/// The module's configuration at the main level. A value is empty until its directive or init_conf
/// sets it.
struct ExampleConf {
    static constexpr Module* module = &example_module;  // for get_conf()

    std::optional<Msec> interval{};  // 0: off
};

/// The data that the two threads share. `mutex` guards it.
struct Exchange {
    std::mutex mutex{};
    std::condition_variable_any work{};
    bool wanted = false;  // the loop sets it, the thread clears it
    std::size_t kilobytes = 0;
};

/// The state of a worker. The thread is the last member, so that it is stopped and joined before
/// the objects that it uses are destroyed, also if the process calls exit(). A std::thread that was
/// not joined would terminate the process.
struct {
    Msec interval = 0;
    std::uint64_t turns = 0;

    Event timer{};
    Connection timer_owner{};  // an event needs a connection: debug lines print its fd
    TurnHook hook{};
    EventWaker waker{};

    Exchange exchange{};
    std::jthread thread{};
} state;

/// Returns the resident memory: the second number of statm, in pages.
std::size_t resident_kilobytes()
{
    std::size_t size = 0;
    std::size_t resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

/// The function of the thread: measures when the loop requests it, until it must stop.
void measure(const std::stop_token& asked_to_stop)
{
    Exchange& exchange = state.exchange;
    std::unique_lock lock(exchange.mutex);
    while (exchange.work.wait(lock, asked_to_stop, [&] { return exchange.wanted; })) {
        exchange.wanted = false;
        lock.unlock();
        const std::size_t kilobytes = resident_kilobytes();
        lock.lock();
        exchange.kilobytes = kilobytes;
        event_wake(state.waker);  // the waker's handler sees the values written before
    }
}

/// Starts the thread with all signals blocked: a thread inherits the mask of its creator. The
/// signals must go to the loop's thread, because they interrupt its wait.
Rc start_thread(Log* log)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);

    Rc rc = Rc::ok;
    try {
        state.thread = std::jthread(measure);
    } catch (const std::system_error& e) {
        log_error(log_emerg, log, e.code().value(), "pthread_create() failed");
        rc = Rc::error;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return rc;
}

/// Reverses start() in reverse order: the thread is first, because it might still call the waker.
/// Afterwards no list, tree or poller may have an object of this file, because the file may be
/// unloaded next. Does nothing if nothing was started.
void stop() noexcept
{
    if (state.thread.joinable()) {
        state.thread.request_stop();
        state.thread.join();
    }
    event_waker_done(state.waker);
    del_turn_hook(state.hook);
    if (state.timer.timer_set()) {
        del_timer(state.timer);
    }
    state.exchange.wanted = false;
}

/// The waker's handler. It runs on the loop's thread, in the turn after event_wake(), so it may use
/// the log.
void report(EventWaker&) noexcept
{
    std::size_t kilobytes = 0;
    {
        const std::lock_guard lock(state.exchange.mutex);
        kilobytes = state.exchange.kilobytes;
    }
    log_error(log_notice, ngx_cycle->log, 0, "example: {} turns, {} kB", state.turns, kilobytes);
    state.turns = 0;
}

/// The timer's handler: requests a measurement. A timer expires once, so it is added again. Because
/// of that a worker could never exit, if the timer were not `cancelable`.
void beat(Event& ev) noexcept
{
    ev.timedout = 0;
    {
        const std::lock_guard lock(state.exchange.mutex);
        state.exchange.wanted = true;
    }
    state.exchange.work.notify_one();
    add_timer(ev, state.interval);
}

/// The hook of each turn, before the wait.
Msec count_turn(TurnHook&, Msec timer) noexcept
{
    state.turns++;
    return timer;  // does not shorten the wait
}

/// Starts the waker first, because the thread needs it.
Rc start(Cycle& cycle)
{
    state.turns = 0;

    state.waker.handler = report;
    if (event_waker_init(state.waker, cycle) != Rc::ok || start_thread(cycle.log) != Rc::ok) {
        stop();
        return Rc::error;
    }
    state.hook.before = count_turn;
    add_turn_hook(state.hook);

    state.timer.handler = beat;
    state.timer.data = &state.timer_owner;
    state.timer.log = cycle.log;
    state.timer.cancelable = 1;  // a worker that shuts down does not wait for this timer
    add_timer(state.timer, state.interval);
    return Rc::ok;
}

/// The cycle's pool owns the result. A reload creates a new one while the old one is in use.
void* example_create_conf(Cycle& cycle)
{
    return cycle.pool->create<ExampleConf>();
}

/// Called when the whole configuration has been read.
const char* example_init_conf(Cycle&, void* conf)
{
    conf_init_value(static_cast<ExampleConf*>(conf)->interval, Msec{0});
    return conf_ok;
}

/// Called in the first process for each new configuration, after its files and sockets were opened;
/// also for -t. Workers do not call it. If it fails, the configuration is refused; a refused reload
/// then calls this hook with the old cycle again.
Rc example_init_module(Cycle& cycle)
{
    const ExampleConf& conf = *get_conf<ExampleConf>(cycle.conf_ctx);
    if (*conf.interval != 0) {
        log_error(log_notice, cycle.log, 0, "example: every {} ms", *conf.interval);
    }
    return Rc::ok;
}

/// Called in each worker before its loop, with the rights of the worker's user. A process without a
/// master calls it, too, and again at each reload. Threads must not start earlier, because a fork
/// does not copy them. The event modules come before this one in the table, so the loop's objects
/// exist.
Rc example_init_process(Cycle& cycle)
{
    stop();  // the objects of an earlier cycle
    state.interval = *get_conf<ExampleConf>(cycle.conf_ctx)->interval;
    return state.interval != 0 ? start(cycle) : Rc::ok;
}

/// Called in each worker after its loop; without a master also after a reload that no longer loads
/// this file or loads another one in its place. The file is then unloaded, so no pointer to it may
/// remain.
void example_exit_process(Cycle&)
{
    stop();
}

constexpr Command example_commands[] = {
    {
        .name = "example_interval",
        .type = main_conf | direct_conf | conf_take1,
        .set = conf_set_msec_slot<&ExampleConf::interval>,
    },
};

constexpr CoreModule example_module_ctx = {
    .name = "example",
    .create_conf = example_create_conf,
    .init_conf = example_init_conf,
};

}  // namespace

constinit Module example_module = {
    .ctx = &example_module_ctx,
    .commands = example_commands,
    .type = ModuleType::core,
    .init_module = example_init_module,
    .init_process = example_init_process,
    .exit_process = example_exit_process,
};

}  // namespace ngx
