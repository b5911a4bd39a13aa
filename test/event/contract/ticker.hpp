#pragma once

#include <chrono>
#include <csignal>
#include <ctime>

namespace ngx::contract {

/// Sends a signal at an interval while it exists, so that a wait is certainly interrupted, even if
/// the first signals arrive before the wait.
class Ticker {
public:
    Ticker(int signal, void (*handler)(int), std::chrono::milliseconds every);
    Ticker(const Ticker&) = delete;
    Ticker& operator=(const Ticker&) = delete;
    ~Ticker();

private:
    int signal_;
    struct sigaction before_ {};
    timer_t timer_{};
};

}  // namespace ngx::contract
