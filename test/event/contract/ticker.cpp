#include "test/event/contract/ticker.hpp"

#include <cerrno>
#include <system_error>

namespace ngx::contract {

Ticker::Ticker(int signal, void (*handler)(int), std::chrono::milliseconds every) : signal_(signal)
{
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = signal;
    if (::timer_create(CLOCK_MONOTONIC, &event, &timer_) == -1) {
        throw std::system_error(errno, std::generic_category(), "timer_create()");
    }

    struct sigaction action {};
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    ::sigaction(signal, &action, &before_);

    itimerspec when{};
    when.it_interval.tv_sec = every.count() / 1000;
    when.it_interval.tv_nsec = every.count() % 1000 * 1'000'000;
    when.it_value = when.it_interval;
    ::timer_settime(timer_, 0, &when, nullptr);
}

Ticker::~Ticker()
{
    ::timer_delete(timer_);
    // Ignoring the signal discards a pending one.
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(signal_, &ignore, nullptr);
    ::sigaction(signal_, &before_, nullptr);
}

}  // namespace ngx::contract
