#pragma once

#include <string_view>
#include <sys/types.h>

#include "core/core.hpp"

/// What systemd and a server have to tell each other, as plain messages to a socket and variables
/// of the environment: see sd_notify(3) and sd_listen_fds(3). Without these variables nothing here
/// does anything. nginx has none of it.
namespace ngx {

/// The first descriptor that is handed over.
inline constexpr int systemd_first_fd = 3;

/// Notes the variables of the environment, which does without most of them later.
void systemd_init();

/// How many listening sockets were handed over to this process, from systemd_first_fd on. The
/// variables that say so are removed: they are not for its children.
int systemd_listen_fds(Log* log);

/// NOTIFY_SOCKET=..., for the environment of a new binary, or null.
const char* systemd_variable() noexcept;

/// Sends assignments such as READY=1, one a line, at most 64 bytes. It does not wait: a message
/// that finds no room is kept for systemd_notify_unsent(), unless a later one makes it out of date.
/// Other failures are logged and have no consequence.
void systemd_notify(std::string_view text, Log* log) noexcept;

/// Whether a message has found no room.
bool systemd_has_unsent() noexcept;

/// Tries again to send it.
void systemd_notify_unsent(Log* log) noexcept;

/// Says which process is the server, behind the line `what`.
void systemd_notify_pid(std::string_view what, pid_t main_pid, Log* log) noexcept;

/// The server serves: at its start, and again after each reload.
void systemd_notify_ready(Log* log) noexcept;

/// A reload begins.
void systemd_notify_reloading(Log* log) noexcept;

}  // namespace ngx
