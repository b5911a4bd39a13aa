#pragma once

#include "core/core.hpp"

namespace ngx {

/// nginx: ngx_errlog_module
extern Module errlog_module;

/// Handles an `error_log` directive of any level: adds a log to the chain at `head`, which may be
/// null. Returns as directives do.
///
/// nginx: ngx_log_set_log()
const char* log_set_log(Conf& cf, Log*& head);

}  // namespace ngx
