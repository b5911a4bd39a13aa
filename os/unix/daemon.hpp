#pragma once

#include "core/core.hpp"

namespace ngx {

/// Continues in a child with its own session, and with /dev/null as standard input and output. The
/// first process waits until the child calls daemon_ready(), and then exits with status 0; it exits
/// with 1 if the child exits before that. Returns error after logging.
///
/// Differs from nginx: nginx's first process exits as soon as it has forked, so that its caller may
/// not find a pid file yet, and is not notified if the daemon cannot continue.
///
/// nginx: ngx_daemon()
Rc daemon(Log* log);

/// Notifies the first process, if one is waiting.
void daemon_ready() noexcept;

}  // namespace ngx
