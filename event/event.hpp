#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

#include <linux/aio_abi.h>

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include "core/core.hpp"
#include "event/event_actions.hpp"

namespace ngx {

/// The index of an event that is not in the table of its poller.
///
/// nginx: NGX_INVALID_INDEX
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

/// Returns the connection of an event whose `data` is one.
inline Connection& connection_of(const Event& ev) noexcept
{
    assert(ev.data);
    return *static_cast<Connection*>(ev.data);
}

/// Tells whether the calling thread runs the loop; true while no thread does. For asserts: most
/// functions of events, timers and connections may be called only there.
bool in_loop_thread() noexcept;

/// Sets SO_SNDLOWAT once for a connection; does nothing if `lowat` is 0. Returns error after
/// logging.
///
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
    assert(in_loop_thread());
    assert(rev.data && !rev.write);
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
    assert(in_loop_thread());
    assert(wev.data && wev.write);
    if (lowat != 0 && send_lowat(connection_of(wev), lowat) == Rc::error) {
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

/// Returns the descriptor of an event, for debug lines. Pure, so that the compiler removes the call
/// where debug lines are off.
///
/// nginx: ngx_event_ident()
[[gnu::pure]] int event_ident(const Event& ev) noexcept;

}  // namespace ngx
