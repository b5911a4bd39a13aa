#pragma once

#include <sys/types.h>

#include "core/core.hpp"
#include "event/event.hpp"

namespace ngx {

/// What the master tells a worker.
inline constexpr unsigned cmd_open_channel = 1;   // there is a new process: `fd` reaches it
inline constexpr unsigned cmd_close_channel = 2;  // a process is gone
inline constexpr unsigned cmd_quit = 3;
inline constexpr unsigned cmd_terminate = 4;
inline constexpr unsigned cmd_reopen = 5;

/// One message. The processes are told by their slots, which are the same in each of them.
///
/// nginx: ngx_channel_t
struct Channel {
    unsigned command = 0;
    pid_t pid = -1;
    int slot = -1;
    int fd = -1;  // passed to the other process, which gets a number of its own for it
};

/// Sends a message whole or not at all: `again` when the socket is full, `error` after a log line.
///
/// nginx: ngx_write_channel()
Rc write_channel(int s, const Channel& ch, Log* log) noexcept;

/// Receives a message: `again` when there is none; `error` when the other end is closed or, after
/// a log line, when something failed.
///
/// nginx: ngx_read_channel()
Rc read_channel(int s, Channel& ch, Log* log) noexcept;

/// Watches a descriptor by which other processes, or this one's signal handlers, speak to the loop.
/// It takes a connection; the events block counts on one.
///
/// nginx: ngx_add_channel_event()
Rc add_channel_event(Cycle& cycle, int fd, EventType event, EventHandler handler);

/// Closes both ends.
///
/// nginx: ngx_close_channel()
void close_channel(int (&fd)[2], Log* log) noexcept;

}  // namespace ngx
