#include "test/event/contract/faulty_poller.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vector>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"

namespace ngx::contract {

namespace {

EventActions real;
std::vector<int> leaked;

void set_process_events(decltype(EventActions::process_events) process_events)
{
    real = event_actions;
    event_actions.process_events = process_events;
}

void set_add(decltype(EventActions::add) add)
{
    real = event_actions;
    event_actions.add = add;
}

void set_del(decltype(EventActions::del) del)
{
    real = event_actions;
    event_actions.del = del;
}

Connection& connection_of(const Event& ev) noexcept
{
    return *static_cast<Connection*>(ev.data);
}

EventType type_of(const Event& ev) noexcept
{
    return ev.write ? write_event : read_event;
}

/// Hands out all that was ready after the wait, whatever has become of it since.
Rc deliver_stale(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    if ((flags & post_events) != 0) {
        return rc;
    }
    std::vector<Event*> batch;
    for (PostedQueue* queue : {&posted_accept_events, &posted_events}) {
        for (Event& ev : *queue) {
            batch.push_back(&ev);
        }
        queue->clear();
    }
    for (Event* ev : batch) {
        ev->handler(*ev);
    }
    return rc;
}

Rc take_a_signal_for_a_failure(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags);
    if (rc == Rc::error) {
        log_error(log_alert, cycle.log, 0, "the wait failed");
    }
    return rc;
}

Rc run_at_once(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    return real.process_events(cycle, timer, flags & ~post_events);
}

Rc wait_half(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    return real.process_events(cycle, timer == timer_infinite ? timer : timer / 2, flags);
}

Rc cut_timeout(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    return real.process_events(cycle, timer == timer_infinite ? timer : timer % (Msec{1} << 32),
                               flags);
}

Rc always_update_time(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    return real.process_events(cycle, timer, flags | update_time);
}

Rc mix_queues(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags);
    posted_events.splice(posted_events.end(), posted_accept_events);
    return rc;
}

Rc drop_errors(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    posted_events.remove_if([](const Event& ev) {
        pollfd entry{.fd = connection_of(ev).fd, .events = 0, .revents = 0};
        ::poll(&entry, 1, 0);
        return (entry.revents & (POLLERR | POLLHUP)) != 0;
    });
    return rc;
}

Rc never_add_write(Event& ev, EventType event, unsigned flags) noexcept
{
    if (event == write_event) {
        ev.active = 1;
        return Rc::ok;
    }
    return real.add(ev, event, flags);
}

Rc add_levels(Event& ev, EventType event, unsigned flags) noexcept
{
    return real.add(ev, event, flags & ~clear_event);
}

Rc del_leaving_active(Event& ev, EventType event, unsigned flags) noexcept
{
    const Rc rc = real.del(ev, event, flags);
    ev.active = 1;
    return rc;
}

Rc del_both(Event& ev, EventType event, unsigned flags) noexcept
{
    const Connection& c = connection_of(ev);
    Event& other = event == read_event ? *c.write : *c.read;
    const Rc rc = real.del(ev, event, flags);
    if (other.active) {
        (void)real.del(other, type_of(other), flags);
        other.active = 1;
    }
    return rc;
}

Rc del_without_edge(Event& ev, EventType event, unsigned flags) noexcept
{
    return real.del(ev, event, flags & ~clear_event);
}

Rc del_as_if_closed(Event& ev, EventType event, unsigned flags) noexcept
{
    return real.del(ev, event, flags | close_event);
}

Rc del_conn_as_if_closed(Connection& c, unsigned flags) noexcept
{
    return real.del_conn(c, flags | close_event);
}

Rc notify_on_the_wrong_thread(EventHandler handler) noexcept
{
    static Event ev;
    handler(ev);
    return Rc::ok;
}

Rc init_anew(Cycle& cycle, Msec timer)
{
    real.done(cycle);
    return real.init(cycle, timer);
}

void done_but_one(Cycle& cycle)
{
    real.done(cycle);
    leaked.push_back(::eventfd(0, EFD_CLOEXEC));
}

Rc add_oneshot(Event& ev, EventType event, unsigned flags) noexcept
{
    if (flags != oneshot_event) {
        return real.add(ev, event, flags);
    }
    ev.oneshot = 1;
    return real.add(ev, event, clear_event);
}

Rc forget_oneshot(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    for (Event& ev : posted_events) {
        if (ev.oneshot) {
            ev.oneshot = 0;
            (void)real.del(ev, type_of(ev), clear_event);
        }
    }
    return rc;
}

