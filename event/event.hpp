#pragma once

#include <csignal>
#include <optional>
#include <string_view>
#include <vector>

#include <linux/aio_abi.h>

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include "core/conf_file.hpp"
#include "core/core.hpp"
#include "core/inet.hpp"
#include "core/shmtx.hpp"
#include "os/unix/os.hpp"

namespace ngx {

inline constexpr std::size_t invalid_index = 0xd0d0d0d0;

/// One direction of a connection: its readiness, its handler, its timer and its place in a queue.
/// Each connection has two, read and write, in arrays that the cycle owns; others (a channel, a
/// timer) are single objects. An event owns nothing, is never moved, and is used only by the loop's
/// thread. Destroying an event that is linked fails an assert.
///
/// nginx: ngx_event_t
struct Event {
    Event() = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void* data = nullptr;  // usually the connection

    unsigned write : 1 = 0;
    unsigned accept : 1 = 0;           // belongs to a listener
    unsigned instance : 1 = 0;         // flipped for each connection of a slot: marks stale events
    unsigned active : 1 = 0;           // registered with the poller
    unsigned disabled : 1 = 0;         // registered with the poller, but disabled
    unsigned ready : 1 = 0;            // a call would not block, as far as is known
    unsigned oneshot : 1 = 0;          // set by the poller: it removes it after one report
    unsigned complete : 1 = 0;         // an asynchronous operation is done
    unsigned eof : 1 = 0;              // a read has returned 0
    unsigned error : 1 = 0;            // a call has failed
    unsigned timedout : 1 = 0;         // its timer has expired; the handler clears it
    unsigned delayed : 1 = 0;          // delayed by a rate limit
    unsigned deferred_accept : 1 = 0;  // its connections arrive with data
    unsigned pending_eof : 1 = 0;      // the poller has seen the peer's end of data
    unsigned closed : 1 = 0;
    unsigned channel : 1 = 0;     // belongs to the channel to the master
    unsigned resolver : 1 = 0;    // belongs to a resolver
    unsigned cancelable : 1 = 0;  // its timer does not keep a worker from exiting

    /// For a listener: whether to accept several connections. Otherwise the number of bytes that
    /// can be read, -1 if unknown.
    int available = 0;

    EventHandler handler = nullptr;

    std::size_t index = 0;  // in the poller's table

    Log* log = nullptr;

    Msec timer_key = 0;  // expiry time, in current_msec's ms
    boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>> timer{};
    boost::intrusive::list_member_hook<> queue{};

    bool timer_set() const noexcept { return timer.is_linked(); }
    bool posted() const noexcept { return queue.is_linked(); }
};

static_assert(sizeof(Event) <= 96, "no larger than nginx's");

/// An asynchronous read of a file. The poller sets `res` and posts `event`, whose handler calls
/// `handler` with it. The owner keeps it in place until then. Only the loop's thread uses it.
///
/// nginx: ngx_event_aio_t
struct EventAio {
    void* data = nullptr;  // for the owner
    EventHandler handler = nullptr;
    File* file = nullptr;

    int fd = invalid_file;

    std::int64_t res = 0;  // the number of bytes, or a negative errno

    iocb aiocb{};
    Event event{};
};

/// Selects one of the two events of a connection.
///
/// nginx: NGX_READ_EVENT, NGX_WRITE_EVENT
enum class EventType : unsigned { read, write };

inline constexpr EventType read_event = EventType::read;
inline constexpr EventType write_event = EventType::write;

/// Flags of add and del. clear_event and exclusive_event have epoll's values.
inline constexpr unsigned level_event = 0;
inline constexpr unsigned close_event = 1;  // the descriptor is closed next
inline constexpr unsigned disable_event = 2;
inline constexpr unsigned flush_event = 4;
inline constexpr unsigned lowat_event = 0;
inline constexpr unsigned exclusive_event = 1U << 28;
inline constexpr unsigned oneshot_event = 0x70000000;
inline constexpr unsigned clear_event = 1U << 31;

/// Properties of a poller. event_flags has those of the poller in use.
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

/// Allows a directive in the events block.
inline constexpr std::uint32_t event_conf = 0x02000000;

/// Flags of process_events.
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
    Rc (*add)(Event& ev, EventType event, unsigned flags) noexcept;
    /// Removes it and clears `active`. With close_event a poller may leave the removal to close().
    Rc (*del)(Event& ev, EventType event, unsigned flags) noexcept;

    Rc (*enable)(Event& ev, EventType event, unsigned flags) noexcept;
    Rc (*disable)(Event& ev, EventType event, unsigned flags) noexcept;

    /// Adds or removes both events of a connection in one call, edge-triggered.
    Rc (*add_conn)(Connection& c) noexcept;
    Rc (*del_conn)(Connection& c, unsigned flags) noexcept;

