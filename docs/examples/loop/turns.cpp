// A program with its own loop, such as a game with its frames, makes one turn of ngxx in each round
// without waiting.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/embed.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"

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
    ngx::Connection owner;
    ngx::Event timer;
    timer.data = &owner;
    timer.log = cycle->log;
    timer.handler = [](ngx::Event&) noexcept { std::printf("the timer has expired\n"); };
    ngx::add_timer(timer, 50);

    int frames = 1;
    while (ngx::process_events_without_waiting(*cycle)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // draws a frame
        frames++;
    }
    ngx::stop_cycle(*cycle);
    std::printf(frames > 1 ? "frames were drawn meanwhile\n" : "no frame was drawn\n");
}
