#include <cassert>
#include <poll.h>
#include <vector>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/log_limit.hpp"
#include "event/event.hpp"
#include "event/event_dispatch.hpp"
#include "os/unix/os.hpp"

namespace ngx {

extern Module poll_module;

namespace {

struct {
    std::vector<pollfd> event_list{};  // one entry per descriptor; Event::index refers to it
    LogLimit invalid{};
    LogLimit strange{};
} state;

extern const EventModule poll_module_ctx;

short poll_events(EventType event) noexcept
{
    return event == read_event ? POLLIN : POLLOUT;
}

/// Returns the other event of the connection if it is in the table, otherwise null.
const Event* other_event(const Connection& c, EventType event) noexcept
{
    const Event* const e = event == read_event ? c.write : c.read;
    return e && e->index != invalid_index ? e : nullptr;
}

/// nginx: ngx_poll_init()
Rc poll_init(Cycle& cycle, Msec)
{
    // Reserves room for all, so that the loop allocates nothing. Entries from before a reload stay
    // in use.
    state.event_list.reserve(state.event_list.size() + cycle.connection_n);

    io = os_io;
    event_actions = poll_module_ctx.actions;
    event_flags = use_level_event | use_fd_event;
    return Rc::ok;
}

/// nginx: ngx_poll_done()
void poll_done(Cycle&)
{
    state = {};
}

/// nginx: ngx_poll_add_event()
Rc poll_add_event(Event& ev, EventType event, unsigned) noexcept
{
    assert(ev.data);
    assert((event == write_event) == (ev.write != 0));
    const Connection& c = connection_of(ev);
    ev.active = 1;

    if (ev.index != invalid_index) {
        log_error(log_alert, ev.log, 0, "poll event fd:{} ev:{} is already set", c.fd,
                  poll_events(event));
        return Rc::ok;
    }

    log_debug(log_debug_event, ev.log, 0, "poll add event: fd:{} ev:{}", c.fd, poll_events(event));
    if (const Event* const e = other_event(c, event)) {
        log_debug(log_debug_event, ev.log, 0, "poll add index: {}", e->index);
        state.event_list[e->index].events |= poll_events(event);
        ev.index = e->index;
    } else {
        ev.index = state.event_list.size();
        state.event_list.push_back({.fd = c.fd, .events = poll_events(event), .revents = 0});
    }
    return Rc::ok;
}

/// Removes an entry from the table by moving the last entry into its place.
void remove_entry(std::size_t index, Log* log) noexcept
{
    assert(index < state.event_list.size());
    const std::size_t last = state.event_list.size() - 1;
    if (index < last) {
        log_debug(log_debug_event, log, 0, "index: copy event {} to {}", last, index);
        state.event_list[index] = state.event_list[last];

        const int fd = state.event_list[index].fd;
        const Connection* const c = ngx_cycle->files[fd < 0 ? ~fd : fd];
        if (!c || c->fd == -1) {
            log_error(log_alert, log, 0, "unexpected last event");
        } else {
            for (Event* e : {c->read, c->write}) {
                if (e->index == last) {
                    e->index = index;
                }
            }
        }
    }
    state.event_list.pop_back();
}

/// nginx: ngx_poll_del_event()
Rc poll_del_event(Event& ev, EventType event, unsigned) noexcept
{
    const Connection& c = connection_of(ev);
    ev.active = 0;

    if (ev.index == invalid_index) {
        log_error(log_alert, ev.log, 0, "poll event fd:{} ev:{} is already deleted", c.fd,
                  poll_events(event));
        return Rc::ok;
    }

    log_debug(log_debug_event, ev.log, 0, "poll del event: fd:{} ev:{}", c.fd, poll_events(event));
    if (const Event* const e = other_event(c, event)) {
        log_debug(log_debug_event, ev.log, 0, "poll del index: {}", e->index);
        short& events = state.event_list[e->index].events;
        events = static_cast<short>(events & ~poll_events(event));
    } else {
        remove_entry(ev.index, ev.log);
    }
    ev.index = invalid_index;
    return Rc::ok;
}

/// Posts the events of one entry that are ready. Returns false if none is, although poll() has
/// counted the entry.
bool dispatch(const pollfd& entry, Log* log) noexcept
{
    int revents = entry.revents;
    log_debug(log_debug_event, log, 0, "poll: fd:{} ev:{:04X} rev:{:04X}", entry.fd, entry.events,
              revents);

    if ((revents & POLLNVAL) != 0) {
        log_limited(state.invalid, log_alert, log, 0, "poll() error fd:{} ev:{:04X} rev:{:04X}",
                    entry.fd, entry.events, revents);
    }
    if ((revents & ~(POLLIN | POLLOUT | POLLERR | POLLHUP | POLLNVAL)) != 0) {
        log_limited(state.strange, log_alert, log, 0,
                    "strange poll() events fd:{} ev:{:04X} rev:{:04X}", entry.fd, entry.events,
                    revents);
    }

    assert(entry.fd >= 0 && static_cast<std::size_t>(entry.fd) < ngx_cycle->files_n);
    const Connection* const c = ngx_cycle->files[entry.fd];
    if (!c || c->fd == -1) {
        log_error(log_alert, log, 0, "unexpected event");
        return false;
    }

    // An error counts as ready in both directions: the active handler gets the error from its own
    // call.
    if ((revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
        revents |= POLLIN | POLLOUT;
    }

    bool found = false;
    if ((revents & POLLIN) != 0 && c->read->active) {
        found = true;
        c->read->available = -1;
        post_ready_event(*c->read);
    }
    if ((revents & POLLOUT) != 0 && c->write->active) {
        found = true;
        post_ready_event(*c->write);
    }
    return found;
}

/// Posts the events instead of calling their handlers, because a handler may change the table while
/// the loop goes through it.
///
/// nginx: ngx_poll_process_events()
Rc poll_process_events(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    log_debug(log_debug_event, cycle.log, 0, "poll timer: {}", timer);

    const int events =
        ::poll(state.event_list.data(), state.event_list.size(), wait_timeout(timer));
    const Rc rc = after_wait(cycle, events, timer, flags, "poll");

    int ready = events;
    for (pollfd& entry : state.event_list) {
        if (ready <= 0) {
            break;
        }
        if (entry.revents == 0) {
            continue;
        }
        ready--;
        if (!dispatch(entry, cycle.log)) {
            // An unexpected entry: negates its fd so that poll() ignores it and the loop does not
            // spin.
            log_error(log_alert, cycle.log, 0, "poll ready != events");
            entry.fd = ~entry.fd;
        }
    }
    return rc;
}

/// nginx: ngx_poll_init_conf()
const char* poll_init_conf(Cycle&, void*)
{
    return conf_ok;
}

constexpr EventModule poll_module_ctx = {
    .name = "poll",
    .init_conf = poll_init_conf,
    .actions =
        {
            .add = poll_add_event,
            .del = poll_del_event,
            .enable = poll_add_event,
            .disable = poll_del_event,
            .add_conn = nullptr,
            .del_conn = nullptr,
            .notify = nullptr,
            .process_events = poll_process_events,
            .init = poll_init,
            .done = poll_done,
        },
};

}  // namespace

constinit Module poll_module = {
    .ctx = &poll_module_ctx,
    .type = ModuleType::event,
};

}  // namespace ngx
