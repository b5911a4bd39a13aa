#pragma once

/// \file
/// A server in the test's own process, and clients of it.

#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/tree/test_unit.hpp>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "test/support/cycle.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

/// A client of TCP or UDP: a blocking socket that gives up after ten seconds. Its calls go to the
/// kernel even while a FakeCall is alive. They throw when they fail.
class Client {
public:
    /// `rcvbuf`, if not 0, is how much the socket takes unread.
    Client(const sockaddr* sa, socklen_t len, int rcvbuf = 0, int type = SOCK_STREAM);

    /// The other side of a connection that the server makes.
    explicit Client(Fd fd);

    void send(std::string_view text) const;

    /// Sends as much of a text as the sockets take unread, and says how much that was. The text is
    /// repeated without end; `already` bytes of it were sent before.
    [[nodiscard]] std::size_t flood(std::string_view text, std::size_t already = 0) const;

    /// Exactly `n` bytes, or those before the end.
    [[nodiscard]] std::string receive(std::size_t n) const;

    /// The next datagram.
    [[nodiscard]] std::string receive_datagram() const;

    /// Everything up to the end.
    [[nodiscard]] std::string receive_all() const;

    /// Has no more to say; it may still receive.
    void end() const;

    /// Closes so that the server gets a reset.
    void reset();

    void close() { fd_.close(); }

    [[nodiscard]] int fd() const { return fd_.get(); }

private:
    Fd fd_;
};

/// What a Server is made of: its stream block, and what stands beside it.
struct ServerConf {
    std::string_view stream;
    std::string_view main = "master_process off; pid pid;";
    std::string_view events = "";
    Start start = Start::worker;
};

/// A cycle with a stream block. Its poller is the one that the program's first argument behind "--"
/// names, or the default. In the texts DIR stands for a directory of the server's own, PORT for a
/// free port, and PORT2 for the one behind it, which is free as well.
class Server {
public:
    explicit Server(const ServerConf& conf);
    explicit Server(std::string_view stream) : Server(ServerConf{.stream = stream}) {}
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    /// Reads another stream block as a reload does.
    bool reload(std::string_view stream);

    /// The text with DIR and PORT replaced.
    [[nodiscard]] std::string expand(std::string_view text) const;

    /// The reverse.
    [[nodiscard]] std::string shorten(std::string_view text) const;

    [[nodiscard]] Listening& listening(std::size_t i = 0) const { return cycle->listening.at(i); }

    /// A client connected to a listener. The kernel may be a moment later with what is accepted.
    [[nodiscard]] Client connect(std::size_t i = 0, int rcvbuf = 0) const;

    /// A client connected to PORT of a numeric address.
    [[nodiscard]] Client connect_to(std::string_view address, int type = SOCK_STREAM) const;

    /// Turns the loop until `done`. Throws after ten seconds.
    void turn_until(const std::function<bool()>& done) const;

    /// Turns the loop until one more connection was accepted.
    void accept() const;

    /// The same while the poller adds neither an event nor a connection.
    void accept_with_failing_poller() const;

    /// Turns the loop until all accepted connections are closed.
    void finish() const;

    /// Turns the loop until one more connection was accepted, and returns it: the one that is open.
    [[nodiscard]] Connection& accepted() const;

    /// Turns the loop while `client` runs in a thread of its own; returns what it returns.
    template <typename Function>
    auto serve(Function client) const;

    /// Lets time pass, all at once, and runs the timers that are due.
    static void pass(Msec time);

    /// The accepted connections that are open.
    [[nodiscard]] std::vector<Connection*> connections() const;

    /// What was logged at the main level.
    [[nodiscard]] std::string log() const { return cycle.log(); }

private:
    /// Asks what is still open to close, as the shutdown timer does.
    void end_sessions() const;

    /// Lets another thread wake the loop, whichever the poller is.
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

/// While it lives, configurations are only tested: Linux does not let a wildcard and an address of
/// its port be bound side by side, and a test forgives that.
class OnlyTested {
public:
    OnlyTested();
    OnlyTested(const OnlyTested&) = delete;
    OnlyTested& operator=(const OnlyTested&) = delete;
    ~OnlyTested();
};

/// Whether this machine has ::1. A precondition.
bool has_ipv6(boost::unit_test::test_unit_id);

/// Connects to a listener and receives until the server closes.
std::string answer(const Server& server, std::size_t i = 0);

/// The error of a stream block that has to be refused; DIR and PORT stand in it for what they stand
/// for in the block.
std::string refusal(std::string_view stream);

}  // namespace ngx::test
