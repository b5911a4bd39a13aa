#pragma once

/// \file
/// The version of the interface for modules and for programs that contain the library: the
/// installed headers, the order of a module's hooks, and the promises of event modules.
///
/// The version increases by one with each change after which a correct source may not compile, or
/// may behave differently: a name, a parameter or a field that is renamed or removed, a hook that
/// is called at another moment, a new promise. An addition does not change it: CHANGELOG.md names
/// the version of the server that has the addition.
///
/// A source that is written for one version of the API compiles with all servers of that version. A
/// loadable file belongs to one server: it has to be compiled again, from the same source, for each
/// version of the server and with the options of its build (module_signature.hpp). load_module
/// checks both.
///
///     static_assert(ngx::module_api_version == 1, "written for another version of the API");
///
/// A source for several versions distinguishes them by the macro, in `#if`.

#define NGX_MODULE_API_VERSION 1

namespace ngx {

inline constexpr unsigned module_api_version = NGX_MODULE_API_VERSION;

}  // namespace ngx
