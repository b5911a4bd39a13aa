#include "core/nginx.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "auto_build.hpp"
#include "core/core_module.hpp"
#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/log.hpp"
#include "core/module.hpp"
#include "core/module_api.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "os/unix/daemon.hpp"
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
void process_options(Cycle& cycle, const Options& options)
{
    set_paths(cycle, options.prefix.value_or(default_prefix),
              options.conf_file.value_or(default_conf_path));
    cycle.error_log = options.error_log.value_or(default_error_log_path);
    cycle.conf_param = options.conf_params.value_or("");

    if (test_config) {
        cycle.log->log_level = log_info;
    }
}

void write_config_dump(const Cycle& cycle)
{
    for (const ConfDump& dump : cycle.config_dump) {
        fmt::print("# configuration file {}:\n{}\n", dump.name, dump.buffer);
    }
    std::fflush(stdout);
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
void add_inherited_sockets(Cycle& cycle)
{
    add_activated(cycle);
    if (const char* text = std::getenv(nginx_var.data())) {
        log_error(log_notice, cycle.log, 0, "using inherited sockets from \"{}\"", text);
        parse_inherited(cycle, text);
        inherited = true;
    }
    set_inherited_sockets(cycle);
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
    os_environ = environ;

    Log* log = log_init(options.prefix ? options.prefix->c_str() : nullptr,
                        options.error_log ? options.error_log->c_str() : nullptr);

    Cycle* before = create_cycle(log);
    ngx_cycle = before;

    save_argv(argc, words);
    systemd_init();
    process_options(*before, options);
    if (os_init(log) != Rc::ok) {
        return 1;
    }
    add_inherited_sockets(*before);
    preinit_modules();

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

/// The handler for std::set_terminate(): logs the current exception, then aborts.
[[noreturn]] void last_words() noexcept
{
    const char* const text =
        std::current_exception() ? exception_text() : "terminate() without an exception";
    if (ngx_cycle) {
        log_error(log_emerg, ngx_cycle->log, 0, "{}, aborting", text);
    } else {
        log_stderr(0, "[emerg] {}, aborting", text);
    }
    std::abort();
}

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

}  // namespace ngx
