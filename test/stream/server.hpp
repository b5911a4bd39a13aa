#pragma once

/// \file
/// A server in the test's own process, and its clients.

#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/tools/assertion_result.hpp>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "test/support/client.hpp"
#include "test/support/cycle.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

/// The configuration of a Server: its stream block and the rest.
struct ServerConf {
    std::string_view stream;
    std::string_view main = "master_process off; pid pid;";
    std::string_view events = "";
    Start start = Start::worker;
};

/// A cycle with a stream block. Its poller is the one named by the program's first argument after
/// "--", or the default. In configurations DIR stands for a directory of this server, PORT for a
/// free port and PORT2 for the next one, which is also free.
class Server {
public:
    explicit Server(const ServerConf& conf);
    explicit Server(std::string_view stream) : Server(ServerConf{.stream = stream}) {}
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    /// Applies another stream block, as a reload does. Returns whether that succeeded.
    bool reload(std::string_view stream);

    /// Replaces DIR and PORT in a text by their values.
    [[nodiscard]] std::string expand(std::string_view text) const;

    /// Replaces the values by DIR and PORT.
    [[nodiscard]] std::string shorten(std::string_view text) const;

    [[nodiscard]] Listening& listening(std::size_t i = 0) const { return cycle->listening.at(i); }

    /// Connects a client to a listener. The server's accept() may get the connection a moment
    /// later.
    [[nodiscard]] Client connect(std::size_t i = 0, int rcvbuf = 0) const;

    /// Connects a client to PORT of a numeric address.
    [[nodiscard]] Client connect_to(std::string_view address, int type = SOCK_STREAM) const;

    /// Turns the loop until `done` returns true. Throws after ten seconds.
    void turn_until(const std::function<bool()>& done) const;

    /// Turns the loop until one more connection has been accepted.
    void accept() const;

    /// As accept(), with a poller that fails to add events and connections.
    void accept_with_failing_poller() const;

    /// Turns the loop until all accepted connections are closed.
    void finish() const;

    /// Turns the loop until one more connection has been accepted, and returns the only open one.
    [[nodiscard]] Connection& accepted() const;

    /// Turns the loop while `client` runs in another thread. Returns its result.
    template <typename Function>
    auto serve(Function client) const;

    /// Advances the time by `time` ms and runs the timers that are due.
    static void pass(Msec time);

    /// Returns the accepted connections that are open.
    [[nodiscard]] std::vector<Connection*> connections() const;

    /// Returns the log of the main level.
    [[nodiscard]] std::string log() const { return cycle.log(); }

private:
    /// Asks all open connections to close, as the shutdown timer does.
    void end_sessions() const;

    /// Lets another thread wake the loop with any poller.
    class Bell {
    public:
        explicit Bell(Cycle& cycle);
        Bell(const Bell&) = delete;
        Bell& operator=(const Bell&) = delete;
        ~Bell();

        void ring() const;

        bool rang = false;

    private:
        Connection* c_;
    };

public:
    TempDir dir{};
    std::uint16_t port;
    TestCycle cycle;
};

template <typename Function>
auto Server::serve(Function client) const
{
    const Bell bell(*cycle);
    auto result = std::async(std::launch::async, [&] {
        struct Ring {
            const Bell& bell;
            ~Ring() { bell.ring(); }
        } const at_the_end{bell};
        return client();
    });
    turn_until([&] { return bell.rang; });
    return result.get();
}

/// The precondition of cases that count or fail the calls that send. test/event/iouring_test.cpp
/// has such cases for a method that does not send by calls.
boost::test_tools::assertion_result sends_by_calls(unsigned long);

/// While it exists, configurations are only tested: Linux does not bind a wildcard and an address
/// with the same port side by side, and a configuration test ignores that.
class OnlyTested {
public:
    OnlyTested();
    OnlyTested(const OnlyTested&) = delete;
    OnlyTested& operator=(const OnlyTested&) = delete;
    ~OnlyTested();
};

/// Connects to a listener and receives until the server closes the connection.
std::string answer(const Server& server, std::size_t i = 0);

/// Returns the error of a stream block that must be rejected, with DIR and PORT in it.
std::string refusal(std::string_view stream);

}  // namespace ngx::test
