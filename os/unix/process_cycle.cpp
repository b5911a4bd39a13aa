#include "os/unix/process_cycle.hpp"

#include <cstdlib>

#include "core/cycle.hpp"
#include "core/log.hpp"
#include "core/nginx.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "os/unix/process.hpp"

namespace ngx {

volatile std::sig_atomic_t reap;
volatile std::sig_atomic_t sigalrm;
volatile std::sig_atomic_t sigio;
volatile std::sig_atomic_t terminate;
volatile std::sig_atomic_t quit;
volatile std::sig_atomic_t reconfigure;
volatile std::sig_atomic_t reopen;

bool exiting;

namespace {

constexpr int exit_fatal = 2;  // a master would not start such a worker again

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
    return cycle;
}

}  // namespace

void single_process_cycle(Cycle* cycle)
{
    set_environment(*cycle);
    init_process(*cycle);

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
            reopen_files(*cycle, static_cast<uid_t>(-1));
        }
    }
}

}  // namespace ngx
