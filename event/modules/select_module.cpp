#include <algorithm>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <sys/select.h>
#include <vector>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/log_limit.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "event/event_dispatch.hpp"
#include "event/event_timer.hpp"
#include "os/unix/os.hpp"

namespace ngx {

extern Module select_module;

namespace {

struct {
    fd_set master_read_fd_set{};
    fd_set master_write_fd_set{};
    fd_set work_read_fd_set{};  // the results of select()
    fd_set work_write_fd_set{};
    int max_fd = -1;                    // -1: must be computed again
    std::vector<Event*> event_index{};  // one entry per event; Event::index refers to it
    LogLimit miscounted{};
} state;

extern const EventModule select_module_ctx;

fd_set& master_fd_set(EventType event) noexcept
{
    return event == read_event ? state.master_read_fd_set : state.master_write_fd_set;
}

/// nginx: ngx_select_init()
Rc select_init(Cycle& cycle, Msec)
{
    if (state.event_index.empty()) {
        FD_ZERO(&state.master_read_fd_set);
        FD_ZERO(&state.master_write_fd_set);
    }
    // Reserves room for all, so that the loop allocates nothing. Entries from before a reload stay
    // in use.
    state.event_index.reserve(state.event_index.size() + 2 * cycle.connection_n);
    state.max_fd = -1;

    io = os_io;
    event_actions = select_module_ctx.actions;
    event_flags = use_level_event;
    return Rc::ok;
}

/// nginx: ngx_select_done()
void select_done(Cycle&)
{
    state = {};
}

/// nginx: ngx_select_add_event()
Rc select_add_event(Event& ev, EventType event, unsigned) noexcept
{
    assert(ev.data);
    const Connection& c = connection_of(ev);
    const int event_n = static_cast<int>(event);
    log_debug(log_debug_event, ev.log, 0, "select add event fd:{} ev:{}", c.fd, event_n);

    if (ev.index != invalid_index) {
        log_error(log_alert, ev.log, 0, "select event fd:{} ev:{} is already set", c.fd, event_n);
        return Rc::ok;
    }
    if ((event == write_event) != (ev.write != 0)) {
        log_error(log_alert, ev.log, 0, "invalid select {} event fd:{} ev:{}",
                  ev.write ? "write" : "read", c.fd, event_n);
        return Rc::error;
    }
    if (c.fd >= FD_SETSIZE) {
        log_error(log_err, ev.log, 0, "maximum number of descriptors supported by select() is {}",
                  FD_SETSIZE);
        return Rc::error;
    }

    FD_SET(c.fd, &master_fd_set(event));
    if (state.max_fd != -1) {
        state.max_fd = std::max(state.max_fd, c.fd);
    }
    ev.active = 1;
    ev.index = state.event_index.size();
    state.event_index.push_back(&ev);
    return Rc::ok;
}

/// nginx: ngx_select_del_event()
Rc select_del_event(Event& ev, EventType event, unsigned) noexcept
{
    const Connection& c = connection_of(ev);
    ev.active = 0;

    if (ev.index == invalid_index) {
        return Rc::ok;
    }
    log_debug(log_debug_event, ev.log, 0, "select del event fd:{} ev:{}", c.fd,
              static_cast<int>(event));

    FD_CLR(c.fd, &master_fd_set(event));
    if (state.max_fd == c.fd) {
        state.max_fd = -1;
    }

    assert(ev.index < state.event_index.size() && state.event_index[ev.index] == &ev);
    // Moves the last entry into the place of this one.
    Event* const last = state.event_index.back();
    state.event_index[ev.index] = last;
    last->index = ev.index;
    state.event_index.pop_back();
    ev.index = invalid_index;
    return Rc::ok;
}

int find_max_fd() noexcept
{
    int max_fd = -1;
    for (const Event* ev : state.event_index) {
        max_fd = std::max(max_fd, connection_of(*ev).fd);
    }
    return max_fd;
}

void repair_fd_set(fd_set& set, const char* name, Log* log) noexcept
{
    for (int s = 0; s <= state.max_fd; s++) {
        if (FD_ISSET(s, &set) && ::fcntl(s, F_GETFD) == -1) {
            log_error(log_alert, log, errno, "invalid descriptor #{} in {} fd_set", s, name);
            FD_CLR(s, &set);
        }
    }
}

/// Removes descriptors that are not open from the sets; otherwise select() would always fail.
///
/// Differs from nginx: nginx keeps only sockets. Here the descriptor that wakes the loop for a
/// signal is not a socket.
///
/// nginx: ngx_select_repair_fd_sets()
void select_repair_fd_sets(Log* log) noexcept
{
    repair_fd_set(state.master_read_fd_set, "read", log);
    repair_fd_set(state.master_write_fd_set, "write", log);
    state.max_fd = -1;
}

/// Posts one event if select() has found it ready. Returns whether it was.
bool dispatch(Event& ev, Log* log) noexcept
{
    const int fd = connection_of(ev).fd;
    const fd_set& set = ev.write ? state.work_write_fd_set : state.work_read_fd_set;
    if (!FD_ISSET(fd, &set)) {
        return false;
    }
    log_debug(log_debug_event, log, 0, "select {} {}", ev.write ? "write" : "read", fd);
    ev.available = -1;
    post_ready_event(ev);
    return true;
}

/// Posts the events instead of calling their handlers, because a handler may change the table while
/// the loop goes through it.
///
/// nginx: ngx_select_process_events()
Rc select_process_events(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    if (state.max_fd == -1) {
        state.max_fd = find_max_fd();
        log_debug(log_debug_event, cycle.log, 0, "change max_fd: {}", state.max_fd);
    }

    timeval tv{};
    tv.tv_sec = static_cast<time_t>(timer / 1000);
    tv.tv_usec = static_cast<suseconds_t>(timer % 1000 * 1000);
    log_debug(log_debug_event, cycle.log, 0, "select timer: {}", timer);

    state.work_read_fd_set = state.master_read_fd_set;
    state.work_write_fd_set = state.master_write_fd_set;
    const int events = ::select(state.max_fd + 1, &state.work_read_fd_set, &state.work_write_fd_set,
                                nullptr, timer == timer_infinite ? nullptr : &tv);
    const bool bad_descriptor = events == -1 && errno == EBADF;
    const Rc rc = after_wait(cycle, events, timer, flags, "select");

    if (bad_descriptor) {
        select_repair_fd_sets(cycle.log);
    }
    if (events <= 0) {
        return rc;
    }

    int nready = 0;
    for (Event* ev : state.event_index) {
        nready += dispatch(*ev, cycle.log);
    }
    if (nready != events) {
        log_limited(state.miscounted, log_alert, cycle.log, 0, "select ready != events: {}:{}",
                    events, nready);
        select_repair_fd_sets(cycle.log);
    }
    return Rc::ok;
}

/// nginx: ngx_select_init_conf()
const char* select_init_conf(Cycle& cycle, void*)
{
    const EventConf& ecf = *event_get_conf<EventConf>(cycle.conf_ctx);
    if (ecf.use == select_module.ctx_index && cycle.connection_n > FD_SETSIZE) {
        log_error(log_emerg, cycle.log, 0,
                  "the maximum number of files supported by select() is {}", FD_SETSIZE);
        return conf_error;
    }
    return conf_ok;
}

constexpr EventModule select_module_ctx = {
    .name = "select",
    .init_conf = select_init_conf,
    .actions =
        {
            .add = select_add_event,
            .del = select_del_event,
            .enable = select_add_event,
            .disable = select_del_event,
            .add_conn = nullptr,
            .del_conn = nullptr,
            .notify = nullptr,
            .process_events = select_process_events,
            .init = select_init,
            .done = select_done,
        },
};

}  // namespace

constinit Module select_module = {
    .ctx = &select_module_ctx,
    .type = ModuleType::event,
};

}  // namespace ngx
