#pragma once

/// \file
/// The version of what modules, and programs that embed the library, are written against: the
/// installed headers, the order of a module's hooks, and the promises of event modules.
///
/// It is raised by one with each change after which a source that was right may not compile, or may
/// do something else: a name, a parameter or a field that is renamed or removed, a hook that comes
/// at another moment, a new promise. What is only added does not raise it; from which version of
/// the server it is there, the change log says.
///
/// A source for one version of the API is for all servers of that version. A file of modules is for
/// one server: it is built again, from the same source, for each version of the server, and as the
/// server was built (module_signature.hpp). load_module checks the one and the other.
///
///     static_assert(ngx::module_api_version == 1, "written for another version of the API");
///
/// A source for several versions tells them apart by the macro, in `#if`.

#define NGX_MODULE_API_VERSION 1

namespace ngx {

inline constexpr unsigned module_api_version = NGX_MODULE_API_VERSION;

}  // namespace ngx
