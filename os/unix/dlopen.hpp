#pragma once

#include <string>

namespace ngx {

/// Loads a shared object, or counts one more user of it. Null if that fails: see dlerror().
///
/// A file that has replaced another of its name is loaded beside that one, as long as somebody
/// uses the old. dlopen(3) would go by the name and hand out the old again.
///
/// Differs from nginx: its symbols are its own, not every other module's, so that an old and a
/// new one do not meet. And nginx goes on with the old file until it is started anew.
///
/// nginx: ngx_dlopen()
void* dlopen(const std::string& path);

/// What dlopen() has given is used once less. Not 0 if that fails.
///
/// nginx: ngx_dlclose()
int dlclose(void* handle) noexcept;

/// What went wrong last.
///
/// nginx: ngx_dlerror()
const char* dlerror() noexcept;

}  // namespace ngx
