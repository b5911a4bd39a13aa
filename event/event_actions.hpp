#pragma once

#include <cstdint>
#include <string_view>

#include "core/core.hpp"

/// \file
/// The interface of a poller: what an event module provides, and what the loop asks it for.
namespace ngx {

/// Selects one of the two events of a connection.
///
/// nginx: NGX_READ_EVENT, NGX_WRITE_EVENT
enum class EventType : unsigned { read, write };

inline constexpr EventType read_event = EventType::read;
inline constexpr EventType write_event = EventType::write;

/// Flags of add and del. clear_event and exclusive_event have epoll's values.
///
/// nginx: NGX_LEVEL_EVENT, NGX_CLOSE_EVENT, NGX_DISABLE_EVENT, NGX_FLUSH_EVENT, NGX_LOWAT_EVENT,
/// NGX_EXCLUSIVE_EVENT, NGX_ONESHOT_EVENT, NGX_CLEAR_EVENT
inline constexpr unsigned level_event = 0;
inline constexpr unsigned close_event = 1;  // the descriptor is closed next
inline constexpr unsigned disable_event = 2;
inline constexpr unsigned flush_event = 4;
inline constexpr unsigned lowat_event = 0;
inline constexpr unsigned exclusive_event = 1U << 28;
inline constexpr unsigned oneshot_event = 0x70000000;
inline constexpr unsigned clear_event = 1U << 31;

/// Properties of a poller. event_flags has those of the poller in use.
///
/// nginx: NGX_USE_LEVEL_EVENT, NGX_USE_ONESHOT_EVENT, NGX_USE_CLEAR_EVENT, NGX_USE_KQUEUE_EVENT,
/// NGX_USE_LOWAT_EVENT, NGX_USE_GREEDY_EVENT, NGX_USE_EPOLL_EVENT, NGX_USE_FD_EVENT,
/// NGX_USE_TIMER_EVENT, NGX_USE_EVENTPORT_EVENT, NGX_USE_VNODE_EVENT
inline constexpr unsigned use_level_event = 0x00000001;    // level-triggered
inline constexpr unsigned use_oneshot_event = 0x00000002;  // removes an event after one report
inline constexpr unsigned use_clear_event = 0x00000004;    // edge-triggered
inline constexpr unsigned use_kqueue_event = 0x00000008;
inline constexpr unsigned use_lowat_event = 0x00000010;
inline constexpr unsigned use_greedy_event = 0x00000020;  // handlers read and write until EAGAIN
inline constexpr unsigned use_epoll_event = 0x00000040;
inline constexpr unsigned use_fd_event = 0x00000400;     // needs cycle->files
inline constexpr unsigned use_timer_event = 0x00000800;  // wakes up by itself for timer_resolution
inline constexpr unsigned use_eventport_event = 0x00001000;
inline constexpr unsigned use_vnode_event = 0x00002000;

/// Flags of process_events.
///
/// nginx: NGX_UPDATE_TIME, NGX_POST_EVENTS
inline constexpr unsigned update_time = 1;
inline constexpr unsigned post_events = 2;

/// The functions of a poller, in nginx's order; null if the poller does not have the function.
/// Called on the loop's thread, except notify.
///
/// nginx: ngx_event_actions_t
struct EventActions {
    /// Adds `ev` to the poller and sets `active`. A failure is logged. A poller that cannot watch
    /// this descriptor as an edge, which clear_event asks for, sets `oneshot` as well: it reports
    /// the event once, as one that was added with oneshot_event, and handle_read_event() or
    /// handle_write_event() adds it again.
    ///
    /// nginx: ngx_add_event()
    Rc (*add)(Event& ev, EventType event, unsigned flags) noexcept;
    /// Removes it and clears `active`. With close_event a poller may leave the removal to close().
    ///
    /// nginx: ngx_del_event()
    Rc (*del)(Event& ev, EventType event, unsigned flags) noexcept;

    Rc (*enable)(Event& ev, EventType event, unsigned flags) noexcept;
    Rc (*disable)(Event& ev, EventType event, unsigned flags) noexcept;

    /// Adds or removes both events of a connection in one call, edge-triggered.
    ///
    /// nginx: ngx_add_conn()
    Rc (*add_conn)(Connection& c) noexcept;

    /// nginx: ngx_del_conn()
    Rc (*del_conn)(Connection& c, unsigned flags) noexcept;

    /// Makes the loop's thread call `handler` in its next turn. May be called from any thread.
    ///
    /// nginx: ngx_notify()
    Rc (*notify)(EventHandler handler) noexcept;

    /// Waits up to `timer` ms (timer_infinite: without limit) and calls the handlers of the events
    /// that are ready, or posts them if `flags` has post_events. Updates the time if `flags` has
    /// update_time or the timer alarm has occurred.
    ///
    /// nginx: ngx_process_events()
    Rc (*process_events)(Cycle& cycle, Msec timer, unsigned flags) noexcept;

    /// Initializes the poller in this process and sets event_actions, event_flags and io. A reload
    /// without a master calls it again: events that are being watched stay so.
    Rc (*init)(Cycle& cycle, Msec timer);
    /// Releases everything that init has allocated.
    ///
    /// nginx: ngx_done_events()
    void (*done)(Cycle& cycle);
};

static_assert(sizeof(EventActions) == 10 * sizeof(void*), "ten actions, as nginx");

/// The context of an event module: a constant that the module owns. create_conf and init_conf work
/// as those of a core module, for the events block.
///
/// nginx: ngx_event_module_t
struct EventModule {
    std::string_view name;  // for `use`
    void* (*create_conf)(Cycle& cycle) = nullptr;
    const char* (*init_conf)(Cycle& cycle, void* conf) = nullptr;
    EventActions actions{};
    bool file_aio = false;  // supports asynchronous reads of files

    /// The requirements of the module. A configuration that does not meet them is rejected.
    ///
    /// Differs from nginx: nginx has no such declarations. A module with such requirements can only
    /// fail in each worker, after the start. They cost two bytes and a check of each configuration.
    bool single_worker = false;       // no more than one worker
    bool needs_accept_mutex = false;  // several workers never watch a listener at the same time
};

/// The functions and the properties of the poller in use.
///
/// nginx: ngx_event_actions, ngx_event_flags
extern EventActions event_actions;
extern unsigned event_flags;

/// Whether a test has shown that epoll reports EPOLLRDHUP.
///
/// nginx: ngx_use_epoll_rdhup
extern bool use_epoll_rdhup;

}  // namespace ngx
