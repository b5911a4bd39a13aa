#pragma once

#include "core/core.hpp"

namespace ngx {

/// Goes on in a child with a session of its own, with /dev/null for standard input and output.
/// The first process waits until the child says that it serves; it then ends with status 0, or, if
/// the child ends before that, with 1.
///
/// Differs from nginx: there the first process ends as soon as it has forked, so that whoever
/// started it finds no pid file yet, and never learns that the daemon could not go on.
///
/// nginx: ngx_daemon()
Rc daemon(Log* log);

/// Lets the first process end, if one waits.
void daemon_ready() noexcept;

}  // namespace ngx
