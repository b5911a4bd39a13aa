#include "os/unix/process.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>

#include "core/cycle.hpp"
#include "core/log.hpp"
#include "core/times.hpp"
#include "os/unix/process_cycle.hpp"

namespace ngx {

namespace {

void signal_handler(int signo, siginfo_t* siginfo, void* ucontext);

/// A signal, its name for the log, and what -s calls it. Without a handler it is ignored.
///
/// nginx: ngx_signal_t
struct Signal {
    int signo;
    std::string_view signame;
    std::string_view name;
    void (*handler)(int signo, siginfo_t* siginfo, void* ucontext);
};

constexpr std::array<Signal, 12> signals = {{
    {SIGHUP, "SIGHUP", "reload", signal_handler},
    {SIGUSR1, "SIGUSR1", "reopen", signal_handler},
    {SIGWINCH, "SIGWINCH", "", signal_handler},
    {SIGTERM, "SIGTERM", "stop", signal_handler},
    {SIGQUIT, "SIGQUIT", "quit", signal_handler},
    {SIGUSR2, "SIGUSR2", "", signal_handler},
    {SIGALRM, "SIGALRM", "", signal_handler},
    {SIGINT, "SIGINT", "", signal_handler},
    {SIGIO, "SIGIO", "", signal_handler},
    {SIGCHLD, "SIGCHLD", "", signal_handler},
    {SIGSYS, "SIGSYS, SIG_IGN", "", nullptr},
    {SIGPIPE, "SIGPIPE, SIG_IGN", "", nullptr},
}};

/// Notes what a signal asks of this process; returns what the log line says of it.
std::string_view note_signal(int signo) noexcept
{
    switch (signo) {
    case SIGQUIT:
        quit = 1;
        return ", shutting down";
    case SIGTERM:
    case SIGINT:
        terminate = 1;
        return ", exiting";
    case SIGHUP:
        reconfigure = 1;
        return ", reconfiguring";
    case SIGUSR1:
        reopen = 1;
        return ", reopening logs";
    case SIGWINCH:
    case SIGUSR2:
        return ", ignoring";
    default:
        return {};
    }
}

/// Only notes the signal and logs it: what is to be done, the loop does.
///
/// nginx: ngx_signal_handler()
void signal_handler(int signo, siginfo_t* siginfo, void*)
{
    const Err err = errno;

    std::string_view signame;
    for (const Signal& sig : signals) {
        signame = sig.signo == signo ? sig.signame : signame;
    }

    time_sigsafe_update();
    const std::string_view action = note_signal(signo);
    wake_up();

    if (siginfo && siginfo->si_pid != 0) {
        log_error(log_notice, ngx_cycle->log, 0, "signal {} ({}) received from {}{}", signo,
                  signame, siginfo->si_pid, action);
    } else {
        log_error(log_notice, ngx_cycle->log, 0, "signal {} ({}) received{}", signo, signame,
                  action);
    }
    errno = err;
}

int install(const Signal& sig) noexcept
{
    struct sigaction sa {};
    sigemptyset(&sa.sa_mask);
    sa.sa_handler = SIG_IGN;
    if (sig.handler) {
        sa.sa_flags = SA_SIGINFO;
        sa.sa_sigaction = sig.handler;
    }
    return ::sigaction(sig.signo, &sa, nullptr);
}

}  // namespace

Process process = Process::single;
pid_t pid;
pid_t parent;

Rc init_signals(Log* log)
{
    for (const Signal& sig : signals) {
        if (install(sig) == -1) {
            log_error(log_emerg, log, errno, "sigaction({}) failed", sig.signame);
            return Rc::error;
        }
    }
    return Rc::ok;
}

int os_signal_process(Cycle& cycle, std::string_view name, pid_t to)
{
    for (const Signal& sig : signals) {
        if (sig.name != name) {
            continue;
        }
        if (::kill(to, sig.signo) != -1) {
            return 0;
        }
        log_error(log_alert, cycle.log, errno, "kill({}, {}) failed", to, sig.signo);
    }
    return 1;
}

void debug_point() noexcept
{
    switch (*get_conf<CoreConf>(ngx_cycle->conf_ctx)->debug_points) {
    case DebugPoints::off:
        break;
    case DebugPoints::stop:
        ::raise(SIGSTOP);
        break;
    case DebugPoints::abort:
        std::abort();
    }
}

}  // namespace ngx
