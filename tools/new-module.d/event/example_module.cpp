#include <cassert>
#include <poll.h>
#include <vector>

#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/module_api.hpp"
#include "event/event.hpp"
#include "event/event_dispatch.hpp"
#include "event/event_timer.hpp"

/// \file
/// The event method `example`: a poller over ppoll(2). Of what ppoll() has beyond poll() it uses
/// the timeout, which need not be cut to an int; signals stay as they are (a null mask).
///
/// A poller answers one question, "which descriptors are ready?", and hands each event that is to
/// the loop. It runs no handler itself and knows nothing of sockets, of timers or of modules. How
/// it does that, it says in event_flags; what it has to keep then, `ngxx-event-contract` tries.
namespace ngx {

static_assert(module_api_version == 1, "written for another version of the module API");

// The descriptor of the module is the last thing in the file, and is needed before.
extern Module example_module;

namespace {

constexpr std::int64_t default_spin = 0;
constexpr ConfNumBounds spin_bounds{.low = 0, .high = 1000};  // timers are late by them

/// What the events block says of this module. Each value is optional: unset, until init_conf.
struct ExampleConf {
    static constexpr Module* module = &example_module;  // for event_get_conf()

    std::optional<std::int64_t> spin{};
};

/// All that lives in a worker, in one place, so that done() can give it back whole. A master loads
/// the module, too, but has no loop and never calls init.
struct {
    std::vector<pollfd> event_list{};  // one entry a descriptor; Event::index points into it
    std::int64_t spin = 0;
} state;

// init() hands out the actions, which stand below with the functions that they name.
extern const EventModule example_module_ctx;

short poll_events(EventType event) noexcept
{
    return event == read_event ? POLLIN : POLLOUT;
}

/// The other event of the connection, if it is in the table: both share one entry.
const Event* other_event(const Connection& c, EventType event) noexcept
{
    const Event* const e = event == read_event ? c.write : c.read;
    return e && e->index != invalid_index ? e : nullptr;
}

/// Called in each worker before its first turn, and again, with what is watched still in the
/// table, by a reload in a process without a master. Hence the table grows and is not cleared.
Rc example_init(Cycle& cycle, Msec)
{
    // Room for all connections here, so that the loop allocates nothing.
    state.event_list.reserve(state.event_list.size() + cycle.connection_n);
    state.spin = *event_get_conf<ExampleConf>(cycle.conf_ctx)->spin;

    // From now on everybody reads and writes through `io`, watches through `event_actions`, and
    // asks `event_flags` what the poller is like. Level: it reports a state as long as it lasts,
    // so that what is not wanted must be taken out, or the loop spins. Fd: the kernel gives back
    // a descriptor and nothing else; cycle.files says whose it is.
    io = os_io;
    event_actions = example_module_ctx.actions;
    event_flags = use_level_event | use_fd_event;
    return Rc::ok;
}

void example_done(Cycle&)
{
    state = {};
}

/// The connection and its descriptor are the caller's. Only `active` and `index` are the poller's
/// to write: `active` tells the caller that it watches, `index` is its own.
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

/// Takes an entry out by moving the last one into its place, whose two events then have to learn
/// where they are. `files` knows them, also those of a cycle before a reload.
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

/// With close_event in the flags, too: ppoll() does not notice that a descriptor is closed, and
/// would report the next one that has its number.
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

/// The null mask leaves blocked what is blocked. A mask of its own would close the gap in which a
/// signal comes after the loop has looked at its flags and before the wait; the server closes that
/// for every poller, by a descriptor that the signal's handler writes to.
int poll_once(const timespec* timeout) noexcept
{
    return ::ppoll(state.event_list.data(), state.event_list.size(), timeout, nullptr);
}

/// Looks `example_spin` times before it waits: what comes soon is then found without the process
/// being put to sleep and woken. The processor is busy meanwhile.
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

/// What the kernel has said of an entry, as read and write. It reports errors that nobody has asked
/// for, and no handler is told of them: whichever is active meets the error in its own call, and
/// logs it with the right words.
short readiness(const pollfd& entry, Log* log) noexcept
{
    if ((entry.revents & POLLNVAL) != 0) {
        log_error(log_alert, log, 0, "ppoll() error fd:{} ev:{:04X} rev:{:04X}", entry.fd,
                  entry.events, entry.revents);
    }
    const bool failed = (entry.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    return failed ? static_cast<short>(POLLIN | POLLOUT) : entry.revents;
}

/// Posts what is ready of one entry. False when nothing was, although ppoll() has counted it.
bool dispatch(const pollfd& entry, Log* log) noexcept
{
    log_debug(log_debug_event, log, 0, "example: fd:{} ev:{:04X} rev:{:04X}", entry.fd,
              entry.events, entry.revents);

    const Connection* const c = ngx_cycle->files[entry.fd];
    if (!c || c->fd == invalid_socket) {
        log_error(log_alert, log, 0, "unexpected event");
        return false;
    }

    // An error counts for both directions, of which perhaps one is watched: hence `active`.
    const short ready = readiness(entry, log);
    bool found = false;
    if ((ready & POLLIN) != 0 && c->read->active) {
        found = true;
        c->read->available = -1;  // how much there is to read, ppoll() does not say
        post_ready_event(*c->read);
    }
    if ((ready & POLLOUT) != 0 && c->write->active) {
        found = true;
        post_ready_event(*c->write);
    }
    return found;
}

/// The one place where a worker waits. Events are posted and never run from here, whatever the
/// flags say: a handler that closes its connection would change the table under the walk.
Rc example_process_events(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    log_debug(log_debug_event, cycle.log, 0, "example timer: {}", timer);

    // errno has to reach after_wait() as the wait has left it. What it answers is for the log: an
    // interrupted wait is no reason not to go on, and `events` is -1 then.
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
            // A descriptor below 0 is passed over: nobody would stop the loop from spinning.
            log_error(log_alert, cycle.log, 0, "example ready != events");
            entry.fd = ~entry.fd;
        }
    }
    return rc;
}

/// In the pool of the cycle, which frees it. A reload makes a new one beside the old.
void* example_create_conf(Cycle& cycle)
{
    return cycle.pool->create<ExampleConf>();
}

/// Called once the block is read, whether or not this method is the one in use.
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

// What this system call cannot do stays null: adding a connection as a whole (add_conn, del_conn)
// is for those that report changes, and notify for those that have a channel of their own. Whoever
// needs to wake the loop has EventWaker, which works with every method.
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
