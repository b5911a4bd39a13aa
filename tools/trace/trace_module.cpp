#include "tools/trace/trace_module.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <iterator>
#include <stdexcept>
#include <unistd.h>

#include "core/conf_file.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/log.hpp"
#include "core/module.hpp"
#include "core/palloc.hpp"
#include "event/event_accept.hpp"
#include "event/event_core_module.hpp"
#include "event/event_observer.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"
#include "os/unix/process_cycle.hpp"
#include "tools/trace/lines.hpp"
#include "tools/trace/views.hpp"

namespace ngx::trace {

extern Module trace_module;

namespace {

constexpr std::string_view module_name = "ngx_trace_module";

struct {
    Settings settings{};
    pid_t first_pid = 0;  // the process that starts and completes the trace
    std::int64_t start = 0;
    int json_fd = invalid_file;
    int end_fd = invalid_file;  // a byte written here stops the server
    TurnHook hook{};
    Lines lines{};  // the lines of the turn that is written

    bool turning = false;  // this process runs a traced loop
    std::string poller{};
    bool posted_next = false;
    bool mutex_tried = false;
    std::size_t turn = 0;
    pid_t thread = 0;
} state;

/// Writes the text in one call, so that it does not mix with the text of other processes.
void write_all(int fd, std::string_view text) noexcept
{
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n == -1 && errno != EINTR) {
            return;  // the reader is gone
        }
        text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    }
}

Who who() noexcept
{
    Who who{.pid = state.thread};
    if (process == Process::worker) {
        who.worker = ngx_worker;
    }
    return who;
}

/// Writes the last turn, which is over.
void write_turn()
{
    take_lines(state.lines);
    if (state.lines.lines.empty()) {
        return;
    }
    const Turn turn = make_turn(state.lines, state.turn, state.thread, state.poller, now());
    if (state.settings.text) {
        write_all(STDOUT_FILENO, turn_text(turn, who(), state.start));
    }
    if (state.json_fd != invalid_file) {
        write_all(state.json_fd, turn_chrome(turn, who()));
    }
}

/// Writes the last turn and starts a new one. Returns false, and stops recording, if that was the
/// last turn to trace.
bool begin_turn()
{
    write_turn();
    if (state.settings.turns != 0 && state.turn == state.settings.turns) {
        state.turning = false;
        return false;
    }
    state.turn++;
    state.posted_next = false;
    state.mutex_tried = false;
    return true;
}

/// The log writer of all logs: records the line.
void writer(Log&, unsigned level, char* buf, std::size_t len)
{
    add_line(level, {buf, len});
}

/// Records a fact. The first one of a turn also writes the previous turn; the time for that belongs
/// to no turn. The last one of the last turn to trace stops the server.
void report(const EventFact& fact, void*) noexcept
{
    if (!state.turning) {
        return;
    }
    const SignalsBlocked blocked;  // the lines of signal handlers then belong to the new turn
    if (fact.type == EventFactType::turn_begin && !begin_turn()) {
        return;
    }
    state.posted_next |= fact.type == EventFactType::next_moved;
    state.mutex_tried |=
        fact.type == EventFactType::mutex_locked || fact.type == EventFactType::mutex_busy;
    add_fact(fact);
    if (fact.type == EventFactType::turn_end && state.settings.turns == state.turn) {
        write_all(state.end_fd, "x");
    }
}

constexpr EventObserver event_observer_of_trace = {.report = report};

/// The debug lines to record: all but those of the event subsystem, which the facts replace.
constexpr unsigned recorded_debug = have_debug ? log_debug_all & ~log_debug_event : 0;

/// Inserts the writer before the log's own output. The head of the chain stays the same object,
/// with its own handler; its former content is copied to a new log behind it.
void attach(Pool& pool, Log& head)
{
    if (head.writer == writer) {
        return;
    }
    Log* const rest = pool.create<Log>(head);
    head.log_level = std::max(head.log_level | recorded_debug, log_info);
    head.file = nullptr;
    head.writer = writer;
    head.next = rest;
}

/// Attaches the writer to the log of the cycle, to those of its listeners, and to those from which
/// the listeners' connections get theirs.
void attach_all(Cycle& cycle)
{
    attach(*cycle.pool, cycle.new_log);
    for (Listening& ls : cycle.listening) {
        if (ls.logp) {
            attach(*cycle.pool, *ls.logp);
        }
        attach(*cycle.pool, ls.log);
    }
}

std::size_t count_timers() noexcept
{
    return static_cast<std::size_t>(
        std::distance(event_timer_rbtree.begin(), event_timer_rbtree.end()));
}

