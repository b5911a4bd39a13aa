#include "core/exception.hpp"

#include <cerrno>
#include <exception>
#include <new>

#include "core/log.hpp"

namespace ngx {

const char* exception_text() noexcept
{
    // The exception and its text live until the caller's catch block ends.
    try {
        throw;
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "unknown exception";
    }
}

Err exception_errno() noexcept
{
    try {
        throw;
    } catch (const std::bad_alloc&) {
        return ENOMEM;
    } catch (...) {
        return 0;
    }
}

void log_exception(Log* log) noexcept
{
    log_error(log_emerg, log, exception_errno(), "{}", exception_text());
}

}  // namespace ngx
