// A thread works and hands over what it finds. The loop, which is woken for it, prints it: nothing
// but the list under its mutex, and the waker, is used by both threads.
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
#include "event/event_wake.hpp"

namespace {

struct Results {
    std::mutex mutex;
    std::vector<int> found;  // under the mutex; -1 is the last
    int sum = 0;             // of the loop's thread
    bool complete = false;
};

/// On the loop's thread. Several results may have come to one call.
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

/// On the other thread.
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
    thread.join();  // before the waker is closed, which it may still call
    ngx::event_waker_done(waker);
    ngx::stop_cycle(*cycle);
    std::printf("the sum is %d\n", results.sum);
}