/// The hook before the wait: records the timeout and its reason. It is the first hook, so that it
/// sees the timeout before the hooks of modules shorten it.
Msec before_wait(TurnHook&, Msec timer) noexcept
{
    const Cycle& cycle = *ngx_cycle;
    const CoreConf& ccf = *get_conf<CoreConf>(cycle.conf_ctx);
    Timeout timeout{.timer = timer,
                    .timers = count_timers(),
                    .connections = cycle.connection_n - cycle.free_connection_n};

    const bool by_alarm = *ccf.timer_resolution != 0;
    const Msec found = by_alarm ? timer_infinite : event_find_timer();
    if (state.posted_next) {
        timeout.reason = Reason::posted_next;
    } else if (timer < found && state.mutex_tried && !accept_mutex_held) {
        timeout.reason = Reason::accept_mutex_delay;
    } else if (by_alarm) {
        timeout.reason = Reason::timer_resolution;
    } else if (timer != timer_infinite) {
        timeout.reason = Reason::timer;
        timeout.event = event_info(*event_timer_rbtree.begin());
    }
    add_timeout(timeout);
    return timer;
}

/// Called at exit: writes the last turn. The process that started the trace also completes the
/// file; it exits after all others.
void finish()
{
    if (state.turning) {
        state.turning = false;
        write_turn();
    }
    if (state.json_fd != invalid_file && ::getpid() == state.first_pid) {
        write_all(state.json_fd, "\n]}\n");
    }
}

/// Opens the file and writes its first event, the name of this process, so that every later event
/// can start with a comma.
Rc open_json(Cycle& cycle)
{
    const char* const name = state.settings.json_file.c_str();
    state.json_fd = ::open(name, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (state.json_fd == invalid_file) {
        log_error(log_emerg, cycle.log, errno, "open() \"{}\" failed", name);
        return Rc::error;
    }
    write_all(state.json_fd, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" +
                                 process_chrome({.pid = state.first_pid}, "ngxx"));
    return Rc::ok;
}

/// Keeps the server in the foreground and, without --workers, in one process.
const char* trace_init_conf(Cycle& cycle, void*)
{
    CoreConf& ccf = *get_conf<CoreConf>(cycle.conf_ctx);
    ccf.daemon = false;
    if (!state.settings.workers) {
        ccf.master = false;
    }
    return conf_ok;
}

Rc trace_init_module(Cycle& cycle)
{
    if (!state.settings.json_file.empty() && state.json_fd == invalid_file &&
        open_json(cycle) != Rc::ok) {
        return Rc::error;
    }
    attach_all(cycle);
    return Rc::ok;
}

/// Starts to trace the loop. A worker discards the lines that its master logged before the fork.
Rc trace_init_process(Cycle& cycle)
{
    if (state.turning) {
        return Rc::ok;  // a reload without a master
    }
    state.turning = true;
    state.poller = event_method(cycle).name;
    state.thread = ::getpid();
    if (process == Process::worker) {
        Lines before;
        take_lines(before);
        if (state.json_fd != invalid_file) {
            write_all(state.json_fd,
                      ",\n" + process_chrome(who(), fmt::format("worker {}", ngx_worker)));
        }
    }
    state.hook.before = before_wait;
    add_turn_hook(state.hook);
    event_observe(&event_observer_of_trace);
    return Rc::ok;
}

void trace_exit_process(Cycle&)
{
    del_turn_hook(state.hook);
    event_observe(nullptr);
}

/// Called for each directive; the first call adds the module to the table. It comes after the core
/// module, whose configuration it changes, and before the modules that read that configuration or
/// have hooks in each turn.
void add_trace_module(const Conf& cf, const Module&, const Command&, void*)
{
    constexpr const char* order[] = {module_name.data(), "ngx_errlog_module", nullptr};
    const auto is_it = [](const Module* module) { return module == &trace_module; };
    if (std::ranges::none_of(modules_of(*cf.cycle), is_it)) {
        Conf copy = cf;
        if (add_module(copy, module_name, trace_module, order) != Rc::ok) {
            std::exit(1);
        }
    }
}

constexpr ConfObserver conf_observer_of_trace = {.begin = add_trace_module};

/// Opens a pipe; a byte written to the result makes the system send SIGTERM to this process. A
/// worker cannot signal its master itself if it runs as another user.
int open_end_pipe()
{
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1 || ::fcntl(fds[0], F_SETOWN, ::getpid()) == -1 ||
        ::fcntl(fds[0], F_SETSIG, SIGTERM) == -1 ||
        ::fcntl(fds[0], F_SETFL, O_NONBLOCK | O_ASYNC) == -1) {
        throw std::runtime_error("a pipe that sends a signal cannot be created");
    }
    return fds[1];
}

constexpr CoreModule trace_module_ctx = {
    .name = "trace",
    .init_conf = trace_init_conf,
};

}  // namespace

void start(const Settings& settings)
{
    state.settings = settings;
    state.first_pid = ::getpid();
    state.start = now();
    if (settings.turns != 0) {
        state.end_fd = open_end_pipe();
    }
    if (std::atexit(finish) != 0) {
        throw std::runtime_error("atexit() failed");
    }
    conf_observer = &conf_observer_of_trace;
}

constinit Module trace_module = {
    .name = module_name,
    .ctx = &trace_module_ctx,
    .type = ModuleType::core,
    .init_module = trace_init_module,
    .init_process = trace_init_process,
    .exit_process = trace_exit_process,
};

}  // namespace ngx::trace
