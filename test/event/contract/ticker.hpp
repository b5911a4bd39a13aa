#pragma once

#include <chrono>
#include <csignal>
#include <ctime>

namespace ngx::contract {

/// A signal that comes again and again while this lives, so that a wait is sure to be interrupted
/// even if the first signals come before it has begun.
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
