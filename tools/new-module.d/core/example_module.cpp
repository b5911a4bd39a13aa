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
#include "event/event_wake.hpp"

/// \file
/// `example_interval TIME;` at the main level: so often each worker says in the log how many turns
/// its loop has made, and how much memory it has.
///
/// To find out the memory a file has to be read, which may take long, and the loop must not wait
/// for anything but its poller. So a thread reads it:
///
///     timer, on the loop  --work-->  thread  --event_wake()-->  waker's handler, on the loop
///
/// The loop's own things, the log among them, are touched on the loop's thread and nowhere else.
namespace ngx {

static_assert(module_api_version == 1, "written for another version of the module API");

// The descriptor of the module is the last thing in the file, and is needed before.
extern Module example_module;

namespace {

/// What the main level says of this module. Unset, until init_conf.
struct ExampleConf {
    static constexpr Module* module = &example_module;  // for get_conf()

    std::optional<Msec> interval{};  // 0 is off
};

/// What the loop's thread and the other one share, under `mutex`.
struct Exchange {
    std::mutex mutex{};
    std::condition_variable_any work{};
    bool wanted = false;  // by the loop; the thread takes it away
    std::size_t kilobytes = 0;
};

/// All that lives in a worker. The thread is the last member: whatever way the process ends, it is
/// stopped and joined before what it uses is destroyed. A std::thread would end the process.
struct {
    Msec interval = 0;
    std::uint64_t turns = 0;

    Event timer{};
    Connection timer_owner{};  // an event belongs to a connection: debug lines ask for its fd
    TurnHook hook{};
    EventWaker waker{};

    Exchange exchange{};
    std::jthread thread{};
} state;

/// The second number of statm: the pages in memory.
std::size_t resident_kilobytes()
{
    std::size_t size = 0;
    std::size_t resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

/// What the thread runs, until it is asked to stop.
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
        event_wake(state.waker);  // what was written before, the waker's handler sees
    }
}

/// A thread inherits the mask of the one that starts it. With all signals blocked they go to the
/// loop's thread, whose wait they interrupt; here they would be taken unseen.
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

/// The opposite of start(), in the opposite order: first the thread, which might still call the
/// waker. Then nothing of this file may be left in a list, a tree or the poller, for the file may
/// be unloaded next. Does no harm when nothing was started.
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

/// On the loop's thread, in the turn after event_wake(): the log is free to be used again.
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

/// A timer rings once, so it is set anew; nothing else is left for the loop's thread to do. Without
/// `cancelable` below that would keep a worker from ever ending.
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

/// In each turn, before the wait.
Msec count_turn(TurnHook&, Msec timer) noexcept
{
    state.turns++;
    return timer;  // no shorter wait is asked for
}

/// The waker first: it may fail, and the thread needs it.
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
    state.timer.cancelable = 1;  // a worker that shuts down waits for all timers but such
    add_timer(state.timer, state.interval);
    return Rc::ok;
}

/// In the pool of the cycle, which frees it. A reload makes a new one beside the old.
void* example_create_conf(Cycle& cycle)
{
    return cycle.pool->create<ExampleConf>();
}

/// Called once the whole file is read.
const char* example_init_conf(Cycle&, void* conf)
{
    conf_init_value(static_cast<ExampleConf*>(conf)->interval, Msec{0});
    return conf_ok;
}

/// In the first process, for each new configuration, when all of it is good and open; with -t, too.
/// What is done here is not done in each worker. An error refuses the configuration; after a reload
/// that was refused the old cycle is given to this hook again.
Rc example_init_module(Cycle& cycle)
{
    const ExampleConf& conf = *get_conf<ExampleConf>(cycle.conf_ctx);
    if (*conf.interval != 0) {
        log_error(log_notice, cycle.log, 0, "example: every {} ms", *conf.interval);
    }
    return Rc::ok;
}

/// In each worker before its loop, with the rights of its user; without a master in the one
/// process, and again there by each reload. Threads start here and no earlier: a fork leaves them
/// behind. The loop's things are there, as the modules of events stand before this one.
Rc example_init_process(Cycle& cycle)
{
    stop();  // what a cycle before has started
    state.interval = *get_conf<ExampleConf>(cycle.conf_ctx)->interval;
    return state.interval != 0 ? start(cycle) : Rc::ok;
}

/// In each worker after its loop; without a master also after a reload that has not loaded this
/// file, or another in its place. Nothing may be left that leads into the file: it is unloaded.
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
