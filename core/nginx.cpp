#include "core/nginx.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <exception>
#include <fcntl.h>
#include <grp.h>
#include <optional>
#include <pwd.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "auto_build.hpp"
#include "core/conf_slot.hpp"
#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/log.hpp"
#include "core/module.hpp"
#include "core/module_signature.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "os/unix/cgroup.hpp"
#include "os/unix/daemon.hpp"
#include "os/unix/dlopen.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"
#include "os/unix/process_cycle.hpp"
#include "os/unix/systemd.hpp"

namespace ngx {

namespace {

/// The options of the command line.
struct Options {
    bool show_version = false;
    bool show_help = false;
    bool show_configure = false;
    std::optional<std::string> prefix{};
    std::optional<std::string> error_log{};
    std::optional<std::string> conf_file{};
    std::optional<std::string> conf_params{};
    std::optional<std::string> signal{};
};

/// The environment variable that passes the inherited sockets to a new binary: "6;7;". It has
/// nginx's name, so that nginx and ngxx can pass sockets to each other.
constexpr std::string_view nginx_var = "NGINX";

struct {
    char** os_environ = nullptr;  // the environment at the start
} state;

/// Returns the name of the value that an option needs, for the error message; empty if it needs
/// none.
std::string_view wanted(char option) noexcept
{
    switch (option) {
    case 'p':
        return "directory name";
    case 'e':
    case 'c':
        return "file name";
    case 'g':
    case 's':
        return "parameter";
    default:
        return "";
    }
}

Rc take_signal(Options& options, const std::string& name)
{
    constexpr std::array<std::string_view, 4> names = {"stop", "quit", "reopen", "reload"};
    if (std::ranges::find(names, name) == names.end()) {
        log_stderr(0, "invalid option: \"-s {}\"", name);
        return Rc::error;
    }
    options.signal = name;
    process = Process::signaller;
    return Rc::ok;
}

Rc take_option(Options& options, char option, const std::string& value)
{
    switch (option) {
    case '?':
    case 'h':
        options.show_version = true;
        options.show_help = true;
        break;
    case 'v':
        options.show_version = true;
        break;
    case 'V':
        options.show_version = true;
        options.show_configure = true;
        break;
    case 't':
        test_config = true;
        break;
    case 'T':
        test_config = true;
        dump_config = true;
        break;
    case 'q':
        quiet_mode = true;
        break;
    case 'p':
        options.prefix = value;
        break;
    case 'e':
        options.error_log = value == "stderr" ? "" : value;
        break;
    case 'c':
        options.conf_file = value;
        break;
    case 'g':
        options.conf_params = value;
        break;
    case 's':
        return take_signal(options, value);
    default:
        log_stderr(0, "invalid option: \"{}\"", option);
        return Rc::error;
    }
    return Rc::ok;
}

/// Handles the letters of one word, such as -qt. A value is the rest of the word, as in -cFILE, or
/// the next word, whatever its first character is; `word` then points to it.
Rc take_word(Options& options, char**& word)
{
    for (const char* letter = *word + 1; *letter; letter++) {
        if (wanted(*letter).empty()) {
            if (take_option(options, *letter, "") != Rc::ok) {
                return Rc::error;
            }
            continue;
        }

        const char* const value = letter[1] ? letter + 1 : *++word;
        if (!value) {
            log_stderr(0, "option \"-{}\" requires {}", *letter, wanted(*letter));
            return Rc::error;
        }
        return take_option(options, *letter, value);
    }
    return Rc::ok;
}

/// Parses the command line. Reports the first error on stderr.
///
/// nginx: ngx_get_options()
Rc get_options(int argc, char** words, Options& options)
{
    for (char** word = words + 1; word < words + argc; word++) {
        if (**word != '-') {
            log_stderr(0, "invalid option: \"{}\"", *word);
            return Rc::error;
        }
        if (take_word(options, word) != Rc::ok) {
            return Rc::error;
        }
    }
    return Rc::ok;
}

void write_stderr(std::string_view text)
{
    // A failure does not change the exit status, as in nginx: it cannot be reported elsewhere.
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
}

/// nginx: ngx_show_version_info()
void show_version_info(const Options& options)
{
    write_stderr(fmt::format("{} version: {}\n", server_name, server_build));

    if (options.show_help) {
        write_stderr(fmt::format(
            "Usage: {0} [-?hvVtTq] [-s signal] [-p prefix]\n"
            "            [-e filename] [-c filename] [-g directives]\n"
            "\n"
            "Options:\n"
            "  -?,-h         : show this help\n"
            "  -v            : show the version\n"
            "  -V            : show the version, how it was built, and its modules\n"
            "  -t            : test the configuration and exit\n"
            "  -T            : as -t, and write the configuration to standard output\n"
            "  -q            : with -t, print only errors\n"
            "  -s signal     : signal a running server: stop, quit, reopen, reload\n"
            "  -p prefix     : directory where relative paths start (default: {1})\n"
            "  -e filename   : error log until the configuration names one (default: {2})\n"
            "  -c filename   : configuration file (default: {3})\n"
            "  -g directives : directives that precede those of the file\n"
            "\n",
            server_name, default_prefix,
            *default_error_log_path ? default_error_log_path : "stderr", default_conf_path));
    }

    if (options.show_configure) {
        write_stderr(fmt::format("built by {}\nmodule API version: {}\nconfigure arguments:{}\n"
                                 "event methods: {}\nmodules:",
                                 compiler, module_api_version, configure_arguments, event_methods));
        for (const std::string_view* name = module_names; !name->empty(); name++) {
            write_stderr(fmt::format(" {}", *name));
        }
        write_stderr("\n");
    }
}

/// Copies the settings of the command line into the initial cycle.
///
/// nginx: ngx_process_options()
Rc process_options(Cycle& cycle, const Options& options)
{
    set_paths(cycle, options.prefix.value_or(default_prefix),
              options.conf_file.value_or(default_conf_path));
    cycle.error_log = options.error_log.value_or(default_error_log_path);
    cycle.conf_param = options.conf_params.value_or("");

    if (test_config) {
        cycle.log->log_level = log_info;
    }
    return Rc::ok;
}

void write_config_dump(const Cycle& cycle)
{
    for (const ConfDump& dump : cycle.config_dump) {
        fmt::print("# configuration file {}:\n{}\n", dump.name, dump.buffer);
    }
    std::fflush(stdout);
}

/// nginx: ngx_core_module_create_conf()
void* core_module_create_conf(Cycle& cycle)
{
    return cycle.pool->create<CoreConf>();
}

/// Returns the entry NAME=VALUE of the environment at the start, or null.
char* find_in_environ(std::string_view name) noexcept
{
    for (char** p = state.os_environ; p && *p; p++) {
        const std::string_view entry = *p;
        if (entry.starts_with(name) && entry.substr(name.size()).starts_with('=')) {
            return *p;
        }
    }
    return nullptr;
}

/// Returns the environment entries that the `env` directives request.
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
    if (ccf.user || ::geteuid() != 0) {
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

/// nginx: ngx_save_argv()
void save_argv(int argc, char** words)
{
    os_argv = words;
    argv.assign(words, words + argc);
}

void add_inherited(Cycle& cycle, int fd)
{
    Listening& ls = cycle.listening.emplace_back();
    ls.fd = fd;
    ls.inherited = 1;
}

/// Parses the descriptors in the variable; each ends in ; or :.
void parse_inherited(Cycle& cycle, std::string_view text)
{
    while (!text.empty()) {
        const std::size_t end = text.find_first_of(":;");
        const auto fd = atoi(text.substr(0, end));
        if (end == text.npos) {
            log_error(log_emerg, cycle.log, 0,
                      "invalid socket number \"{}\" in {} environment variable, ignoring", text,
                      nginx_var);
            return;
        }
        if (!fd || *fd > INT_MAX) {
            log_error(log_emerg, cycle.log, 0,
                      "invalid socket number \"{}\" in {} environment variable, "
                      "ignoring the rest of the variable",
                      text, nginx_var);
            return;
        }
        add_inherited(cycle, static_cast<int>(*fd));
        text.remove_prefix(end + 1);
    }
}

/// Adds a socket from systemd, and makes it nonblocking, as the unit may have left it blocking.
void add_activated_socket(Cycle& cycle, int fd)
{
    if (nonblocking(fd) == -1) {
        log_error(log_alert, cycle.log, errno, "ioctl(FIONBIO) of the socket #{} failed", fd);
    }
    add_inherited(cycle, fd);
    cycle.listening.back().activated = 1;
}

/// Adds the descriptors from systemd that are open and are sockets. If systemd's number is too
/// large, descriptors of this process, such as its log, may follow them.
void add_activated(Cycle& cycle)
{
    const int n = systemd_listen_fds(cycle.log);
    int found = 0;
    struct stat info {};
    for (int i = 0; i < n && ::fstat(systemd_first_fd + i, &info) == 0; i++) {
        if (S_ISSOCK(info.st_mode)) {
            add_activated_socket(cycle, systemd_first_fd + i);
            found++;
        }
    }
    if (found < n) {
        log_error(log_emerg, cycle.log, 0, "{} of {} descriptors from systemd are sockets", found,
                  n);
    }
    if (found > 0) {
        log_error(log_notice, cycle.log, 0, "using {} sockets from systemd", found);
    }
}

/// Adds the sockets that an older binary or systemd has passed on to the initial cycle's listeners.
/// The first cycle takes over those that its configuration uses.
///
/// nginx: ngx_add_inherited_sockets()
Rc add_inherited_sockets(Cycle& cycle)
{
    add_activated(cycle);
    if (const char* text = std::getenv(nginx_var.data())) {
        log_error(log_notice, cycle.log, 0, "using inherited sockets from \"{}\"", text);
        parse_inherited(cycle, text);
        inherited = true;
    }
    return set_inherited_sockets(cycle);
}

/// Does everything between reading the configuration and the loop. Returns 1 on error; otherwise it
/// does not return.
int run(Cycle* cycle, Log* log)
{
    os_status(cycle->log);

    const CoreConf& ccf = *get_conf<CoreConf>(cycle->conf_ctx);
    if (*ccf.master && process == Process::single) {
        process = Process::master;
    }
    if (init_signals(cycle->log) != Rc::ok) {
        return 1;
    }
    if (!inherited && *ccf.daemon) {
        if (daemon(cycle->log) != Rc::ok) {
            return 1;
        }
        daemonized = true;
    }
    daemonized = daemonized || inherited;

    if (create_pidfile(*ccf.pid, cycle->log) != Rc::ok) {
        return 1;
    }
    if (log_redirect_stderr(*cycle) != Rc::ok) {
        return 1;
    }
    if (log->file->fd != STDERR_FILENO && ::close(log->file->fd) == -1) {
        log_error(log_alert, cycle->log, errno, "close() built-in log failed");
    }
    use_stderr = false;

    if (process == Process::single) {
        single_process_cycle(cycle);
    }
    master_process_cycle(cycle);
}

/// Opens /dev/null for closed standard descriptors.
///
/// Differs from nginx: nginx leaves them closed. A log or a listener would get such a number, and
/// daemon() or the error log would then replace it.
void open_standard_files() noexcept
{
    int fd = 0;
    do {
        fd = ::open("/dev/null", O_RDWR);
    } while (fd != -1 && fd <= STDERR_FILENO);
    if (fd != -1) {
        ::close(fd);
    }
}

int start(int argc, char** words)
{
    open_standard_files();

    Options options;
    if (get_options(argc, words, options) != Rc::ok) {
        return 1;
    }
    if (options.show_version) {
        show_version_info(options);
        if (!test_config) {
            return 0;
        }
    }

    time_init();
    pid = ::getpid();
    log_pid = pid;
    parent = ::getppid();
    state.os_environ = environ;

    Log* log = log_init(options.prefix ? options.prefix->c_str() : nullptr,
                        options.error_log ? options.error_log->c_str() : nullptr);

    Cycle* before = create_cycle(log);
    ngx_cycle = before;

    save_argv(argc, words);
    systemd_init();
    if (process_options(*before, options) != Rc::ok || os_init(log) != Rc::ok ||
        add_inherited_sockets(*before) != Rc::ok || preinit_modules() != Rc::ok) {
        return 1;
    }

    const std::string conf_file = before->conf_file;
    Cycle* cycle = init_cycle(before);
    if (!cycle) {
        if (test_config) {
            log_stderr(0, "configuration file {} test failed", conf_file);
        }
        return 1;
    }
    ngx_cycle = cycle;

    if (test_config) {
        if (!quiet_mode) {
            log_stderr(0, "configuration file {} test is successful", cycle->conf_file);
        }
        if (dump_config) {
            write_config_dump(*cycle);
        }
        return 0;
    }
    if (options.signal) {
        return signal_process(*cycle, *options.signal);
    }
    return run(cycle, log);
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

int main(int argc, char** words) noexcept
{
    std::set_terminate(last_words);
    try {
        return start(argc, words);
    } catch (...) {
        if (ngx_cycle) {
            log_exception(ngx_cycle->log);
        } else {
            log_stderr(exception_errno(), "[emerg] {}", exception_text());
        }
        return 1;
    }
}

namespace {

/// Returns the variable with the open listeners for the new binary.
std::string inherited_variable(const Cycle& cycle)
{
    std::string var = fmt::format("{}=", nginx_var);
    for (const Listening& ls : cycle.listening) {
        if (!ls.ignore && ls.fd != invalid_socket) {
            var += fmt::format("{};", ls.fd);
        }
    }
    return var;
}

}  // namespace

void set_paths(Cycle& cycle, std::string_view prefix, std::string_view conf_file)
{
    cycle.prefix = prefix;
    if (!cycle.prefix.empty() && cycle.prefix.back() != '/') {
        cycle.prefix += '/';
    }
    cycle.conf_prefix = cycle.prefix;
    cycle.conf_file = conf_full_name(cycle, conf_file, false);

    if (const std::size_t slash = cycle.conf_file.rfind('/');
        slash != 0 && slash != std::string::npos) {
        cycle.conf_prefix = cycle.conf_file.substr(0, slash + 1);
    }
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

pid_t exec_new_binary(Cycle& cycle)
{
    CoreConf& ccf = *get_conf<CoreConf>(cycle.conf_ctx);

    std::string sockets = inherited_variable(cycle);
    // Space for the titles of the new process.
    std::string spare = "SPARE=" + std::string(300, 'X');

    ExecCtx ctx{.path = argv[0], .name = "new binary process", .argv = {}, .envp = {}};
    for (std::string& word : argv) {
        ctx.argv.push_back(word.data());
    }
    ctx.argv.push_back(nullptr);
    ctx.envp = make_environment(ccf);
    ctx.envp.push_back(sockets.data());
    if (const char* variable = systemd_variable()) {
        ctx.envp.push_back(const_cast<char*>(variable));
    }
    ctx.envp.push_back(spare.data());
    ctx.envp.push_back(nullptr);

    if (::rename(ccf.pid->data(), ccf.oldpid.c_str()) == -1) {
        log_error(log_alert, cycle.log, errno,
                  "rename() {} to {} failed before executing new binary process \"{}\"", *ccf.pid,
                  ccf.oldpid, argv[0]);
        return invalid_pid;
    }
    const pid_t child = execute(cycle, ctx);
    if (child == invalid_pid && ::rename(ccf.oldpid.c_str(), ccf.pid->data()) == -1) {
        log_error(log_alert, cycle.log, errno,
                  "rename() {} back to {} failed after an attempt to execute new binary process "
                  "\"{}\"",
                  ccf.oldpid, *ccf.pid, argv[0]);
    }
    return child;
}

constinit Module core_module = {
    .ctx = &core_module_ctx,
    .commands = core_commands,
    .type = ModuleType::core,
};

}  // namespace ngx
