#include "core/module.hpp"

/// The table of modules, in the order in which they are called. The build writes auto_modules.hpp,
/// with one line for each chosen module, NGX_MODULE(core_module): core modules first, then events
/// and its pollers (the default poller first), then stream and its modules.
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
