#pragma once

#include "core/core.hpp"
#include "core/shmtx.hpp"
#include "os/unix/atomic.hpp"

namespace ngx {

struct EventConf;

/// The accept mutex and this worker's part in it.
///
/// nginx: ngx_accept_mutex_ptr, ngx_accept_mutex, ngx_use_accept_mutex, ngx_accept_events,
/// ngx_accept_mutex_held, ngx_accept_mutex_delay, ngx_accept_disabled, ngx_use_exclusive_accept
extern Atomic* accept_mutex_ptr;
extern Shmtx accept_mutex;
extern bool use_accept_mutex;
extern bool accept_events;
extern bool accept_mutex_held;
extern Msec accept_mutex_delay;
extern MsecInt accept_disabled;
extern bool use_exclusive_accept;

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

/// Sets accept_disabled, which is above 0 if less than an eighth of the slots is free.
void update_accept_disabled() noexcept;

/// Gives an accepted connection its number and its start time, and counts it as handled.
void begin_connection(Connection& c) noexcept;

/// Sets the text of the client's address, which the connection's pool owns.
void set_addr_text(Connection& c);

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

}  // namespace ngx