Rc forget_oneshot_too_late(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = forget_oneshot(cycle, timer, flags);
    for (Event& ev : posted_events) {
        ev.active = 1;
    }
    return rc;
}

constexpr Fault table[] = {
    {
        .name = "stale_events_are_delivered",
        .install = [] { set_process_events(deliver_stale); },
        .breaks = "a_stale_read_event_does_not_reach_the_next_connection",
    },
    {
        .name = "closed_connections_are_called",
        .install = [] { set_process_events(deliver_stale); },
        .breaks = "a_handler_may_close_all_others",
    },
    {
        .name = "a_signal_is_taken_for_a_failure",
        .install = [] { set_process_events(take_a_signal_for_a_failure); },
        .breaks = "a_signal_ends_the_wait_without_alert",
    },
    {
        .name = "posted_events_run_at_once",
        .install = [] { set_process_events(run_at_once); },
        .breaks = "posted_events_run_when_their_queue_is_processed",
    },
    {
        .name = "the_wait_is_too_short",
        .install = [] { set_process_events(wait_half); },
        .breaks = "a_timeout_is_waited_for",
    },
    {
        .name = "long_timeouts_are_cut",
        .install = [] { set_process_events(cut_timeout); },
        .breaks = "a_timeout_longer_than_an_int_is_not_cut_short",
    },
    {
        .name = "the_time_is_always_updated",
        .install = [] { set_process_events(always_update_time); },
        .breaks = "the_time_is_updated_when_it_is_asked_for",
    },
    {
        .name = "listeners_are_posted_with_the_others",
        .install = [] { set_process_events(mix_queues); },
        .breaks = "listeners_are_posted_to_a_queue_of_their_own",
    },
    {
        .name = "errors_are_not_reported",
        .install = [] { set_process_events(drop_errors); },
        .breaks = "a_hang_up_reaches_an_event_that_is_alone",
    },
    {
        .name = "write_events_are_not_added",
        .install = [] { set_add(never_add_write); },
        .breaks = "room_to_send_is_reported_to_the_write_event",
    },
    {
        .name = "edges_are_levels",
        .install = [] { set_add(add_levels); },
        .breaks = "an_arrival_is_reported_once",
    },
    {
        .name = "active_stays_set_after_del",
        .install = [] { set_del(del_leaving_active); },
        .breaks = "active_follows_add_and_del",
    },
    {
        .name = "del_loses_the_other_direction",
        .install = [] { set_del(del_both); },
        .breaks = "del_of_one_direction_keeps_the_other",
    },
    {
        .name = "del_loses_the_edge_of_the_other_direction",
        .install = [] { set_del(del_without_edge); },
        .breaks = "the_direction_that_stays_keeps_its_edge",
    },
    {
        .name = "del_relies_on_the_close",
        .install = [] { set_del(del_as_if_closed); },
        .breaks = "del_without_close_event_ends_the_reports_of_all_copies",
    },
    {
        .name = "del_conn_relies_on_the_close",
        .install =
            [] {
                real = event_actions;
                event_actions.del_conn = del_conn_as_if_closed;
            },
        .breaks = "del_conn_ends_the_reports_of_both_directions",
    },
    {
        .name = "notify_calls_the_handler_itself",
        .install =
            [] {
                real = event_actions;
                event_actions.notify = notify_on_the_wrong_thread;
            },
        .breaks = "a_notification_runs_its_handler_on_the_thread_of_the_loop",
    },
    {
        .name = "a_second_init_starts_anew",
        .install =
            [] {
                real = event_actions;
                event_actions.init = init_anew;
            },
        .breaks = "a_second_init_keeps_what_is_watched",
    },
    {
        .name = "done_leaks_a_descriptor",
        .install =
            [] {
                real = event_actions;
                event_actions.done = done_but_one;
            },
        .breaks = "done_closes_what_init_has_opened",
    },
    {
        .name = "a_one_shot_event_stays_active",
        .install =
            [] {
                install_oneshot();
                event_actions.process_events = forget_oneshot_too_late;
            },
        .breaks = "a_one_shot_event_is_inactive_when_its_handler_runs",
    },
};

}  // namespace

constinit const std::span<const Fault> faults = table;

void install_oneshot()
{
    real = event_actions;
    event_actions.add = add_oneshot;
    event_actions.process_events = forget_oneshot;
    event_flags |= use_oneshot_event;
}

void close_leaked_descriptors()
{
    for (const int fd : leaked) {
        ::close(fd);
    }
    leaked.clear();
}

}  // namespace ngx::contract
