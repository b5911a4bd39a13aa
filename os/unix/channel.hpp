#pragma once

#include <sys/types.h>

#include "core/core.hpp"
#include "event/event.hpp"

namespace ngx {

/// The commands that the master sends to a worker.
///
/// nginx: NGX_CMD_OPEN_CHANNEL, NGX_CMD_CLOSE_CHANNEL, NGX_CMD_QUIT, NGX_CMD_TERMINATE,
/// NGX_CMD_REOPEN
inline constexpr unsigned cmd_open_channel = 1;   // a process was started; `fd` is its channel
inline constexpr unsigned cmd_close_channel = 2;  // a process has exited
inline constexpr unsigned cmd_quit = 3;
inline constexpr unsigned cmd_terminate = 4;
inline constexpr unsigned cmd_reopen = 5;

/// One message. `slot` identifies a process; it is the same number in every process.
///
/// nginx: ngx_channel_t
struct Channel {
    unsigned command = 0;
    pid_t pid = -1;
    int slot = -1;
    int fd = -1;  // the receiver gets its own descriptor
};

/// Sends a whole message. Returns ok, again if the socket is full, or error after logging.
///
/// nginx: ngx_write_channel()
Rc write_channel(int s, const Channel& ch, Log* log) noexcept;

/// Receives a message. Returns ok, again if there is none, or error if the other end is closed or,
/// after logging, if the call failed. The caller owns the received descriptor.
///
/// nginx: ngx_read_channel()
Rc read_channel(int s, Channel& ch, Log* log) noexcept;

/// Watches a descriptor by which other processes, or this one's signal handlers, notify the loop.
/// It acquires a connection, which the events block includes in its count. The connection does not
/// close the descriptor if the function fails. Returns error after logging.
///
/// nginx: ngx_add_channel_event()
Rc add_channel_event(Cycle& cycle, int fd, EventType event, EventHandler handler);

/// Closes both ends and sets them to -1. Failures are logged.
///
/// nginx: ngx_close_channel()
void close_channel(int (&fd)[2], Log* log) noexcept;

}  // namespace ngx
