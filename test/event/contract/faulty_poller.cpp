/// \file
/// Event modules with intended faults: each is one of the server's pollers with one fault, and has
/// the fault's name. This file is built once for each poller, as a file of modules to load:
/// FAULTY_BASE is the poller's module, FAULTY_BASE_NAME its name. Two more modules have no fault:
/// "oneshot" supports one-shot events, which no poller of the server does, and
/// "eventfds_for_one_report" has no edges of an eventfd.

#include "test/event/contract/faulty_poller.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <span>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/module_signature.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"

namespace ngx {

extern Module FAULTY_BASE;

}  // namespace ngx

namespace ngx::contract {

namespace {

void install_oneshot();

EventActions real;
std::vector<int> leaked;
std::vector<Event*> noted;  // used by the installed fault
std::vector<int> closed_numbers;
int dels = 0;
bool listener_has_gone = false;
bool done_before_init = false;
void* volatile allocated;
ino_t first_file;
std::atomic<EventHandler> marked;

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

EventType type_of(const Event& ev) noexcept
{
    return ev.write ? write_event : read_event;
}

Event& other_of(const Event& ev) noexcept
{
    const Connection& c = connection_of(ev);
    return ev.write ? *c.read : *c.write;
}

/// Returns what poll() reports of the event's descriptor.
short state_of(const Event& ev, short events) noexcept
{
    pollfd entry{.fd = connection_of(ev).fd, .events = events, .revents = 0};
    ::poll(&entry, 1, 0);
    return entry.revents;
}

std::vector<Event*> posted_now()
{
    std::vector<Event*> all;
    for (Event& ev : posted_events) {
        all.push_back(&ev);
    }
    return all;
}

/// Handles all events that were ready after the wait, even if their connections have been closed
/// since.
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
    posted_events.remove_if(
        [](const Event& ev) { return (state_of(ev, 0) & (POLLERR | POLLHUP)) != 0; });
    return rc;
}

Rc tell_errors_to_both(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    for (Event* ev : posted_now()) {
        if ((state_of(*ev, 0) & POLLERR) != 0) {
            post_event(other_of(*ev), posted_events);
        }
    }
    return rc;
}

Rc tell_errors_beside_room_to_the_writer(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    posted_events.remove_if([](const Event& ev) {
        const int state = state_of(ev, POLLIN | POLLOUT);
        return !ev.write && (state & POLLERR) != 0 && (state & POLLIN) == 0;
    });
    return rc;
}

Rc forget_what_was_ready(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    for (const Connection& c : connections_of(cycle)) {
        c.read->ready = 0;
        c.write->ready = 0;
    }
    return real.process_events(cycle, timer, flags);
}

Rc leave_the_end_unmarked(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    for (Event& ev : posted_events) {
        ev.pending_eof = 0;
    }
    return rc;
}

Rc leave_available_at_nothing(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    for (Event& ev : posted_events) {
        ev.available = 0;
    }
    return rc;
}

Rc believe_in_rdhup(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    use_epoll_rdhup = true;
    return real.process_events(cycle, timer, flags);
}

Rc ask_nobody_without_time(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    return timer == 0 ? Rc::ok : real.process_events(cycle, timer, flags);
}

/// After any report, removes all other connections that are not ready from the poller.
Rc drop_other_readers(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    for (const Connection& c : connections_of(cycle)) {
        const bool idle = c.fd != -1 && !c.read->ready && !c.write->posted();
        if (!posted_events.empty() && idle && c.read->active) {
            (void)real.del(*c.read, read_event, clear_event);
            c.read->active = 1;
        }
    }
    return rc;
}

Rc lose_one_report(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    for (Event* ev : posted_now()) {
        if (std::erase(noted, ev) != 0) {
            delete_posted_event(*ev);
            ev->ready = 0;
        }
    }
    return rc;
}

/// Loses the next report of each read event that was reported, as if its handler had found no data.
Rc note_who_is_called_in_vain(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = lose_one_report(cycle, timer, flags);
    for (Event* ev : posted_now()) {
        if (!ev->write) {
            noted.push_back(ev);
        }
    }
    return rc;
}

/// Notes events that are ready when they are added, so that lose_one_report() loses their report.
Rc hide_what_is_there(Event& ev, EventType event, unsigned flags) noexcept
{
    if (state_of(ev, event == read_event ? POLLIN : POLLOUT) != 0) {
        noted.push_back(&ev);
    }
    return real.add(ev, event, flags);
}

Rc add_and_lose_what_is_ready(Event& ev, EventType event, unsigned flags) noexcept
{
    const Rc rc = real.add(ev, event, flags);
    (void)real.process_events(*ngx_cycle, 0, post_events);
    posted_events.clear();
    return rc;
}

/// Leaves deleted events in the kernel, and does not add them again.
Rc add_unless_known(Event& ev, EventType event, unsigned flags) noexcept
{
    if (std::ranges::find(noted, &ev) == noted.end()) {
        noted.push_back(&ev);
        return real.add(ev, event, flags);
    }
    ev.active = 1;
    return Rc::ok;
}

Rc del_in_name_only(Event& ev, EventType, unsigned) noexcept
{
    ev.active = 0;
    return Rc::ok;
}

/// Identifies descriptors by their file: adds only the first descriptor of a file.
Rc add_each_file_once(Event& ev, EventType event, unsigned flags) noexcept
{
    struct stat file {};
    ::fstat(connection_of(ev).fd, &file);
    if (file.st_ino == first_file) {
        ev.active = 1;
        return Rc::ok;
    }
    first_file = file.st_ino;
    return real.add(ev, event, flags);
}

Rc add_later(Event& ev, EventType, unsigned) noexcept
{
    ev.active = 1;
    noted.push_back(&ev);
    return Rc::ok;
}

Rc add_what_is_due(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    for (Event* ev : noted) {
        ev->active = 0;
        (void)real.add(*ev, type_of(*ev), clear_event);
    }
    noted.clear();
    return real.process_events(cycle, timer, flags);
}

/// Reports the state of a socket before it is connected: hung up.
Rc add_conn_and_look(Connection& c) noexcept
{
    const Rc rc = real.add_conn(c);
    if (state_of(*c.read, POLLIN | POLLOUT) != 0) {
        post_event(*c.read, posted_events);
        post_event(*c.write, posted_events);
    }
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

Rc notify_by_a_mark(EventHandler handler) noexcept
{
    marked = handler;
    return Rc::ok;
}

Rc look_at_the_mark_before_the_wait(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    if (const EventHandler handler = marked.exchange(nullptr)) {
        static Event ev;
        handler(ev);
        return Rc::ok;
    }
    return real.process_events(cycle, timer, flags);
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

Rc init_for_others_too(Cycle& cycle, Msec timer)
{
    const Rc rc = real.init(cycle, timer);
    leaked.push_back(::eventfd(0, 0));
    return rc;
}

void done_with_all_dels(Cycle& cycle)
{
    for (const Connection& c : connections_of(cycle)) {
        for (Event* ev : {c.read, c.write}) {
            if (c.fd != -1 && ev->active) {
                (void)real.del(*ev, type_of(*ev), clear_event);
            }
        }
    }
    real.done(cycle);
}

Rc add_oneshot(Event& ev, EventType event, unsigned flags) noexcept
{
    if (flags != oneshot_event) {
        return real.add(ev, event, flags);
    }
    ev.oneshot = 1;
    return real.add(ev, event, clear_event);
}

bool is_eventfd(const Event& ev) noexcept
{
    std::array<char, 64> path{};
    std::array<char, 64> target{};
    *fmt::format_to_n(path.data(), path.size() - 1, "/proc/self/fd/{}", connection_of(ev).fd).out =
        0;
    return ::readlink(path.data(), target.data(), target.size() - 1) > 0 &&
           std::string_view(target.data()) == "anon_inode:[eventfd]";
}

/// Adds an eventfd as a poller does that has no edges of it, and declares that.
Rc add_eventfds_for_one_report(Event& ev, EventType event, unsigned flags) noexcept
{
    if (flags != clear_event || !is_eventfd(ev)) {
        return real.add(ev, event, flags);
    }
    ev.oneshot = 1;
    return real.add(ev, event, level_event);
}

/// The fault: such a poller does not set `oneshot`, and reports the eventfd as a level.
Rc add_eventfds_as_levels(Event& ev, EventType event, unsigned flags) noexcept
{
    return real.add(ev, event, is_eventfd(ev) ? flags & ~clear_event : flags);
}

Rc del_unless_reported(Event& ev, EventType event, unsigned flags) noexcept
{
    return ev.active ? real.del(ev, event, flags) : Rc::ok;
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

Rc forget_both_directions(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = forget_oneshot(cycle, timer, flags);
    for (Event& ev : posted_events) {
        Event& other = other_of(ev);
        if (other.active && !other.posted()) {
            (void)real.del(other, type_of(other), clear_event);
        }
    }
    return rc;
}

Rc allocate_each_turn(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    allocated = std::malloc(64);
    std::free(allocated);
    return real.process_events(cycle, timer, flags);
}

Rc add_with_signals(const Event& ev, int how) noexcept
{
    const int fd = connection_of(ev).fd;
    return ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | how) == -1 ? Rc::error : Rc::ok;
}

Rc add_and_set_async(Event& ev, EventType event, unsigned flags) noexcept
{
    (void)add_with_signals(ev, O_ASYNC);
    return real.add(ev, event, flags);
}

/// The signal is ignored by default, so that it does not end the process.
Rc add_with_signals_to_the_process(Event& ev, EventType event, unsigned flags) noexcept
{
    const f_owner_ex owner{.type = F_OWNER_PID, .pid = ::getpid()};
    ::fcntl(connection_of(ev).fd, F_SETOWN_EX, &owner);
    ::fcntl(connection_of(ev).fd, F_SETSIG, SIGWINCH);
    return add_and_set_async(ev, event, flags);
}

void block_a_signal()
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 5);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

/// Loses reports if there are more of them than the kernel's queue of signals has entries.
Rc lose_what_finds_no_place(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    rlimit limit{};
    ::getrlimit(RLIMIT_SIGPENDING, &limit);
    rlim_t places = limit.rlim_cur;
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    for (Event* ev : posted_now()) {
        if (places > 0) {
            places--;
        } else {
            delete_posted_event(*ev);
            ev->ready = 0;
        }
    }
    return rc;
}

void note_number(const Connection& c, unsigned flags)
{
    if ((flags & close_event) != 0) {
        closed_numbers.push_back(c.fd);
    }
}

Rc del_noting_numbers(Event& ev, EventType event, unsigned flags) noexcept
{
    note_number(connection_of(ev), flags);
    return real.del(ev, event, flags);
}

Rc del_conn_noting_numbers(Connection& c, unsigned flags) noexcept
{
    note_number(c, flags);
    return real.del_conn(c, flags);
}

void note_closed_numbers()
{
    event_actions.del = del_noting_numbers;
    if (real.del_conn) {
        event_actions.del_conn = del_conn_noting_numbers;
    }
    closed_numbers.clear();
}

Rc watch_closed_numbers(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    for (const int fd : closed_numbers) {
        pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
        if (::poll(&entry, 1, 0) == 1 && (entry.revents & POLLNVAL) == 0) {
            timer = 0;
        }
    }
    return real.process_events(cycle, timer, flags);
}

Rc add_as_before(Event& ev, EventType event, unsigned flags) noexcept
{
    const Rc rc = real.add(ev, event, flags);
    Event& other = other_of(ev);
    if (std::erase(closed_numbers, connection_of(ev).fd) != 0 && !other.active) {
        (void)real.add(other, type_of(other), flags);
    }
    return rc;
}

Rc lose_a_del(Event& ev, EventType event, unsigned flags) noexcept
{
    if ((flags & close_event) == 0 && ++dels % 17 == 0) {
        ev.active = 0;
        return Rc::ok;
    }
    return real.del(ev, event, flags);
}

Rc add_channels_as_edges(Event& ev, EventType event, unsigned flags) noexcept
{
    return real.add(ev, event, ev.channel ? flags | clear_event : flags);
}

Rc add_no_channel(Event& ev, EventType event, unsigned flags) noexcept
{
    ev.active = 1;
    return ev.channel ? Rc::ok : real.add(ev, event, flags);
}

Rc add_nothing_exclusive(Event& ev, EventType event, unsigned flags) noexcept
{
    ev.active = 1;
    return flags == exclusive_event ? Rc::ok : real.add(ev, event, flags);
}

Rc drop_ends_of_channels(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    posted_events.remove_if(
        [](const Event& ev) { return ev.channel && (state_of(ev, 0) & POLLHUP) != 0; });
    return rc;
}

Rc report_each_event_once(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    for (Event* ev : posted_now()) {
        if (std::ranges::find(noted, ev) != noted.end()) {
            delete_posted_event(*ev);
            ev->ready = 0;
        } else {
            noted.push_back(ev);
        }
    }
    return rc;
}

Rc drop_posted_accepts(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags);
    if ((flags & post_events) != 0) {
        posted_accept_events.clear();
    }
    return rc;
}

Rc del_noting_listeners(Event& ev, EventType event, unsigned flags) noexcept
{
    listener_has_gone |= ev.accept && (flags & disable_event) == 0;
    return real.del(ev, event, flags);
}

Rc del_conn_noting_listeners(Connection& c, unsigned flags) noexcept
{
    listener_has_gone |= c.read->accept;
    return real.del_conn(c, flags);
}

/// Still reports channels.
Rc report_nothing_without_listeners(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const Rc rc = real.process_events(cycle, timer, flags | post_events);
    if (listener_has_gone) {
        posted_events.remove_if([](const Event& ev) { return !ev.channel; });
    }
    return rc;
}

void install_edges_without_greedy()
{
    event_flags &= ~(use_greedy_event | use_epoll_event);
}

void install_report_each_event_once()
{
    set_process_events(report_each_event_once);
    noted.clear();
}

void install_lose_what_finds_no_place()
{
    set_process_events(lose_what_finds_no_place);
}

void install_add_no_channel()
{
    set_add(add_no_channel);
}

void install_init_anew()
{
    real = event_actions;
    event_actions.init = init_anew;
    done_before_init = true;
}

constexpr Fault table[] = {
    {
        .name = "stale_events_are_delivered",
        .install = [] { set_process_events(deliver_stale); },
        .breaks = "a_stale_read_event_does_not_reach_the_next_connection",
        .upon = upon_edges,
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
        .upon = upon_edges,
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
        .upon = upon_edges,
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
        .install = install_init_anew,
        .breaks = "a_second_init_keeps_what_is_watched",
        .upon = upon_edges,
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
    {
        .name = "errors_are_told_to_both_events",
        .install = [] { set_process_events(tell_errors_to_both); },
        .breaks = "an_error_is_reported_to_added_events_only",
    },
    {
        .name = "errors_beside_room_go_to_the_writer",
        .install = [] { set_process_events(tell_errors_beside_room_to_the_writer); },
        .breaks = "an_error_with_room_is_reported_to_the_reader",
    },
    {
        .name = "a_level_poller_relies_on_the_close",
        .install =
            [] {
                set_add(add_levels);
                event_flags = (event_flags & ~use_clear_event) | use_level_event;
            },
        .breaks = "an_end_that_was_read_does_not_spin",
        .upon = upon_edges,
    },
    {
        .name = "resets_are_not_reported",
        .install = [] { set_process_events(drop_errors); },
        .breaks = "a_reset_after_the_end_is_reported_to_the_writer",
    },
    {
        .name = "old_ends_are_taken_for_known",
        .install =
            [] {
                set_process_events(lose_one_report);
                event_actions.add = hide_what_is_there;
                noted.clear();
            },
        .breaks = "an_end_that_came_before_the_add_is_reported",
        .upon = upon_edges,
    },
    {
        .name = "hang_ups_are_not_reported",
        .install = [] { set_process_events(drop_errors); },
        .breaks = "an_end_after_a_shutdown_is_reported",
    },
    {
        .name = "del_leaves_the_hang_up",
        .install = [] { set_del(del_as_if_closed); },
        .breaks = "a_hang_up_of_a_deleted_event_does_not_end_the_wait",
        .upon = upon_edges,
    },
    {
        .name = "hang_ups_are_levels",
        .install = [] { set_add(add_levels); },
        .breaks = "a_hang_up_that_is_not_acted_on_does_not_spin",
    },
    {
        .name = "a_rest_is_no_rest",
        .install = [] { set_add(add_levels); },
        .breaks = "a_connection_that_rests_does_not_spin",
        .upon = upon_edges,
    },
    {
        .name = "readiness_lasts_a_turn",
        .install = [] { set_process_events(forget_what_was_ready); },
        .breaks = "ready_stays_set_until_a_call_would_block",
    },
    {
        .name = "a_report_in_vain_costs_the_next",
        .install =
            [] {
                set_process_events(note_who_is_called_in_vain);
                noted.clear();
            },
        .breaks = "a_report_without_data_is_not_the_last",
        .upon = upon_edges,
    },
    {
        .name = "a_report_drops_other_readers",
        .install = [] { set_process_events(drop_other_readers); },
        .breaks = "a_report_leaves_the_other_half_of_a_proxy_alone",
    },
    {
        .name = "a_one_shot_report_takes_both_directions",
        .install =
            [] {
                install_oneshot();
                event_actions.process_events = forget_both_directions;
            },
        .breaks = "a_one_shot_report_keeps_the_other_direction",
    },
    {
        .name = "a_reported_one_shot_event_is_deleted_twice",
        .install =
            [] {
                install_oneshot();
                event_actions.del = real.del;
            },
        .breaks = "a_reported_one_shot_event_may_be_deleted",
        .upon = upon_edges,  // select ignores a second del
    },
    {
        .name = "the_end_is_not_marked",
        .install = [] { set_process_events(leave_the_end_unmarked); },
        .breaks = "an_end_behind_a_full_buffer_is_found",
        .upon = upon_edges,
    },
    {
        .name = "rdhup_is_believed_in_untried",
        .install = [] { set_process_events(believe_in_rdhup); },
        .breaks = "an_end_without_epollrdhup_is_found",
    },
    {
        .name = "available_stays_at_nothing",
        .install = [] { set_process_events(leave_available_at_nothing); },
        .breaks = "a_read_to_the_last_byte_waits_for_more",
        .upon = upon_edges,
    },
    {
        .name = "what_is_there_is_taken_for_known",
        .install =
            [] {
                set_process_events(lose_one_report);
                event_actions.add = hide_what_is_there;
                noted.clear();
            },
        .breaks = "a_connection_accepted_with_data_reports_the_rest",
        .upon = upon_edges,
    },
    {
        .name = "without_time_nobody_is_asked",
        .install = [] { set_process_events(ask_nobody_without_time); },
        .breaks = "a_timer_that_is_always_due_does_not_delay_events",
    },
    {
        .name = "notify_does_not_end_the_wait",
        .install =
            [] {
                set_process_events(look_at_the_mark_before_the_wait);
                event_actions.notify = notify_by_a_mark;
                marked = nullptr;
            },
        .breaks = "a_notification_that_meets_the_wait_is_not_lost",
    },
    {
        .name = "del_is_a_mark_only",
        .install =
            [] {
                set_add(add_unless_known);
                event_actions.del = del_in_name_only;
                noted.clear();
            },
        .breaks = "what_stays_ready_is_reported_after_each_add",
    },
    {
        .name = "an_add_loses_what_is_ready",
        .install = [] { set_add(add_and_lose_what_is_ready); },
        .breaks = "a_change_keeps_what_is_ready_but_not_yet_reported",
        .upon = upon_edges,
    },
    {
        .name = "copies_are_taken_for_one",
        .install =
            [] {
                set_add(add_each_file_once);
                first_file = 0;
            },
        .breaks = "copies_of_a_descriptor_are_told_apart",
    },
    {
        .name = "copies_are_levels",
        .install = [] { set_add(add_levels); },
        .breaks = "a_copy_that_outlives_its_connection_does_not_spin",
        .upon = upon_edges,
    },
    {
        .name = "adds_wait_for_the_turn",
        .install =
            [] {
                set_add(add_later);
                event_actions.process_events = add_what_is_due;
                noted.clear();
            },
        .breaks = "a_connection_closed_before_a_turn_leaves_nothing",
    },
    {
        .name = "closed_listeners_are_called",
        .install = [] { set_process_events(deliver_stale); },
        .breaks = "a_listener_that_was_closed_does_not_accept",
    },
    {
        .name = "a_connect_is_looked_at_too_soon",
        .install =
            [] {
                real = event_actions;
                event_actions.add_conn = add_conn_and_look;
            },
        .breaks = "a_connect_under_way_is_not_reported",
        .upon = upon_edges,
    },
    {
        .name = "exec_inherits_a_descriptor",
        .install =
            [] {
                real = event_actions;
                event_actions.init = init_for_others_too;
            },
        .breaks = "what_init_opens_is_closed_by_exec",
    },
    {
        .name = "done_deletes_for_all_who_share",
        .install =
            [] {
                real = event_actions;
                event_actions.done = done_with_all_dels;
            },
        .breaks = "done_in_a_forked_process_keeps_the_parents_poller",
        .upon = upon_edges,
    },
    {
        .name = "edges_end_with_the_first_short_read",
        .install = install_edges_without_greedy,
        .breaks = "data_and_an_end_that_come_together_are_both_seen",
        .upon = upon_edges,
    },
    {
        .name = "clients_hang_at_the_end",
        .install = install_edges_without_greedy,
        .breaks = "clients_that_send_and_end_at_once_are_answered",
        .upon = upon_edges,
    },
    {
        .name = "a_turn_allocates",
        .install = [] { set_process_events(allocate_each_turn); },
        .breaks = "no_action_allocates",
    },
    {
        .name = "async_stays_set",
        .install = [] { set_add(add_and_set_async); },
        .breaks = "done_leaves_nothing_set_on_a_descriptor",
    },
    {
        .name = "signals_go_to_the_process",
        .install = [] { set_add(add_with_signals_to_the_process); },
        .breaks = "a_descriptor_signals_no_other_thread",
    },
    {
        .name = "a_signal_stays_blocked",
        .install = block_a_signal,
        .breaks = "done_leaves_the_process_as_it_was",
    },
    {
        .name = "a_queue_overflows",
        .install = install_lose_what_finds_no_place,
        .breaks = "nothing_is_lost_between_turns_under_small_limits",
        .upon = upon_edges,
    },
    {
        .name = "a_queue_overflows_in_the_server",
        .install = install_lose_what_finds_no_place,
        .breaks = "a_crowd_is_served_under_small_limits",
        .upon = upon_edges,
    },
    {
        .name = "closed_numbers_are_watched_on",
        .install =
            [] {
                set_process_events(watch_closed_numbers);
                note_closed_numbers();
            },
        .breaks = "a_number_that_is_open_again_but_not_added_is_quiet",
    },
    {
        .name = "a_number_brings_its_past",
        .install =
            [] {
                set_add(add_as_before);
                note_closed_numbers();
            },
        .breaks = "a_number_that_is_added_again_reports_nothing_old",
    },
    {
        .name = "each_seventeenth_del_is_lost",
        .install =
            [] {
                set_del(lose_a_del);
                dels = 0;
            },
        .breaks = "a_random_walk_matches_the_model",
    },
    {
        .name = "channels_are_not_watched",
        .install = install_add_no_channel,
        .breaks = "a_channel_reports_messages_and_never_room",
    },
    {
        .name = "workers_do_not_hear_their_master",
        .install = install_add_no_channel,
        .breaks = "a_master_and_its_worker_serve",
    },
    {
        .name = "channels_are_edges",
        .install = [] { set_add(add_channels_as_edges); },
        .breaks = "a_count_that_is_not_read_is_reported_again",
        .upon = upon_edges,
    },
    {
        .name = "ends_of_channels_are_not_reported",
        .install = [] { set_process_events(drop_ends_of_channels); },
        .breaks = "the_end_of_a_channel_is_reported",
    },
    {
        .name = "an_eventfd_is_reported_once",
        .install = install_report_each_event_once,
        .breaks = "each_count_of_an_eventfd_ends_a_wait",
    },
    {
        .name = "an_eventfd_has_no_edges",
        .install = [] { set_add(add_eventfds_as_levels); },
        .breaks = "an_eventfd_that_is_left_unread_lets_the_loop_wait",
        .upon = upon_edges,
    },
    {
        .name = "a_signalfd_is_reported_once",
        .install = install_report_each_event_once,
        .breaks = "a_signal_is_read_from_its_descriptor",
    },
    {
        .name = "a_waker_wakes_once",
        .install = install_report_each_event_once,
        .breaks = "a_thread_wakes_the_loop",
    },
    {
        .name = "a_server_hears_once",
        .install = install_report_each_event_once,
        .breaks = "a_server_without_a_master_serves",
    },
    {
        .name = "own_listeners_are_reported_once",
        .install = install_report_each_event_once,
        .breaks = "workers_with_listeners_of_their_own_serve",
    },
    {
        .name = "exclusive_listeners_are_not_watched",
        .install = [] { set_add(add_nothing_exclusive); },
        .breaks = "workers_that_share_their_listeners_serve",
        .upon = upon_edges,
    },
    {
        .name = "posted_listeners_are_dropped",
        .install = [] { set_process_events(drop_posted_accepts); },
        .breaks = "workers_with_the_accept_mutex_serve",
    },
    {
        .name = "connections_go_with_the_listeners",
        .install =
            [] {
                set_process_events(report_nothing_without_listeners);
                event_actions.del = del_noting_listeners;
                event_actions.del_conn = real.del_conn ? del_conn_noting_listeners : nullptr;
                listener_has_gone = false;
            },
        .breaks = "a_reload_keeps_its_clients",
    },
    {
        .name = "a_reload_starts_anew",
        .install = install_init_anew,
        .breaks = "a_reload_without_a_master_keeps_its_clients",
        .upon = upon_edges,
    },
};

void install_oneshot()
{
    real = event_actions;
    event_actions.add = add_oneshot;
    event_actions.del = del_unless_reported;
    event_actions.process_events = forget_oneshot;
    event_flags |= use_oneshot_event;
}

void install_eventfds_for_one_report()
{
    real = event_actions;
    event_actions.add = add_eventfds_for_one_report;
    event_actions.del = del_unless_reported;
    event_actions.process_events = forget_oneshot;
}

/// A module without a fault.
struct Right {
    std::string_view name;
    void (*install)();
};

constexpr Right right_table[] = {
    {"oneshot", install_oneshot},
    {"eventfds_for_one_report", install_eventfds_for_one_report},
};

constexpr std::size_t faults_n = std::size(table);
constexpr std::size_t modules_n = faults_n + std::size(right_table);

constexpr std::string_view use_name(std::size_t n) noexcept
{
    return n < faults_n ? table[n].name : right_table[n - faults_n].name;
}

/// The actions' init below the one that installs the fault again.
decltype(EventActions::init) init_below;

template <std::size_t N>
void install();

/// Installs the fault again after a second init, which some promises call.
template <std::size_t N>
Rc init_again(Cycle& cycle, Msec timer)
{
    const Rc rc = init_below(cycle, timer);
    install<N>();
    return rc;
}

template <std::size_t N>
void install()
{
    if constexpr (N < faults_n) {
        table[N].install();
    } else {
        right_table[N - faults_n].install();
    }
    init_below = event_actions.init;
    event_actions.init = init_again<N>;
}

template <std::size_t N>
Rc init_faulty(Cycle& cycle, Msec timer)
{
    for (const int fd : leaked) {
        ::close(fd);
    }
    leaked.clear();

    const EventActions& base = static_cast<const EventModule*>(FAULTY_BASE.ctx)->actions;
    if (std::exchange(done_before_init, false)) {
        base.done(cycle);
    }
    const Rc rc = base.init(cycle, timer);
    install<N>();
    return rc;
}

/// The text "ngx_NAME_module".
struct ModuleName {
    constexpr explicit ModuleName(std::string_view name)
    {
        std::size_t size = 0;
        for (const std::string_view part :
             {std::string_view("ngx_"), name, std::string_view("_module")}) {
            for (const char ch : part) {
                text[size++] = ch;
            }
        }
    }
    std::array<char, 96> text{};
};

template <std::size_t... N>
constexpr std::array<ModuleName, sizeof...(N)> make_names(std::index_sequence<N...>)
{
    return {ModuleName(use_name(N))...};
}

template <std::size_t... N>
constexpr std::array<EventModule, sizeof...(N)> make_contexts(std::index_sequence<N...>)
{
    return {EventModule{.name = use_name(N), .actions = {.init = init_faulty<N>}}...};
}

constexpr auto numbers = std::make_index_sequence<modules_n>();
constexpr auto names = make_names(numbers);
constexpr auto contexts = make_contexts(numbers);

template <std::size_t... N>
constexpr std::array<Module, sizeof...(N)> make_modules(std::index_sequence<N...>)
{
    return {Module{.ctx = &contexts[N], .type = ModuleType::event}...};
}

constinit auto modules = make_modules(numbers);

template <std::size_t... N>
constexpr std::array<Module*, sizeof...(N) + 1> make_table(std::index_sequence<N...>)
{
    return {&modules[N]..., nullptr};
}

template <std::size_t... N>
constexpr std::array<const char*, sizeof...(N) + 1> make_name_table(std::index_sequence<N...>)
{
    return {names[N].text.data()..., nullptr};
}

}  // namespace

}  // namespace ngx::contract

namespace ngx {

constinit const ModuleSignature module_signature = make_module_signature();

}  // namespace ngx

/// Replaces dynamic_modules.cpp, which cannot name modules made by a template.
extern "C" {

extern const std::array<ngx::Module*, ngx::contract::modules_n + 1> ngx_modules;
extern const std::array<const char*, ngx::contract::modules_n + 1> ngx_module_names;
extern const std::span<const ngx::contract::Fault> faults;
extern const std::string_view faults_base;

constinit const std::array<ngx::Module*, ngx::contract::modules_n + 1> ngx_modules =
    ngx::contract::make_table(ngx::contract::numbers);
constinit const std::array<const char*, ngx::contract::modules_n + 1> ngx_module_names =
    ngx::contract::make_name_table(ngx::contract::numbers);
constinit const std::span<const ngx::contract::Fault> faults = ngx::contract::table;
constinit const std::string_view faults_base = FAULTY_BASE_NAME;
}
