// Counts SIGUSR1, and ends the loop at SIGTERM. The signal handler only stores which signal it was
// and wakes the loop; the loop's thread does the rest, in the handler of an event.
#include <csignal>
#include <cstdio>
#include <unistd.h>

#include "core/cycle.hpp"
#include "core/embed.hpp"
#include "event/event.hpp"
#include "event/event_turn.hpp"
#include "event/event_wake.hpp"

namespace {

ngx::EventWaker waker;
volatile std::sig_atomic_t got_usr1;
volatile std::sig_atomic_t got_term;
int usr1_count;
bool is_over;

void handle_signal(int signo)
{
    (signo == SIGTERM ? got_term : got_usr1) = 1;
    ngx::event_wake(waker);
}

/// Several signals may lead to one call, so it tests each flag.
void signals_came(ngx::EventWaker&) noexcept
{
    if (got_usr1) {
        got_usr1 = 0;
        std::printf("SIGUSR1: %d\n", ++usr1_count);
    }
    if (got_term) {
        std::printf("SIGTERM\n");
        is_over = true;
    }
    std::fflush(stdout);
}

}  // namespace

int main()
{
    std::signal(SIGPIPE, SIG_IGN);
    waker.handler = signals_came;
    ngx::Cycle* cycle = ngx::init_library();
    if (cycle) {
        cycle->conf_text = "master_process off; events { worker_connections 16; }";
        cycle = ngx::start_cycle(*cycle);
    }
    if (!cycle || ngx::event_waker_init(waker, *cycle) != ngx::Rc::ok) {
        return 1;
    }
    std::signal(SIGUSR1, handle_signal);
    std::signal(SIGTERM, handle_signal);

    std::printf("kill -USR1 %d, kill -TERM %d\n", ::getpid(), ::getpid());
    std::fflush(stdout);
    while (!is_over) {
        ngx::process_events_and_timers(*cycle);
    }
    std::signal(SIGUSR1, SIG_IGN);  // before the waker that the handler uses is closed
    std::signal(SIGTERM, SIG_DFL);
    ngx::event_waker_done(waker);
    ngx::stop_cycle(*cycle);
}
