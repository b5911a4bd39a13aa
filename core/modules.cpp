#include "core/module.hpp"

/// The table of modules, in the order in which they are called. auto_modules.hpp holds one line
/// a module, NGX_MODULE(core_module), as the build's options chose them: core modules first,
/// events and its pollers (the default poller first), then stream and what is in it.
namespace ngx {

#define NGX_MODULE(name) extern Module name;
#include "auto_modules.hpp"
#undef NGX_MODULE

constinit Module* const modules[] = {
#define NGX_MODULE(name) &(name),
#include "auto_modules.hpp"
#undef NGX_MODULE
    nullptr,
};

constinit const std::string_view module_names[] = {
#define NGX_MODULE(name) "ngx_" #name,
#include "auto_modules.hpp"
#undef NGX_MODULE
    {},
};

}  // namespace ngx