    /// Makes the loop's thread call `handler` in its next turn. May be called from any thread.
    Rc (*notify)(EventHandler handler) noexcept;

    /// Waits up to `timer` ms (timer_infinite: without limit) and calls the handlers of the events
    /// that are ready, or posts them if `flags` has post_events. Updates the time if `flags` has
    /// update_time or the timer alarm has occurred.
    Rc (*process_events)(Cycle& cycle, Msec timer, unsigned flags) noexcept;

    /// Initializes the poller in this process and sets event_actions, event_flags and io. A reload
    /// without a master calls it again: events that are being watched stay so.
    Rc (*init)(Cycle& cycle, Msec timer);
    /// Releases everything that init has allocated.
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

extern Module events_module;
extern Module event_core_module;

/// nginx: ngx_event_conf_t
struct EventConf {
    static constexpr Module* module = &event_core_module;

    std::optional<std::int64_t> connections{};
    std::optional<std::size_t> use{};  // the ctx_index of the event module
    std::string_view use_file{};       // where the file says so; empty for the default
    std::size_t use_line = 0;
    std::optional<bool> multi_accept{};
    std::optional<bool> accept_mutex{};
    std::optional<Msec> accept_mutex_delay{};
    std::string_view name{};
    std::vector<Cidr> debug_connection{};
};

/// Returns a module's configuration in the events block; `T::module` is the module.
///
/// nginx: ngx_event_get_conf()
template <typename T>
T* event_get_conf(void* const* conf_ctx) noexcept
{
    const auto* block = static_cast<const BlockCtx*>(conf_ctx[events_module.index]);
    return static_cast<T*>(block->conf[0][T::module->ctx_index]);
}

/// Returns the event module that a configuration has chosen. Valid once its events block was read.
const EventModule& event_method(const Cycle& cycle) noexcept;

/// The functions and the properties of the poller in use.
extern EventActions event_actions;
extern unsigned event_flags;

/// Whether a test has shown that epoll reports EPOLLRDHUP.
extern bool use_epoll_rdhup;

/// Set by SIGALRM under timer_resolution: the time must be updated.
extern volatile std::sig_atomic_t event_timer_alarm;

/// The counters that all workers share.
extern Atomic* connection_counter;
extern Atomic* stat_accepted;
extern Atomic* stat_handled;
extern Atomic* stat_requests;
extern Atomic* stat_active;
extern Atomic* stat_reading;
extern Atomic* stat_writing;
extern Atomic* stat_waiting;

/// The accept mutex and this worker's part in it.
extern Atomic* accept_mutex_ptr;
extern Shmtx accept_mutex;
extern bool use_accept_mutex;
extern bool accept_events;
extern bool accept_mutex_held;
extern Msec accept_mutex_delay;
extern MsecInt accept_disabled;
extern bool use_exclusive_accept;

/// Functions that a module wants called before and after the wait, in each turn of the loop, on the
/// loop's thread; either may be null. The module owns the hook and must not move it from
/// add_turn_hook(), in init_process, until del_turn_hook(), in exit_process.
///
/// Differs from nginx: in nginx a module puts its own function into the table of actions.
struct TurnHook {
    TurnHook() = default;
    TurnHook(const TurnHook&) = delete;
    TurnHook& operator=(const TurnHook&) = delete;

    /// Called before the wait. Returns the maximum time to wait, in ms: `timer` or less; 0 for no
    /// wait.
    Msec (*before)(TurnHook& hook, Msec timer) noexcept = nullptr;

    /// Called after the wait, when the handlers have run or are posted, and before posted events
    /// run.
    void (*after)(TurnHook& hook) noexcept = nullptr;

    void* data = nullptr;  // for the owner

