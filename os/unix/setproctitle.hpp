#pragma once

#include <string_view>

#include "core/core.hpp"

namespace ngx {

/// Prepares the space for titles. Linux shows the memory of the program's arguments, up to the end
/// of the environment, which is therefore moved. The first title overwrites the arguments, so copy
/// them before if they are needed later. `argv` is main()'s.
///
/// nginx: ngx_init_setproctitle()
void init_setproctitle(char** argv);

/// Shows "ngxx: `title`" in the list of processes, cut to the available space.
///
/// nginx: ngx_setproctitle()
void setproctitle(std::string_view title, Log* log) noexcept;

}  // namespace ngx
