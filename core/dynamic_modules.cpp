#include "core/module_signature.hpp"

/// \file
/// The table of a file that load_module loads, as modules.cpp is the server's. Each such file
/// compiles it, with its modules in the macro NGX_MODULES:
///
///     -DNGX_MODULES='NGX_MODULE(one_module) NGX_MODULE(another_module)'
///
/// and, if a module is not to stand last in the server's table, with names in NGX_MODULE_ORDER:
/// its own, then those that come behind it.
///
///     -DNGX_MODULE_ORDER='"ngx_one_module", "ngx_stream_return_module",'

#ifndef NGX_MODULE_ORDER
# define NGX_MODULE_ORDER
#endif

namespace ngx {

#define NGX_MODULE(name) extern Module name;
NGX_MODULES
#undef NGX_MODULE

constinit const ModuleSignature module_signature = make_module_signature();

}  // namespace ngx

extern "C" {

extern ngx::Module* const ngx_modules[];
extern const char* const ngx_module_names[];
extern const char* const ngx_module_order[];

#define NGX_MODULE(name) &ngx::name,
constinit ngx::Module* const ngx_modules[] = {NGX_MODULES nullptr};
#undef NGX_MODULE

#define NGX_MODULE(name) "ngx_" #name,
constinit const char* const ngx_module_names[] = {NGX_MODULES nullptr};
#undef NGX_MODULE

constinit const char* const ngx_module_order[] = {NGX_MODULE_ORDER nullptr};
}
