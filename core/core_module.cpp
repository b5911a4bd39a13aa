#include "core/core_module.hpp"

#include <algorithm>
#include <cerrno>
#include <dlfcn.h>
#include <grp.h>
#include <optional>
#include <pwd.h>
#include <string>
#include <string_view>
#include <unistd.h>

#include "auto_build.hpp"
#include "core/conf_slot.hpp"
#include "core/cycle.hpp"
#include "core/log.hpp"
#include "core/module.hpp"
#include "core/module_signature.hpp"
#include "core/string.hpp"
#include "os/unix/cgroup.hpp"
#include "os/unix/dlopen.hpp"
#include "os/unix/os.hpp"

namespace ngx {

namespace {

/// nginx: ngx_core_module_create_conf()
void* core_module_create_conf(Cycle& cycle)
{
    return cycle.pool->create<CoreConf>();
}

/// Whether an entry of the environment, NAME=VALUE, has this name. A name of a configuration may
/// contain a zero byte, at which the entry would end.
bool has_name(const char* entry, std::string_view name) noexcept
{
    for (const char ch : name) {
        if (ch == '\0' || *entry++ != ch) {
            return false;
        }
    }
    return *entry == '=';
}

/// Returns the entry NAME=VALUE of the environment at the start, or null.
char* find_in_environ(std::string_view name) noexcept
{
    for (char** p = os_environ; p && *p; p++) {
        if (has_name(*p, name)) {
            return *p;
        }
    }
    return nullptr;
}

/// Sets the lock file. A reload cannot change it, as workers of both cycles lock it.
void init_lock_file(Cycle& cycle, std::string_view lock_file)
{
    cycle.lock_file = std::string(conf_full_name(cycle, lock_file, false)) + ".accept";

    const std::string& old = cycle.old_cycle->lock_file;
    if (!old.empty() && cycle.lock_file != old) {
        log_error(log_emerg, cycle.log, 0, "\"lock_file\" could not be changed, ignored");
        cycle.lock_file = old;
    }
}

/// Sets the user of the workers if root starts the server and the configuration does not set one.
Rc init_user(Cycle& cycle, CoreConf& ccf)
{
    if (ccf.user || ::geteuid() != 0 || !conf_looks_up) {
        return Rc::ok;
    }

    errno = 0;
    const passwd* pwd = ::getpwnam(default_user);
    if (!pwd) {
        conf_log_error(log_emerg, cycle.log, {}, errno, "getpwnam(\"{}\") failed", default_user);
        return Rc::error;
    }
    ccf.username = default_user;
    ccf.user = pwd->pw_uid;

    errno = 0;
    const group* grp = ::getgrnam(default_group);
    if (!grp) {
        conf_log_error(log_emerg, cycle.log, {}, errno, "getgrnam(\"{}\") failed", default_group);
        return Rc::error;
    }
    ccf.group = grp->gr_gid;
    return Rc::ok;
}

std::string_view nonempty_or(const std::optional<std::string_view>& value,
                             std::string_view fallback) noexcept
{
    return value && !value->empty() ? *value : fallback;
}

/// nginx: ngx_core_module_init_conf()
const char* core_module_init_conf(Cycle& cycle, void* conf)
{
    CoreConf& ccf = *static_cast<CoreConf*>(conf);

    conf_init_value(ccf.daemon, true);
    conf_init_value(ccf.master, true);
    conf_init_value(ccf.timer_resolution, Msec{0});
    conf_init_value(ccf.shutdown_timeout, Msec{0});
    conf_init_value(ccf.worker_processes, 1);
    conf_init_value(ccf.debug_points, DebugPoints::off);

    const std::size_t masks = ccf.cpu_affinity.size();
    if (!ccf.cpu_affinity_auto && masks > 1 &&
        masks != static_cast<std::size_t>(*ccf.worker_processes)) {
        log_error(log_warn, cycle.log, 0,
                  "the number of \"worker_processes\" is not equal to the number of "
                  "\"worker_cpu_affinity\" masks, using last mask for remaining worker processes");
    }

    ccf.pid = conf_full_name(cycle, nonempty_or(ccf.pid, default_pid_path), false);
    ccf.oldpid = std::string(*ccf.pid) + ".oldbin";

    if (init_user(cycle, ccf) != Rc::ok) {
        return conf_error;
    }
    init_lock_file(cycle, nonempty_or(ccf.lock_file, default_lock_path));
    ccf.environment = make_environment(ccf);
    ccf.environment.push_back(nullptr);
    return conf_ok;
}

/// nginx: ngx_set_user()
const char* set_user(Conf& cf, const Command&, void* conf)
{
    CoreConf& ccf = *static_cast<CoreConf*>(conf);
    if (ccf.user) {
        return "is duplicate";
    }
    if (!conf_looks_up) {
        ccf.username = cf.args[1];
        ccf.user = ::geteuid();
        return conf_ok;
    }
    if (::geteuid() != 0) {
        conf_log_error(log_warn, cf, 0,
                       "the \"user\" directive makes sense only if the master process runs with "
                       "super-user privileges, ignored");
        return conf_ok;
    }

    const char* const user = cf.args[1].data();
    errno = 0;
    const passwd* pwd = ::getpwnam(user);
    if (!pwd) {
        conf_log_error(log_emerg, cf, errno, "getpwnam(\"{}\") failed", user);
        return conf_error;
    }
    ccf.username = cf.args[1];
    ccf.user = pwd->pw_uid;

    const char* const group_name = cf.args.back().data();
    errno = 0;
    const group* grp = ::getgrnam(group_name);
    if (!grp) {
        conf_log_error(log_emerg, cf, errno, "getgrnam(\"{}\") failed", group_name);
        return conf_error;
    }
    ccf.group = grp->gr_gid;
    return conf_ok;
}

/// nginx: ngx_set_env()
const char* set_env(Conf& cf, const Command&, void* conf)
{
    static_cast<CoreConf*>(conf)->env.push_back(cf.args[1]);
    return conf_ok;
}

/// nginx: ngx_set_priority()
const char* set_priority(Conf& cf, const Command&, void* conf)
{
    CoreConf& ccf = *static_cast<CoreConf*>(conf);
    if (ccf.priority != 0) {
        return "is duplicate";
    }

    const std::string_view value = cf.args[1];
    const bool sign = value.starts_with('-') || value.starts_with('+');
    const auto priority = atoi(value.substr(sign ? 1 : 0));
    if (!priority) {
        return "invalid number";
    }
    ccf.priority = value.starts_with('-') ? -*priority : *priority;
    return conf_ok;
}

/// Parses a mask such as 0101. Its last digit is the first processor; spaces are ignored.
const char* parse_cpu_mask(Conf& cf, std::string_view text, cpu_set_t& mask)
{
    if (text.size() > CPU_SETSIZE) {
        conf_log_error(log_emerg, cf, 0, "\"worker_cpu_affinity\" supports up to {} CPUs only",
                       CPU_SETSIZE);
        return conf_error;
    }

    CPU_ZERO(&mask);
    std::size_t cpu = 0;
    for (auto ch = text.rbegin(); ch != text.rend(); ++ch) {
        if (*ch == ' ') {
            continue;
        }
        if (*ch == '1') {
            CPU_SET(cpu, &mask);
        } else if (*ch != '0') {
            conf_log_error(log_emerg, cf, 0, "invalid character \"{}\" in \"worker_cpu_affinity\"",
                           *ch);
            return conf_error;
        }
        cpu++;
    }
    return conf_ok;
}

/// nginx: ngx_set_cpu_affinity()
const char* set_cpu_affinity(Conf& cf, const Command&, void* conf)
{
    CoreConf& ccf = *static_cast<CoreConf*>(conf);
    if (!ccf.cpu_affinity.empty()) {
        return "is duplicate";
    }

    std::size_t n = 1;
    if (cf.args[1] == "auto") {
        if (cf.args.size() > 3) {
            conf_log_error(log_emerg, cf, 0,
                           "invalid number of arguments in \"worker_cpu_affinity\" directive");
            return conf_error;
        }
        ccf.cpu_affinity_auto = true;
        // Differs from nginx: `auto` uses the processors that this process may use; nginx uses the
        // first ones of the machine.
        cpu_set_t& all = ccf.cpu_affinity.emplace_back();
        CPU_ZERO(&all);
        (void)::sched_getaffinity(0, sizeof(all), &all);
        n = 2;
    }

    for (; n < cf.args.size(); n++) {
        cpu_set_t& mask = ccf.cpu_affinity.emplace_back();
        if (const char* rv = parse_cpu_mask(cf, cf.args[n], mask); rv != conf_ok) {
            return rv;
        }
    }
    return conf_ok;
}

/// nginx: ngx_set_worker_processes()
const char* set_worker_processes(Conf& cf, const Command&, void* conf)
{
    CoreConf& ccf = *static_cast<CoreConf*>(conf);
    if (ccf.worker_processes) {
        return "is duplicate";
    }
    if (cf.args[1] == "auto" && !conf_looks_up) {
        ccf.worker_processes = 1;
        return conf_ok;
    }
    if (cf.args[1] == "auto") {
        const Share share = processor_share();
        ccf.worker_processes = share.n;
        if (!share.limited_by.empty()) {
            conf_log_error(log_notice, cf, 0, "{} of {} processors may be used: {}", share.n, ncpu,
                           share.limited_by);
        }
        return conf_ok;
    }
    ccf.worker_processes = atoi(cf.args[1]);
    return ccf.worker_processes ? conf_ok : "invalid value";
}

/// Unloads a module. It must not be in any queue, tree or table any more: see exit_process.
///
/// nginx: ngx_unload_module()
void unload_module(void* handle)
{
    if (dlclose(handle) != 0) {
        log_error(log_alert, ngx_cycle->log, 0, "dlclose() failed ({})", dlerror());
    }
}

/// Looks up a C symbol of a loaded file. Returns null after logging if it does not exist.
template <typename T>
const T* find_symbol(Conf& cf, void* handle, const char* name)
{
    const void* const symbol = ::dlsym(handle, name);
    if (!symbol) {
        conf_log_error(log_emerg, cf, 0, "dlsym() \"{}\", \"{}\" failed ({})", cf.args[1], name,
                       dlerror());
    }
    return static_cast<const T*>(symbol);
}

/// Handles `load_module`.
///
/// Differs from nginx: a file of another build is refused before any of it is loaded, as its static
/// initialization alone could do harm, and the log shows what differs.
///
/// nginx: ngx_load_module()
const char* load_module(Conf& cf, const Command&, void*)
{
    if (cf.cycle->modules_used) {
        return "is specified too late";
    }
    if (!conf_looks_up) {
        return conf_ok;
    }
    const std::string file(conf_full_name(*cf.cycle, cf.args[1], false));

    if (check_module_file(cf, file) != Rc::ok) {
        return conf_error;
    }
    void* const handle = dlopen(file);
    if (!handle) {
        conf_log_error(log_emerg, cf, 0, "dlopen() \"{}\" failed ({})", file, dlerror());
        return conf_error;
    }
    cf.cycle->pool->cleanup_add(unload_module, handle);

    Module* const* module = find_symbol<Module*>(cf, handle, "ngx_modules");
    const char* const* name =
        module ? find_symbol<const char*>(cf, handle, "ngx_module_names") : nullptr;
    if (!name) {
        return conf_error;
    }
    const auto* const order = static_cast<const char* const*>(::dlsym(handle, "ngx_module_order"));

    for (; *module; module++) {
        (*module)->name = *name++;
        if (add_module(cf, file, **module, order) != Rc::ok) {
            return conf_error;
        }
        log_debug(log_debug_core, cf.log, 0, "module: {} i:{}", (*module)->name, (*module)->index);
    }
    return conf_ok;
}

constexpr ConfEnum<DebugPoints> debug_points[] = {
    {"stop", DebugPoints::stop},
    {"abort", DebugPoints::abort},
};

constexpr std::uint32_t core_conf = main_conf | direct_conf;

constexpr Command core_commands[] = {
    {
        .name = "daemon",
        .type = core_conf | conf_flag,
        .set = conf_set_flag_slot<&CoreConf::daemon>,
    },
    {
        .name = "master_process",
        .type = core_conf | conf_flag,
        .set = conf_set_flag_slot<&CoreConf::master>,
    },
    {
        .name = "timer_resolution",
        .type = core_conf | conf_take1,
        .set = conf_set_msec_slot<&CoreConf::timer_resolution>,
    },
    {
        .name = "pid",
        .type = core_conf | conf_take1,
        .set = conf_set_str_slot<&CoreConf::pid>,
    },
    {
        .name = "lock_file",
        .type = core_conf | conf_take1,
        .set = conf_set_str_slot<&CoreConf::lock_file>,
    },
    {
        .name = "worker_processes",
        .type = core_conf | conf_take1,
        .set = set_worker_processes,
    },
    {
        .name = "debug_points",
        .type = core_conf | conf_take1,
        .set = conf_set_enum_slot<&CoreConf::debug_points, debug_points>,
    },
    {
        .name = "user",
        .type = core_conf | conf_take12,
        .set = set_user,
    },
    {
        .name = "worker_priority",
        .type = core_conf | conf_take1,
        .set = set_priority,
    },
    {
        .name = "worker_cpu_affinity",
        .type = core_conf | conf_1more,
        .set = set_cpu_affinity,
    },
    {
        .name = "worker_rlimit_nofile",
        .type = core_conf | conf_take1,
        .set = conf_set_num_slot<&CoreConf::rlimit_nofile>,
    },
    {
        .name = "worker_rlimit_core",
        .type = core_conf | conf_take1,
        .set = conf_set_off_slot<&CoreConf::rlimit_core>,
    },
    {
        .name = "worker_shutdown_timeout",
        .type = core_conf | conf_take1,
        .set = conf_set_msec_slot<&CoreConf::shutdown_timeout>,
    },
    {
        .name = "working_directory",
        .type = core_conf | conf_take1,
        .set = conf_set_str_slot<&CoreConf::working_directory>,
    },
    {
        .name = "env",
        .type = core_conf | conf_take1,
        .set = set_env,
    },
    {
        .name = "load_module",
        .type = core_conf | conf_take1,
        .set = load_module,
    },
};

constexpr CoreModule core_module_ctx = {
    .name = "core",
    .create_conf = core_module_create_conf,
    .init_conf = core_module_init_conf,
};

}  // namespace

char** os_environ;

std::vector<char*> make_environment(const CoreConf& ccf)
{
    std::vector<char*> environment;
    const auto add = [&](std::string_view var) {
        char* const entry =
            var.find('=') != var.npos ? const_cast<char*>(var.data()) : find_in_environ(var);
        if (entry) {
            environment.push_back(entry);
        }
    };
    std::ranges::for_each(ccf.env, add);

    // Without TZ, the times in the log would change with the first worker.
    const auto is_tz = [](std::string_view var) { return var == "TZ" || var.starts_with("TZ="); };
    if (std::ranges::none_of(ccf.env, is_tz)) {
        add("TZ");
    }
    return environment;
}

void set_environment(Cycle& cycle)
{
    environ = get_conf<CoreConf>(cycle.conf_ctx)->environment.data();
}

const cpu_set_t* get_cpu_affinity(const Cycle& cycle, std::size_t n)
{
    const CoreConf& ccf = *get_conf<CoreConf>(cycle.conf_ctx);
    if (ccf.cpu_affinity.empty()) {
        return nullptr;
    }
    if (!ccf.cpu_affinity_auto) {
        return &ccf.cpu_affinity[std::min(n, ccf.cpu_affinity.size() - 1)];
    }

    const cpu_set_t& mask = ccf.cpu_affinity.back();
    const int cpus = CPU_COUNT(&mask);
    if (cpus == 0) {
        return nullptr;
    }
    static cpu_set_t result;
    CPU_ZERO(&result);
    std::size_t left = n % static_cast<std::size_t>(cpus);
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &mask) && left-- == 0) {
            CPU_SET(cpu, &result);
            break;
        }
    }
    return &result;
}

constinit Module core_module = {
    .ctx = &core_module_ctx,
    .commands = core_commands,
    .type = ModuleType::core,
};

}  // namespace ngx
