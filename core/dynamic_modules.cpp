#include "core/module_signature.hpp"

/// \file
/// The module table of a file that load_module loads; modules.cpp is the server's table. Each such
/// file compiles this one, with its modules in the macro NGX_MODULES:
///
///     -DNGX_MODULES='NGX_MODULE(one_module) NGX_MODULE(another_module)'
///
/// NGX_MODULE_ORDER is needed only if a module must not be the last one in the server's table. It
/// lists the name of the module, and then the names of the modules that follow it.
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
