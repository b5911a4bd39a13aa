#pragma once

/// \file
/// Clients that constantly use a server while the test changes it.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "test/process/client.hpp"

namespace ngx::test::process {

/// Threads that open new connections to a `return` server one after the other, and threads that
/// send messages on a lasting connection to an `echo` server. A refused or lost connection or a
/// wrong answer is an error.
class Load {
public:
    Load(std::uint16_t return_port, std::uint16_t echo_port, std::size_t askers = 2,
         std::size_t long_lived = 8);
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    void stop() { threads_.clear(); }

    /// Returns the number of answered connections.
    [[nodiscard]] std::size_t answers() const { return answers_; }
    /// Returns the number of echoed messages.
    [[nodiscard]] std::size_t messages() const { return messages_; }

    /// Waits until this number of further connections was answered.
    void wait_for_answers(std::size_t more) const;

    /// Return the different answers, and the errors. Called after stop().
    [[nodiscard]] const std::set<std::string>& texts() const { return texts_; }
    [[nodiscard]] const std::string& errors() const { return errors_; }

private:
    void ask(const std::stop_token& stop, std::uint16_t port);
    void echo(const std::stop_token& stop, std::size_t long_lived, std::uint16_t port);
    void note_error(const std::string& what);

    std::atomic<std::size_t> answers_ = 0;
    std::atomic<std::size_t> messages_ = 0;
    std::mutex mutex_;  // guards the next members
    std::set<std::string> texts_;
    std::string errors_;
    std::vector<std::jthread> threads_;
};

}  // namespace ngx::test::process
