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

/// One direction of a connection: what is known of its readiness, who is to be called, and where
/// it hangs. Each connection has two, read and write, in arrays beside the connections; others
/// (a channel, a timer) are single. Never moved; destroying one that is linked asserts.
///
/// nginx: ngx_event_t
struct Event {
    Event() = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void* data = nullptr;  // usually the connection

    unsigned write : 1 = 0;
    unsigned accept : 1 = 0;           // of a listener
    unsigned instance : 1 = 0;         // flipped for each connection of a slot: tells stale events
    unsigned active : 1 = 0;           // the poller has it
    unsigned disabled : 1 = 0;         // the poller has it, switched off
    unsigned ready : 1 = 0;            // a call would not block, as far as is known
    unsigned oneshot : 1 = 0;          // the poller forgets it once it was reported
    unsigned complete : 1 = 0;         // an asynchronous operation is done
    unsigned eof : 1 = 0;              // a read has returned 0
    unsigned error : 1 = 0;            // a call has failed
    unsigned timedout : 1 = 0;         // its timer has expired; the handler clears it
    unsigned delayed : 1 = 0;          // held back on purpose, by a rate limit
    unsigned deferred_accept : 1 = 0;  // its connections come with data
    unsigned pending_eof : 1 = 0;      // the poller has seen the peer's end of data
    unsigned closed : 1 = 0;
    unsigned channel : 1 = 0;     // of the channel to the master
    unsigned resolver : 1 = 0;    // of a resolver
    unsigned cancelable : 1 = 0;  // its timer does not keep a worker from exiting

    /// A listener: whether to accept many. Otherwise the bytes to read, -1 if not known.
    int available = 0;

    EventHandler handler = nullptr;

    std::size_t index = 0;  // in the poller's table

    Log* log = nullptr;

    Msec timer_key = 0;  // when the timer expires, by current_msec
    boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>> timer{};
    boost::intrusive::list_member_hook<> queue{};

    bool timer_set() const noexcept { return timer.is_linked(); }
    bool posted() const noexcept { return queue.is_linked(); }
};

static_assert(sizeof(Event) <= 96, "no larger than nginx's");

/// An asynchronous read of a file. The poller fills in `res` and posts `event`, whose handler calls
/// `handler` with it.
///
/// nginx: ngx_event_aio_t
struct EventAio {
    void* data = nullptr;  // the owner's
    EventHandler handler = nullptr;
    File* file = nullptr;

    int fd = invalid_file;

    std::int64_t res = 0;  // the number of bytes, or a negative errno

    iocb aiocb{};
    Event event{};
};

/// Which of a connection's two events an action is about.
///
/// nginx: NGX_READ_EVENT, NGX_WRITE_EVENT
enum class EventType : unsigned { read, write };

inline constexpr EventType read_event = EventType::read;
inline constexpr EventType write_event = EventType::write;

/// Flags of add and del. On Linux clear and exclusive have epoll's values.
inline constexpr unsigned level_event = 0;
inline constexpr unsigned close_event = 1;  // the descriptor is closed next
inline constexpr unsigned disable_event = 2;
inline constexpr unsigned flush_event = 4;
inline constexpr unsigned lowat_event = 0;
inline constexpr unsigned exclusive_event = 1U << 28;
inline constexpr unsigned oneshot_event = 0x70000000;
inline constexpr unsigned clear_event = 1U << 31;

/// What a poller is like; in event_flags while it is in use.
inline constexpr unsigned use_level_event = 0x00000001;    // reports a state
inline constexpr unsigned use_oneshot_event = 0x00000002;  // forgets what it reported
inline constexpr unsigned use_clear_event = 0x00000004;    // reports changes
inline constexpr unsigned use_kqueue_event = 0x00000008;
inline constexpr unsigned use_lowat_event = 0x00000010;
inline constexpr unsigned use_greedy_event = 0x00000020;  // wants I/O until EAGAIN
inline constexpr unsigned use_epoll_event = 0x00000040;
inline constexpr unsigned use_fd_event = 0x00000400;     // needs cycle->files
inline constexpr unsigned use_timer_event = 0x00000800;  // wakes up for timer_resolution itself
inline constexpr unsigned use_eventport_event = 0x00001000;
inline constexpr unsigned use_vnode_event = 0x00002000;

/// Where a command of an event module may stand.
inline constexpr std::uint32_t event_conf = 0x02000000;

/// Flags of process_events.
inline constexpr unsigned update_time = 1;
inline constexpr unsigned post_events = 2;

/// What a poller can do, in nginx's order. Those it cannot are null.
///
/// nginx: ngx_event_actions_t
struct EventActions {
    /// Watches `ev` from now on; sets `active`. A failure is logged.
    Rc (*add)(Event& ev, EventType event, unsigned flags) noexcept;
    /// Stops that; clears `active`. With close_event a poller may leave it to the close.
    Rc (*del)(Event& ev, EventType event, unsigned flags) noexcept;

    Rc (*enable)(Event& ev, EventType event, unsigned flags) noexcept;
    Rc (*disable)(Event& ev, EventType event, unsigned flags) noexcept;

    /// Both events of a connection in one call, as changes.
    Rc (*add_conn)(Connection& c) noexcept;
    Rc (*del_conn)(Connection& c, unsigned flags) noexcept;

    /// Has `handler` called on the loop's thread, in its next turn. From any thread.
    Rc (*notify)(EventHandler handler) noexcept;

