#pragma once

#include <string_view>
#include <sys/types.h>

#include "core/core.hpp"

/// The messages between systemd and a server, sent to a socket and passed in environment variables:
/// see sd_notify(3) and sd_listen_fds(3). Without these variables the functions do nothing. nginx
/// has nothing like it.
namespace ngx {

/// The first descriptor that systemd passes on.
inline constexpr int systemd_first_fd = 3;

/// Stores the environment variable NOTIFY_SOCKET, because set_environment() removes it.
void systemd_init();

/// Returns how many listening sockets were passed on to this process, from systemd_first_fd on.
/// Removes the variables from the environment, as they are not for its children. Logs an invalid
/// number and returns 0.
int systemd_listen_fds(Log* log);

/// Returns "NOTIFY_SOCKET=...", for the environment of a new binary, or null.
const char* systemd_variable() noexcept;

/// Sends assignments such as READY=1, one per line, up to 64 bytes. Does not block: if the socket
/// is full, the message is stored for systemd_notify_unsent(), unless a later message replaces it.
/// Other failures are logged and ignored.
void systemd_notify(std::string_view text, Log* log) noexcept;

/// Tells whether a message is stored because the socket was full.
bool systemd_has_unsent() noexcept;

/// Tries to send the stored message.
void systemd_notify_unsent(Log* log) noexcept;

/// Sends the lines `what` and then the process id of the server.
void systemd_notify_pid(std::string_view what, pid_t main_pid, Log* log) noexcept;

/// Reports that the server serves, at its start and after each reload.
void systemd_notify_ready(Log* log) noexcept;

/// Reports that a reload begins.
void systemd_notify_reloading(Log* log) noexcept;

}  // namespace ngx
