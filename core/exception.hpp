#pragma once

#include "core/core.hpp"

/// \file
/// Functions for the places where exceptions end: the caller undoes what can be undone, and the
/// process goes on.
namespace ngx {

/// Returns the text of the current exception; if memory ran out it is nginx's, with the size:
/// "malloc(4096) failed". Call it only within a catch block; the text lives as long as the
/// exception.
const char* exception_text() noexcept;

/// Returns ENOMEM if the current exception is std::bad_alloc, else 0. Call it only within a catch
/// block.
Err exception_errno() noexcept;

/// Logs the current exception at level emerg. Call it only within a catch block.
void log_exception(Log* log) noexcept;

/// Calls `function`, which returns an Rc. Logs an exception that it throws, and returns Rc::error.
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

}  // namespace ngx
