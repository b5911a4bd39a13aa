#pragma once

#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// Makes room for titles: Linux shows what stands where the arguments of the program were, up to
/// the end of the environment, which therefore moves elsewhere. The arguments are gone with the
/// first title, so whoever needs them later has copied them. `argv` is main()'s.
///
/// nginx: ngx_init_setproctitle()
void init_setproctitle(char** argv);

/// Shows "ngxx: `title`" in the list of processes, cut to the room that there is.
///
/// nginx: ngx_setproctitle()
void setproctitle(std::string_view title, Log* log) noexcept;

}  // namespace ngx
