#pragma once

/// \file
/// A listener for tests of what accepts: the core module "test_listen" with one directive,
///
///     test_listen ADDRESS [deferred] [ntop] [reuseport] [udp];
///
/// ADDRESS is an IPv4 or IPv6 address, on which the kernel chooses the port, or unix:PATH.
/// The executable's table of modules is the library's with this module and "fake" at its end.

#include <string>
#include <vector>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/module.hpp"
#include "test/event/fake_module.hpp"
#include "test/support/cycle.hpp"

namespace ngx::test {

extern Module listen_module;

/// Called by the module's init_process, after those of all others: right before the loop, in a
/// test that runs one.
extern void (*before_loop)(Cycle& cycle);

/// What the listeners have handed over, in its order, and what the connections have received.
struct Handed {
    std::vector<Connection*> connections{};
    std::string text{};
    std::vector<std::string> datagrams{};
};

extern Handed handed;

/// A worker's cycle of the text with a listener's connections in `handed` and the event module
/// fake as it is at the start.
class ListenCycle : public TestCycle {
public:
    explicit ListenCycle(std::string_view conf, const Fake& wanted = {},
                         Start start = Start::worker);

    Listening& listening(std::size_t i = 0) const { return (*this)->listening.at(i); }

    /// The read event of a listener.
    Event& accept_event(std::size_t i = 0) const { return *listening(i).connection->read; }

    /// A blocking socket that is connected to a listener, has sent the text, and waits there to be
    /// accepted.
    Fd connect(std::size_t i = 0, std::string_view text = {}) const;

    /// Connects and accepts.
    Connection& accept(Fd& client, std::size_t i = 0) const;

private:
    static std::string_view prepare(std::string_view conf, const Fake& wanted);
};

/// Sends the text whole.
void send_text(const Fd& client, std::string_view text);

/// Whether a poller was built.
bool has_poller(std::string_view name);

}  // namespace ngx::test
