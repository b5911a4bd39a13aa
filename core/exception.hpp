#pragma once

#include "core/core.hpp"

/// \file
/// The bounds of an exception: what can be undone is undone there, and the process goes on.
namespace ngx {

/// What the exception that is being handled says; of memory that ran out nginx's text, with the
/// size: "malloc(4096) failed". Only within a catch.
const char* exception_text() noexcept;

/// ENOMEM if it is of memory that ran out, else 0. Only within a catch.
Err exception_errno() noexcept;

/// Logs the exception that is being handled at level emerg. Only within a catch.
void log_exception(Log* log) noexcept;

/// Calls `function`, which returns an Rc. What it throws becomes a log line and Rc::error.
template <typename Function>
Rc no_throw(Log* log, Function function) noexcept
{
    try {
        return function();
    } catch (...) {
        log_exception(log);
        return Rc::error;
    }
}

/// The handler for std::set_terminate(): names in the log what ends the process, then aborts.
[[noreturn]] void last_words() noexcept;

}  // namespace ngx
