#include "event/event_observer.hpp"

#include <cassert>

#include "core/buf.hpp"
#include "core/connection.hpp"
#include "event/event.hpp"
#include "os/unix/os.hpp"

namespace ngx {

const EventObserver* event_observer;

namespace {

struct {
    /// The functions of the poller, which the observer's functions call.
    EventActions actions{};
    OsIo io{};

    std::size_t events = 0;  // the number that the poller's waits have returned in this turn
} state;

/// Returns the result of an action, and reports the fact if the action has succeeded.
Rc succeeded(Rc rc, const EventFact& fact) noexcept
{
    if (rc == Rc::ok && event_observer) {
        event_report(fact);
    }
    return rc;
}

Rc observed_add(Event& ev, EventType event, unsigned flags) noexcept
{
    return succeeded(state.actions.add(ev, event, flags),
                     {.type = EventFactType::event_added, .flags = flags, .event = &ev});
}

Rc observed_del(Event& ev, EventType event, unsigned flags) noexcept
{
    return succeeded(state.actions.del(ev, event, flags),
                     {.type = EventFactType::event_deleted, .flags = flags, .event = &ev});
}

Rc observed_enable(Event& ev, EventType event, unsigned flags) noexcept
{
    return succeeded(state.actions.enable(ev, event, flags),
                     {.type = EventFactType::event_added, .flags = flags, .event = &ev});
}

Rc observed_disable(Event& ev, EventType event, unsigned flags) noexcept
{
    return succeeded(state.actions.disable(ev, event, flags),
                     {.type = EventFactType::event_deleted, .flags = flags, .event = &ev});
}

Rc observed_add_conn(Connection& c) noexcept
{
    return succeeded(state.actions.add_conn(c),
                     {.type = EventFactType::connection_added, .connection = &c});
}

Rc observed_del_conn(Connection& c, unsigned flags) noexcept
{
    return succeeded(state.actions.del_conn(c, flags),
                     {.type = EventFactType::connection_deleted, .flags = flags, .connection = &c});
}

Rc observed_process_events(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    event_observed(EventFactType::wait, static_cast<std::int64_t>(timer));
    state.events = 0;
    const unsigned observe = event_observer ? observe_calls : 0;
    const Rc rc = state.actions.process_events(cycle, timer, flags | observe);
    if (event_observer) {
        event_report({.type = EventFactType::dispatched,
                      .value = static_cast<std::int64_t>(rc),
                      .size = state.events});
    }
    return rc;
}

/// Returns the result of a call on a connection, and reports it.
ssize_t moved(EventFactType type, const Connection& c, ssize_t n, std::size_t size) noexcept
{
    if (event_observer) {
        event_report({.type = type, .connection = &c, .value = n, .size = size});
    }
    return n;
}

ssize_t observed_recv(Connection& c, char* buf, std::size_t size) noexcept
{
    return moved(EventFactType::received, c, state.io.recv(c, buf, size), size);
}

ssize_t observed_recv_chain(Connection& c, Chain* in, off_t limit) noexcept
{
    return moved(EventFactType::received, c, state.io.recv_chain(c, in, limit), 0);
}

ssize_t observed_udp_recv(Connection& c, char* buf, std::size_t size) noexcept
{
    return moved(EventFactType::received, c, state.io.udp_recv(c, buf, size), size);
}

ssize_t observed_send(Connection& c, const char* buf, std::size_t size) noexcept
{
    return moved(EventFactType::sent, c, state.io.send(c, buf, size), size);
}

ssize_t observed_udp_send(Connection& c, const char* buf, std::size_t size) noexcept
{
    return moved(EventFactType::sent, c, state.io.udp_send(c, buf, size), size);
}

/// Reports what a call on a chain has sent: `sent` has grown by it. Returns the call's result.
Chain* sent_chain(const Connection& c, off_t before, Chain* rest) noexcept
{
    moved(EventFactType::sent, c, rest == chain_error ? io_error : c.sent - before, 0);
    return rest;
}

Chain* observed_udp_send_chain(Connection& c, Chain* in, off_t limit) noexcept
{
    const off_t before = c.sent;
    return sent_chain(c, before, state.io.udp_send_chain(c, in, limit));
}

Chain* observed_send_chain(Connection& c, Chain* in, off_t limit)
{
    const off_t before = c.sent;
    return sent_chain(c, before, state.io.send_chain(c, in, limit));
}

/// Replaces a function of a table. One that the table does not have stays null.
template <typename Function>
void replace(Function& function, Function observed) noexcept
{
    function = function ? observed : nullptr;
}

}  // namespace

void event_observe(const EventObserver* observer) noexcept
{
    assert(!observer || observer->report);
    event_observer = observer;
    if (!observer && event_actions.process_events == observed_process_events) {
        event_actions = state.actions;
        io = state.io;
    }
    event_observe_poller();
}

void event_observe_poller() noexcept
{
    const bool observed = event_actions.process_events == observed_process_events;
    if (!event_observer || observed || !event_actions.process_events) {
        return;
    }
    state.actions = event_actions;
    replace(event_actions.add, observed_add);
    replace(event_actions.del, observed_del);
    replace(event_actions.enable, observed_enable);
    replace(event_actions.disable, observed_disable);
    replace(event_actions.add_conn, observed_add_conn);
    replace(event_actions.del_conn, observed_del_conn);
    event_actions.process_events = observed_process_events;

    state.io = io;
    replace(io.recv, observed_recv);
    replace(io.recv_chain, observed_recv_chain);
    replace(io.udp_recv, observed_udp_recv);
    replace(io.send, observed_send);
    replace(io.udp_send, observed_udp_send);
    replace(io.udp_send_chain, observed_udp_send_chain);
    replace(io.send_chain, observed_send_chain);
}

void event_observe_wait(int events) noexcept
{
    assert(events > 0);
    state.events += static_cast<std::size_t>(events);
}

void event_report(const EventFact& fact) noexcept
{
    assert(event_observer);
    event_observer->report(fact, event_observer->data);
}

void event_report(EventFactType type, std::int64_t value) noexcept
{
    event_report({.type = type, .value = value});
}

void event_report(EventFactType type, const Event& ev, std::int64_t value) noexcept
{
    event_report({.type = type, .event = &ev, .value = value});
}

void event_report(EventFactType type, const Event& ev, const void* queue) noexcept
{
    event_report({.type = type, .event = &ev, .queue = queue});
}

void event_report(EventFactType type, const Connection& c) noexcept
{
    event_report({.type = type, .connection = &c});
}

}  // namespace ngx
