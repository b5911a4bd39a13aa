#include "os/unix/process_cycle.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/cycle.hpp"
#include "core/log.hpp"
#include "core/nginx.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "os/unix/channel.hpp"
#include "os/unix/process.hpp"

namespace ngx {

volatile std::sig_atomic_t terminate;
volatile std::sig_atomic_t quit;
volatile std::sig_atomic_t reconfigure;
volatile std::sig_atomic_t reopen;

bool exiting;

namespace {

constexpr int exit_fatal = 2;  // a master would not start such a worker again

struct {
    int signal_fd = -1;  // written by a signal handler, read by the loop
} state;

void signal_fd_handler(Event& rev) noexcept
{
    std::uint64_t count = 0;
    if (::read(state.signal_fd, &count, sizeof(count)) == -1 && errno != EAGAIN) {
        log_error(log_alert, rev.log, errno, "read() eventfd {} failed", state.signal_fd);
    }
}

/// Differs from nginx: a signal that comes after the loop has looked at the flags and before it
/// waits would be obeyed only at the next event, which may be never. nginx's worker is spoken to by
/// a channel and so wakes up; a process without a master gets a channel to itself here.
void init_signal_channel(Cycle& cycle)
{
    state.signal_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (state.signal_fd == -1) {
        log_error(log_alert, cycle.log, errno, "eventfd() failed");
        std::exit(exit_fatal);
    }
    if (add_channel_event(cycle, state.signal_fd, read_event, signal_fd_handler) != Rc::ok) {
        std::exit(exit_fatal);
    }
    wake_up();  // for a signal that came while there was no channel
}

/// The old cycle's connection for it is closed with the descriptor.
void close_signal_channel(Cycle& old)
{
    for (Connection& c : std::span{old.connections.get(), old.connection_n}) {
        if (c.fd == state.signal_fd) {
            state.signal_fd = -1;
            close_connection(c);
            return;
        }
    }
}

void init_process(Cycle& cycle)
{
    for (const Module* module : modules_of(cycle)) {
        if (module->init_process && module->init_process(cycle) == Rc::error) {
            std::exit(exit_fatal);
        }
    }
}

/// nginx: ngx_master_process_exit()
[[noreturn]] void master_process_exit(Cycle& cycle)
{
    delete_pidfile(cycle);
    log_error(log_notice, cycle.log, 0, "exit");

    for (const Module* module : modules_of(cycle)) {
        if (module->exit_master) {
            module->exit_master(cycle);
        }
    }
    close_listening_sockets(cycle);

    // What is still linked may be static, and must not be when it is destroyed.
    event_timer_rbtree.clear();
    posted_events.clear();
    std::exit(0);
}

[[noreturn]] void single_process_exit(Cycle& cycle)
{
    for (const Module* module : modules_of(cycle)) {
        if (module->exit_process) {
            module->exit_process(cycle);
        }
    }
    master_process_exit(cycle);
}

/// Differs from nginx: there a process without a master exits at once on QUIT, as on TERM. Here
/// it does what nginx's worker does: accept no more, and wait until no timer holds a connection.
void start_quit(Cycle& cycle)
{
    quit = 0;
    log_error(log_notice, cycle.log, 0, "gracefully shutting down");
    if (exiting) {
        return;
    }
    exiting = true;
    set_shutdown_timer(cycle);
    close_listening_sockets(cycle);
    close_idle_connections(cycle);
    event_process_posted(cycle, posted_events);
}

/// Differs from nginx: there a process without a master reads the new configuration, but never
/// calls init_process for it, so that it has no connections and refuses every client until it is
/// started again. Here the new cycle takes over the listeners and the idle connections, and
/// those of the old cycle go on until they end.
Cycle* reload(Cycle* old)
{
    log_error(log_notice, old->log, 0, "reconfiguring");

    Cycle* cycle = init_cycle(old);
    if (!cycle) {
        return old;
    }
    ngx_cycle = cycle;
    init_process(*cycle);
    close_signal_channel(*old);
    init_signal_channel(*cycle);
    set_environment(*cycle);
    close_idle_connections(*old);
    return cycle;
}

}  // namespace

void wake_up() noexcept
{
    if (state.signal_fd != -1) {
        constexpr std::uint64_t one = 1;
        // A counter that is full wakes the loop as well.
        [[maybe_unused]] const ssize_t n = ::write(state.signal_fd, &one, sizeof(one));
    }
}

void single_process_cycle(Cycle* cycle)
{
    set_environment(*cycle);
    init_process(*cycle);
    init_signal_channel(*cycle);

    for (;;) {
        if (exiting && event_no_timers_left() == Rc::ok) {
            log_error(log_notice, cycle->log, 0, "exiting");
            single_process_exit(*cycle);
        }

        log_debug(log_debug_event, cycle->log, 0, "worker cycle");
        process_events_and_timers(*cycle);

        if (terminate) {
            single_process_exit(*cycle);
        }
        if (quit) {
            start_quit(*cycle);
        }
        if (reconfigure) {
            reconfigure = 0;
            if (!exiting) {
                cycle = reload(cycle);
            }
        }
        if (reopen) {
            reopen = 0;
            log_error(log_notice, cycle->log, 0, "reopening logs");
            for (Cycle* old : old_cycles) {
                reopen_files(*old, static_cast<uid_t>(-1));
            }
            reopen_files(*cycle, static_cast<uid_t>(-1));
        }
    }
}

}  // namespace ngx
