#pragma once

/// \file
/// Clients that never rest while a server is changed under them.

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

/// New connections to a `return` server, one after the other in each of some threads, and
/// connections to an `echo` server that stay, in each of which a message goes back and forth all
/// the time. What one is refused, cut off or answered wrongly is an error.
class Load {
public:
    Load(std::uint16_t return_port, std::uint16_t echo_port, std::size_t askers = 2,
         std::size_t long_lived = 8);
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    void stop() { threads_.clear(); }

    /// How many new connections were answered so far.
    [[nodiscard]] std::size_t answers() const { return answers_; }
    /// How many messages went back and forth.
    [[nodiscard]] std::size_t messages() const { return messages_; }

    /// Returns when so many more connections were answered.
    void wait_for_answers(std::size_t more) const;

    /// The different answers, and the errors. To be asked when it has stopped.
    [[nodiscard]] const std::set<std::string>& texts() const { return texts_; }
    [[nodiscard]] const std::string& errors() const { return errors_; }

private:
    void ask(const std::stop_token& stop, std::uint16_t port);
    void echo(const std::stop_token& stop, std::size_t long_lived, std::uint16_t port);
    void note_error(const std::string& what);

    std::atomic<std::size_t> answers_ = 0;
    std::atomic<std::size_t> messages_ = 0;
    std::mutex mutex_;  // of what follows
    std::set<std::string> texts_;
    std::string errors_;
    std::vector<std::jthread> threads_;
};

}  // namespace ngx::test::process
