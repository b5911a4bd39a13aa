#pragma once

#include <string_view>

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

/// Sends assignments such as READY=1, one a line. A failure is logged and has no consequence.
void systemd_notify(std::string_view text, Log* log);

/// The server serves: at its start, and again after each reload.
void systemd_notify_ready(Log* log);

/// A reload begins.
void systemd_notify_reloading(Log* log);

}  // namespace ngx
