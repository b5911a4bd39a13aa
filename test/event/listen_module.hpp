#pragma once

/// \file
/// A listener for tests of accepting: the core module "test_listen" with one directive,
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
#include "event/event.hpp"
#include "test/event/fake_module.hpp"
#include "test/support/client.hpp"
#include "test/support/cycle.hpp"

namespace ngx::test {

extern Module listen_module;

/// Called by the module's init_process, after those of all other modules: directly before the loop,
/// in tests that run one.
extern void (*before_loop)(Cycle& cycle);

/// The connections that the listeners have accepted, in order, and the data that these have
/// received.
struct Handed {
    std::vector<Port> udp_ports{};
    std::vector<Connection*> connections{};
    std::string text{};
    std::vector<std::string> datagrams{};
};

extern Handed handed;

/// A worker's cycle with this configuration. Its listeners put their connections into `handed`; the
/// state of the module fake is `wanted`.
class ListenCycle : public TestCycle {
public:
    explicit ListenCycle(std::string_view conf, const Fake& wanted = {},
                         Start start = Start::worker);

    Listening& listening(std::size_t i = 0) const { return (*this)->listening.at(i); }

    /// Returns the read event of a listener.
    Event& accept_event(std::size_t i = 0) const { return *listening(i).connection->read; }

    /// Returns a blocking socket that is connected to a listener, has sent the text, and waits to
    /// be accepted.
    Fd connect(std::size_t i = 0, std::string_view text = {}) const;

    /// Connects a client and accepts its connection.
    Connection& accept(Fd& client, std::size_t i = 0) const;

private:
    static std::string_view prepare(std::string_view conf, const Fake& wanted);
};

/// Sends the whole text.
void send_text(const Fd& client, std::string_view text);

}  // namespace ngx::test
