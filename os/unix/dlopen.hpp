#pragma once

#include <string>

namespace ngx {

/// Loads a shared object, or counts another use of it. Returns null on failure: see dlerror().
/// Release the handle with dlclose().
///
/// If a file has replaced another one of the same name, it is loaded beside the old one, as long as
/// the old one is in use. dlopen(3) goes by the name and would return the old one.
///
/// Differs from nginx: the symbols of a file are not visible to other modules, so that an old and a
/// new file do not mix. And nginx continues with the old file until it is restarted.
///
/// nginx: ngx_dlopen()
void* dlopen(const std::string& path);

/// Counts one use less of a handle from dlopen(). Returns a value other than 0 on failure.
///
/// nginx: ngx_dlclose()
int dlclose(void* handle) noexcept;

/// Returns the message of the last failure.
///
/// nginx: ngx_dlerror()
const char* dlerror() noexcept;

}  // namespace ngx
