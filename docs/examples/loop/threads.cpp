// A thread finds results, stores them and wakes the loop, which adds them up. The two threads share
// only the list, under its mutex, and the waker.
#include <csignal>
#include <cstdio>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/cycle.hpp"
#include "core/embed.hpp"
#include "event/event.hpp"
#include "event/event_turn.hpp"
#include "event/event_wake.hpp"

namespace {

struct Results {
    std::mutex mutex;
    std::vector<int> found;  // guarded by the mutex; -1 is the last
    int sum = 0;             // used only by the loop's thread
    bool complete = false;
};

/// Runs on the loop's thread. One call may get several results.
void take_results(ngx::EventWaker& waker) noexcept
{
    Results& results = *static_cast<Results*>(waker.data);
    std::vector<int> found;
    {
        const std::lock_guard lock(results.mutex);
        found = std::exchange(results.found, {});
    }
    for (const int number : found) {
        if (number == -1) {
            results.complete = true;
        } else {
            results.sum += number;
        }
    }
}

/// Runs on the other thread.
void work(Results& results, const ngx::EventWaker& waker)
{
    for (const int number : {1, 2, 3, -1}) {
        {
            const std::lock_guard lock(results.mutex);
            results.found.push_back(number);
        }
        ngx::event_wake(waker);
    }
}

}  // namespace

int main()
{
    std::signal(SIGPIPE, SIG_IGN);
    Results results;
    ngx::EventWaker waker;
    waker.data = &results;
    waker.handler = take_results;

    ngx::Cycle* cycle = ngx::init_library();
    if (cycle) {
        cycle->conf_text = "master_process off; events { worker_connections 16; }";
        cycle = ngx::start_cycle(*cycle);
    }
    if (!cycle || ngx::event_waker_init(waker, *cycle) != ngx::Rc::ok) {
        return 1;
    }
    std::thread thread(work, std::ref(results), std::cref(waker));
    while (!results.complete) {
        ngx::process_events_and_timers(*cycle);
    }
    thread.join();  // before the waker that it uses is closed
    ngx::event_waker_done(waker);
    ngx::stop_cycle(*cycle);
    std::printf("the sum is %d\n", results.sum);
}