    /// A hook that is destroyed removes itself: a worker that cannot start does not call
    /// exit_process.
    boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>
        queue{};
};

/// Adds the hook behind those added earlier. While it is being called a hook may remove itself, but
/// no other hook.
void add_turn_hook(TurnHook& hook) noexcept;

/// Removes the hook; does nothing if it was not added.
void del_turn_hook(TurnHook& hook) noexcept;

/// One turn of a worker's loop:
///
///  1. how long to wait: until the next timer; for ever under timer_resolution
///  2. the accept mutex: try for it, unless this worker is nearly full. With it, events are
///     posted; without it, wait no longer than accept_mutex_delay
///  3. move the events posted for this turn in the last one; then do not wait at all
///  4. wait, and dispatch or post what is ready; the hooks of modules before and after that
///  5. run posted accept events
///  6. release the accept mutex
///  7. run expired timers
///  8. run posted events
///
/// nginx: ngx_process_events_and_timers()
void process_events_and_timers(Cycle& cycle) noexcept;

/// nginx: ngx_send_lowat()
Rc send_lowat(Connection& c, std::size_t lowat) noexcept;

/// Whether the event belongs to a connection that shares the descriptor of a datagram listener. The
/// poller watches that descriptor for the listener, so it must not be called for the connection.
bool event_shared(const Event& ev) noexcept;

/// Posts the write event of such a connection after a short delay.
///
/// Differs from nginx: in nginx the client's connection replaces the listener in the poller.
void udp_wait_to_write(Event& wev) noexcept;

/// Makes the poller watch a read event that is not ready. Makes a level-triggered poller stop
/// watching an event that is ready or is about to be closed (close_event in `flags`). A failure is
/// logged.
///
/// nginx: ngx_handle_read_event()
inline Rc handle_read_event(Event& rev, unsigned flags) noexcept
{
    if ((event_flags & use_clear_event) != 0) {
        if (!rev.active && !rev.ready) {
            return event_actions.add(rev, read_event, clear_event);
        }
        return Rc::ok;
    }

    if ((event_flags & use_level_event) != 0) {
        if (!rev.active && !rev.ready) {
            return event_actions.add(rev, read_event, level_event);
        }
        if (rev.active && (rev.ready || (flags & close_event) != 0) && !event_shared(rev)) {
            return event_actions.del(rev, read_event, level_event | flags);
        }
    }
    return Rc::ok;
}

/// Like handle_read_event(), for a write event. `lowat`, unless 0, is the free space in bytes that
/// the send buffer must have before the event is reported.
///
/// nginx: ngx_handle_write_event()
inline Rc handle_write_event(Event& wev, std::size_t lowat) noexcept
{
    if (lowat != 0 && send_lowat(*static_cast<Connection*>(wev.data), lowat) == Rc::error) {
        return Rc::error;
    }

    if (!wev.active && !wev.ready && event_shared(wev)) {
        udp_wait_to_write(wev);
        return Rc::ok;
    }

    if ((event_flags & use_clear_event) != 0) {
        if (!wev.active && !wev.ready) {
            return event_actions.add(wev, write_event,
                                     clear_event | (lowat != 0 ? lowat_event : 0));
        }
        return Rc::ok;
    }

    if ((event_flags & use_level_event) != 0) {
        if (!wev.active && !wev.ready) {
            return event_actions.add(wev, write_event, level_event);
        }
        if (wev.active && wev.ready) {
            return event_actions.del(wev, write_event, level_event);
        }
    }
    return Rc::ok;
}

/// The accept handler of a listener: accepts one connection, or under multi_accept all that are
/// waiting.
///
/// nginx: ngx_event_accept()
void event_accept(Event& ev) noexcept;

/// Whether the error means that the system lacks descriptors or memory. The connection is then
/// still waiting, and the next accept() would fail in the same way.
///
/// Differs from nginx: in nginx only a lack of descriptors counts, and without memory the worker
/// spins.
bool is_shortage(Err err) noexcept;

/// Stops watching the listeners, because waiting connections would wake this worker for nothing.
/// Without the accept mutex, a timer of the listener's event `ev` watches them again; with it, the
/// next attempt to lock the mutex does.
///
/// Differs from nginx: the timer is set even if a listener cannot be removed from the poller. In
/// nginx the listeners that were removed are then never watched again.
void stop_accepting(Event& ev) noexcept;

/// Watches the listeners again when the timer of stop_accepting() has expired. If one cannot be
/// watched, logs this, sets the timer again and returns error.
///
/// Differs from nginx: in nginx that listener is never watched again.
Rc resume_accepting(Event& ev) noexcept;

/// Tries to lock the accept mutex. Watches the listeners if that succeeds; stops watching them if
/// this worker held the mutex before and does not get it. error, which has been logged: the poller
/// failed.
///
/// nginx: ngx_trylock_accept_mutex()
Rc trylock_accept_mutex(Cycle& cycle) noexcept;

/// Adds every listener that is not being watched to the poller.
///
/// nginx: ngx_enable_accept_events()
Rc enable_accept_events(Cycle& cycle) noexcept;

/// The log handler of a listener: " while accepting new connection on ...".
///
/// nginx: ngx_accept_log_error()
char* accept_log_error(Log& log, char* buf, std::size_t len);

/// Raises the log level of a connection whose peer is in a debug_connection network.
///
/// nginx: ngx_debug_accepted_connection()
void debug_accepted_connection(const EventConf& ecf, Connection& c) noexcept;

/// Returns the descriptor of an event, for debug lines. Pure, so that the compiler removes the call
/// where debug lines are off.
///
/// nginx: ngx_event_ident()
[[gnu::pure]] int event_ident(const Event& ev) noexcept;

}  // namespace ngx
