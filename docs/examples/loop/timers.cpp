// A timer that expires three times, and one that is deleted before it expires.
#include <csignal>
#include <cstdio>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/embed.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"

namespace {

/// Each event needs a connection. That of a plain timer has no descriptor; its `data` is the owner.
struct Timer {
    explicit Timer(ngx::EventHandler handler)
    {
        connection.data = this;
        event.data = &connection;
        event.handler = handler;
        event.log = ngx::ngx_cycle->log;
    }

    ngx::Connection connection;
    ngx::Event event;
    int beats = 0;
};

Timer& timer_of(ngx::Event& ev)
{
    return *static_cast<Timer*>(static_cast<ngx::Connection*>(ev.data)->data);
}

void beat(ngx::Event& ev) noexcept
{
    ev.timedout = 0;
    std::printf("beat %d\n", ++timer_of(ev).beats);
    if (timer_of(ev).beats < 3) {
        ngx::add_timer(ev, 20);
    }
}

void too_late(ngx::Event&) noexcept
{
    std::printf("never\n");
}

}  // namespace

int main()
{
    std::signal(SIGPIPE, SIG_IGN);
    ngx::Cycle* cycle = ngx::init_library();
    if (cycle) {
        cycle->conf_text = "master_process off; events { worker_connections 16; }";
        cycle = ngx::start_cycle(*cycle);
    }
    if (!cycle) {
        return 1;
    }
    Timer heart(beat);
    Timer other(too_late);
    ngx::add_timer(heart.event, 20);
    ngx::add_timer(other.event, 60'000);

    while (ngx::cycle_is_alive(*cycle)) {
        ngx::process_events_and_timers(*cycle);
        if (heart.beats == 2 && other.event.timer_set()) {
            ngx::del_timer(other.event);
        }
    }
    ngx::stop_cycle(*cycle);
}
