#pragma once

#include <cstddef>
#include <sched.h>
#include <vector>

#include "core/core.hpp"

namespace ngx {

struct CoreConf;

/// The environment at the start; ends in a null pointer.
extern char** os_environ;

/// Returns the environment entries that the `env` directives request.
std::vector<char*> make_environment(const CoreConf& ccf);

/// Sets the environment of this process to what the `env` directives request: TZ and the named
/// variables. The cycle owns it.
///
/// nginx: ngx_set_environment()
void set_environment(Cycle& cycle);

/// Returns the processors of worker `n`, or null if it may use any. With `auto` the workers get
/// single processors of the mask in turn; with masks, the last one is for all remaining workers.
/// The next call overwrites the result of `auto`.
///
/// nginx: ngx_get_cpu_affinity()
const cpu_set_t* get_cpu_affinity(const Cycle& cycle, std::size_t n);

}  // namespace ngx