    /// Waits up to `timer` ms (timer_infinite: for ever) and calls the handlers of what is ready,
    /// or posts them if `flags` has post_events. Updates the time if `flags` has update_time or
    /// the alarm has rung.
    Rc (*process_events)(Cycle& cycle, Msec timer, unsigned flags) noexcept;

    /// Makes the poller ready in this process and sets event_actions, event_flags and io.
    /// Called again by a reload without a master: events that are watched stay so.
    Rc (*init)(Cycle& cycle, Msec timer);
    /// Gives everything back.
    void (*done)(Cycle& cycle);
};

static_assert(sizeof(EventActions) == 10 * sizeof(void*), "ten actions, as nginx");

/// The context of an event module. The conf functions are as a core module's, within the block.
///
/// nginx: ngx_event_module_t
struct EventModule {
    std::string_view name;  // for `use`
    void* (*create_conf)(Cycle& cycle) = nullptr;
    const char* (*init_conf)(Cycle& cycle, void* conf) = nullptr;
    EventActions actions{};
    bool file_aio = false;  // completes asynchronous reads of files

    /// What the module cannot do without. A configuration that asks for something else is refused.
    ///
    /// Differs from nginx: nginx has no such declarations. A module that needs them can only fail
    /// in each worker, after the start. They cost two bytes and a check of each configuration.
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
    std::optional<bool> multi_accept{};
    std::optional<bool> accept_mutex{};
    std::optional<Msec> accept_mutex_delay{};
    std::string_view name{};
    std::vector<Cidr> debug_connection{};
};

/// A module's configuration in the events block. T names its module in `T::module`.
///
/// nginx: ngx_event_get_conf()
template <typename T>
T* event_get_conf(void* const* conf_ctx) noexcept
{
    const auto* block = static_cast<const BlockCtx*>(conf_ctx[events_module.index]);
    return static_cast<T*>(block->conf[0][T::module->ctx_index]);
}

/// The event module that a configuration has chosen, once its events block was read.
const EventModule& event_method(const Cycle& cycle) noexcept;

/// The poller in use.
extern EventActions event_actions;
extern unsigned event_flags;

/// Whether epoll has been seen to report the peer's end of data.
extern bool use_epoll_rdhup;

/// Set by SIGALRM under timer_resolution: the time is due.
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

/// Work of a module's that has to be done in each turn of the loop, around the wait. Its owner
/// keeps it where it is from add_turn_hook(), in init_process, until del_turn_hook(), in
/// exit_process. Either function may be null.
///
/// Differs from nginx: there a module puts its own function into the table of actions.
struct TurnHook {
    TurnHook() = default;
    TurnHook(const TurnHook&) = delete;
    TurnHook& operator=(const TurnHook&) = delete;

    /// Before the wait. Answers how long it may take at most, in ms: `timer`, or less; 0 if it is
    /// not to wait at all.
    Msec (*before)(TurnHook& hook, Msec timer) noexcept = nullptr;

    /// After it: the handlers have run, or are posted. Posted events come next.
    void (*after)(TurnHook& hook) noexcept = nullptr;

    void* data = nullptr;  // the owner's

    /// One that is destroyed takes itself out: a worker that cannot start calls no exit_process.
    boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>
        queue{};
};

/// Has the hook called in each turn, after those that were there before. It may take itself out
/// while it is called, but no other.
void add_turn_hook(TurnHook& hook) noexcept;

/// Nothing happens if it was not added.
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

/// Whether the event is of a connection that shares its descriptor: the poller knows that as the
/// listener's, and must not be asked about one of the listener's clients.
bool event_shared(const Event& ev) noexcept;

/// Has the write handler of such a connection called again in a moment.
///
/// Differs from nginx: there the client's connection takes the listener's place in the poller.
void udp_wait_to_write(Event& wev) noexcept;

/// Sees to it that the poller watches a read event that is not ready, and that a level poller
/// stops watching one that is, or that is about to be closed (close_event in `flags`).
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

/// As handle_read_event(). `lowat`, if not 0, is the room in the send buffer worth waking for.
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

/// The accept handler of a listener: takes one connection, or all that wait under multi_accept.
///
/// nginx: ngx_event_accept()
void event_accept(Event& ev) noexcept;

/// Whether the system lacks descriptors or memory, so that the next connection would fail like this
/// one, which still waits.
///
/// Differs from nginx: there only descriptors count, and without memory the worker spins.
bool is_shortage(Err err) noexcept;

/// Stops watching the listeners, for what waits there would wake this worker for nothing. Without
/// the mutex, a timer of the listener's event `ev` watches them again; with it, the next try for
/// the mutex does.
///
/// Differs from nginx: the timer is set, too, if a listener cannot be taken out of the poller.
/// There those that could be are never watched again.
void stop_accepting(Event& ev) noexcept;

/// The timer of stop_accepting() is over: watches the listeners again. error if one cannot be,
/// which has been logged; then the timer is set anew.
///
/// Differs from nginx: there that listener is never watched again.
Rc resume_accepting(Event& ev) noexcept;

/// Takes the accept mutex if it is free and arms the listeners; disarms them when it is lost.
///
/// nginx: ngx_trylock_accept_mutex()
Rc trylock_accept_mutex(Cycle& cycle) noexcept;

/// Watches every listener that is not watched.
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

/// For debug lines: the descriptor behind an event.
///
/// nginx: ngx_event_ident()
[[gnu::pure]] int event_ident(const Event& ev) noexcept;

}  // namespace ngx
