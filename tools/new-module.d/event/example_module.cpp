#include <cassert>
#include <poll.h>
#include <vector>

#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/module_api.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "event/event_dispatch.hpp"
#include "event/event_timer.hpp"
#include "os/unix/os.hpp"

/// \file
/// The event method `example`: a poller that uses ppoll(2). In contrast to poll(), the timeout of
/// ppoll() is not limited to an int. The signal mask is null, so the wait does not change it.
///
/// A poller waits until descriptors are ready and passes each ready event to the loop. This one
/// runs no handler itself and does not depend on sockets, timers or modules. It declares its
/// properties in event_flags; `ngxx-event-contract` tests the promises that follow from them.
namespace ngx {

static_assert(module_api_version == 1, "written for another version of the module API");

// Defined at the end of the file.
extern Module example_module;

namespace {

constexpr std::int64_t default_spin = 0;
constexpr ConfNumBounds spin_bounds{.low = 0, .high = 1000};  // spinning delays the timers

/// The module's configuration in the events block. A value is empty until its directive or
/// init_conf sets it.
struct ExampleConf {
    static constexpr Module* module = &example_module;  // for event_get_conf()

    std::optional<std::int64_t> spin{};
};

/// The state of a worker, in one object, so that done() can reset all of it. A master also loads
/// the module, but has no loop and never calls init.
struct {
    std::vector<pollfd> event_list{};  // one entry for each descriptor; Event::index is the index
    std::int64_t spin = 0;
} state;

// Defined below, after the functions; init() copies the actions from it.
extern const EventModule example_module_ctx;

short poll_events(EventType event) noexcept
{
    return event == read_event ? POLLIN : POLLOUT;
}

/// Returns the other event of the connection if it is in the table (both share one entry), or null.
const Event* other_event(const Connection& c, EventType event) noexcept
{
    const Event* const e = event == read_event ? c.write : c.read;
    return e && e->index != invalid_index ? e : nullptr;
}

/// Called in each worker before its first turn. A process without a master calls it again at each
/// reload, while its events are still in the table; the table therefore grows and is not cleared.
Rc example_init(Cycle& cycle, Msec)
{
    // Reserves memory for all connections, so that the loop does not allocate.
    state.event_list.reserve(state.event_list.size() + cycle.connection_n);
    state.spin = *event_get_conf<ExampleConf>(cycle.conf_ctx)->spin;

    // Connections use `io` to read and write and `event_actions` to add and delete events; they
    // test `event_flags` for the poller's properties. use_level_event: the poller reports a state
    // as long as it lasts, so an event that nothing handles must be deleted, or the loop spins.
    // use_fd_event: the kernel returns only a descriptor, and cycle.files has its connection.
    io = os_io;
    event_actions = example_module_ctx.actions;
    event_flags = use_level_event | use_fd_event;
    return Rc::ok;
}

void example_done(Cycle&)
{
    state = {};
}

/// The caller owns the connection and its descriptor. The poller writes only `active`, which tells
/// the caller that the event is watched, and `index`, which only the poller uses.
Rc example_add_event(Event& ev, EventType event, unsigned) noexcept
{
    const Connection& c = *static_cast<Connection*>(ev.data);
    ev.active = 1;

    if (ev.index != invalid_index) {
        log_error(log_alert, ev.log, 0, "example event fd:{} ev:{} is already set", c.fd,
                  poll_events(event));
        return Rc::ok;
    }

    log_debug(log_debug_event, ev.log, 0, "example add event: fd:{} ev:{}", c.fd,
              poll_events(event));
    if (const Event* const e = other_event(c, event)) {
        pollfd& entry = state.event_list[e->index];
        entry.events = static_cast<short>(entry.events | poll_events(event));
        ev.index = e->index;
    } else {
        ev.index = state.event_list.size();
        state.event_list.push_back({.fd = c.fd, .events = poll_events(event), .revents = 0});
    }
    return Rc::ok;
}

/// Removes an entry by moving the last entry into its place, and updates the index of the moved
/// entry's two events. `files` has their connection, also if it belongs to a cycle before a reload.
void remove_entry(std::size_t index, Log* log) noexcept
{
    assert(index < state.event_list.size());
    const std::size_t last = state.event_list.size() - 1;
    if (index < last) {
        state.event_list[index] = state.event_list[last];

        const int fd = state.event_list[index].fd;
        const Connection* const c = ngx_cycle->files[fd < 0 ? ~fd : fd];
        if (!c || c->fd == invalid_socket) {
            log_error(log_alert, log, 0, "unexpected last event");
        } else {
            for (Event* const e : {c->read, c->write}) {
                e->index = e->index == last ? index : e->index;
            }
        }
    }
    state.event_list.pop_back();
}

/// Removes the event even if the flags have close_event: ppoll() does not notice that a descriptor
/// is closed, and would report the next one with the same number.
Rc example_del_event(Event& ev, EventType event, unsigned) noexcept
{
    const Connection& c = *static_cast<Connection*>(ev.data);
    ev.active = 0;

    if (ev.index == invalid_index) {
        log_error(log_alert, ev.log, 0, "example event fd:{} ev:{} is already deleted", c.fd,
                  poll_events(event));
        return Rc::ok;
    }

    log_debug(log_debug_event, ev.log, 0, "example del event: fd:{} ev:{}", c.fd,
              poll_events(event));
    if (const Event* const e = other_event(c, event)) {
        pollfd& entry = state.event_list[e->index];
        entry.events = static_cast<short>(entry.events & ~poll_events(event));
    } else {
        remove_entry(ev.index, ev.log);
    }
    ev.index = invalid_index;
    return Rc::ok;
}

/// The null mask does not change the blocked signals. A signal may arrive after the loop has tested
/// its flags and before the wait. A mask could prevent that, but the server already handles it for
/// every poller: the signal handler writes to a descriptor that the poller watches.
int poll_once(const timespec* timeout) noexcept
{
    return ::ppoll(state.event_list.data(), state.event_list.size(), timeout, nullptr);
}

/// Polls `example_spin` times before it waits, so that the process does not sleep if an event
/// arrives soon. The processor is busy during that time.
int wait_for_events(Msec timer) noexcept
{
    constexpr timespec at_once{};
    for (std::int64_t n = 0; n < state.spin && timer != 0; n++) {
        if (const int events = poll_once(&at_once); events != 0) {
            return events;
        }
    }
    if (timer == timer_infinite) {
        return poll_once(nullptr);
    }
    const timespec timeout{.tv_sec = static_cast<time_t>(timer / 1000),
                           .tv_nsec = static_cast<long>(timer % 1000 * 1'000'000)};
    return poll_once(&timeout);
}

/// Returns the kernel's report for an entry as POLLIN and POLLOUT. The kernel always reports
/// errors; this function turns them into both, so that the handler of each active event sees the
/// error in its own call and logs it.
short readiness(const pollfd& entry, Log* log) noexcept
{
    if ((entry.revents & POLLNVAL) != 0) {
        log_error(log_alert, log, 0, "ppoll() error fd:{} ev:{:04X} rev:{:04X}", entry.fd,
                  entry.events, entry.revents);
    }
    const bool failed = (entry.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    return failed ? static_cast<short>(POLLIN | POLLOUT) : entry.revents;
}

/// Posts the ready events of an entry. Returns false if it posted none, although ppoll() counted
/// the entry.
bool dispatch(const pollfd& entry, Log* log) noexcept
{
    log_debug(log_debug_event, log, 0, "example: fd:{} ev:{:04X} rev:{:04X}", entry.fd,
              entry.events, entry.revents);

    const Connection* const c = ngx_cycle->files[entry.fd];
    if (!c || c->fd == invalid_socket) {
        log_error(log_alert, log, 0, "unexpected event");
        return false;
    }

    // `active` is tested because an error is reported for both directions, and perhaps only one is
    // watched.
    const short ready = readiness(entry, log);
    bool found = false;
    if ((ready & POLLIN) != 0 && c->read->active) {
        found = true;
        c->read->available = -1;  // unknown: ppoll() does not report the number of bytes
        post_ready_event(*c->read);
    }
    if ((ready & POLLOUT) != 0 && c->write->active) {
        found = true;
        post_ready_event(*c->write);
    }
    return found;
}

/// The only function in which a worker waits. It posts all events, also without post_events in the
/// flags: a handler that closes its connection would change the table during the iteration.
Rc example_process_events(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    log_debug(log_debug_event, cycle.log, 0, "example timer: {}", timer);

    // after_wait() reads the errno of the wait and logs an error. The function continues after an
    // error, with `events` -1.
    const int events = wait_for_events(timer);
    const Rc rc = after_wait(cycle, events, timer, flags, "ppoll");

    int left = events;
    for (pollfd& entry : state.event_list) {
        if (left <= 0) {
            break;
        }
        if (entry.revents == 0) {
            continue;
        }
        left--;
        if (!dispatch(entry, cycle.log)) {
            // ppoll() ignores a negative descriptor, so that the entry does not make the loop spin.
            log_error(log_alert, cycle.log, 0, "example ready != events");
            entry.fd = ~entry.fd;
        }
    }
    return rc;
}

/// The cycle's pool owns the result. A reload creates a new one while the old one is in use.
void* example_create_conf(Cycle& cycle)
{
    return cycle.pool->create<ExampleConf>();
}

/// Called when the block has been read, also if another event method is in use.
const char* example_init_conf(Cycle&, void* conf)
{
    conf_init_value(static_cast<ExampleConf*>(conf)->spin, default_spin);
    return conf_ok;
}

constexpr Command example_commands[] = {
    {
        .name = "example_spin",
        .type = event_conf | conf_take1,
        .set = conf_set_num_slot<&ExampleConf::spin, &spin_bounds>,
    },
};

// The null actions are those that this poller does not have: add_conn and del_conn are for
// edge-triggered pollers, and notify for pollers with their own descriptor to wake the loop. A
// module wakes the loop by EventWaker, which works with every event method.
constexpr EventModule example_module_ctx = {
    .name = "example",
    .create_conf = example_create_conf,
    .init_conf = example_init_conf,
    .actions =
        {
            .add = example_add_event,
            .del = example_del_event,
            .enable = example_add_event,
            .disable = example_del_event,
            .add_conn = nullptr,
            .del_conn = nullptr,
            .notify = nullptr,
            .process_events = example_process_events,
            .init = example_init,
            .done = example_done,
        },
};

}  // namespace

constinit Module example_module = {
    .ctx = &example_module_ctx,
    .commands = example_commands,
    .type = ModuleType::event,
};

}  // namespace ngx
