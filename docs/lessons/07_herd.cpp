/// \file
/// Lesson 7: which workers wake up for a client. A worker that wakes up for the listener waits
/// until its master tells it to accept, so that all of them are counted.

#include <cerrno>
#include <csignal>
#include <fstream>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "core/module.hpp"
#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "event/event_accept.hpp"
#include "os/unix/process.hpp"
#include "os/unix/process_cycle.hpp"

namespace ngx::lesson {

namespace {

constexpr Msec an_hour = 3'600'000;

// ---- in a worker ----

int master = -1;  // the socket to the master
bool has_accepted;

void tell(char what) noexcept
{
    (void)!::write(master, &what, 1);
}

/// The listener's handler: reports the wake-up, waits for the order to accept, and reports the
/// result.
void hold(Event& ev) noexcept
{
    char go = 0;
    tell('w');
    (void)!::read(master, &go, 1);
    has_accepted = false;
    event_accept(ev);
    tell(has_accepted ? 'a' : 'v');
}

[[noreturn]] void work(Loop& loop, int index)
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    pid = ::getpid();
    process = Process::worker;
    ngx_worker = static_cast<std::size_t>(index);
    if (init_process_modules(*loop) != Rc::ok) {
        std::_Exit(1);
    }
    Listening& listening = loop->listening[0];
    listening.connection->read->handler = hold;
    listening.handler = [](Connection& c) noexcept {
        has_accepted = true;
        close_accepted(c);
    };
    tell('r');
    for (;;) {
        loop.turn(an_hour);
    }
}

// ---- in the master ----

struct Worker {
    pid_t pid = -1;
    int socket = -1;
    bool is_ready = false;
    bool is_held = false;
};

struct Counts {
    int woken = 0;
    int accepted = 0;
    int failed = 0;
};

/// Returns whether the process sleeps, according to the kernel.
bool sleeps(pid_t worker)
{
    std::ifstream file("/proc/" + std::to_string(worker) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t end = text.rfind(')');
    return end != text.npos && text.compare(end, 3, ") S") == 0;
}

class Workers {
public:
    Workers(const std::string& how, int workers) : loop_(conf_of(how, workers), Start::conf)
    {
        std::fflush(stdout);
        for (int i = 0; i < workers; i++) {
            start(i);
        }
        wait_until_quiet();
    }
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    ~Workers()
    {
        for (const Worker& worker : workers_) {
            ::kill(worker.pid, SIGKILL);
            ::waitpid(worker.pid, nullptr, 0);
            ::close(worker.socket);
            if (accept_mutex_ptr) {
                shmtx_force_unlock(accept_mutex, worker.pid);  // if it died while it held it
            }
        }
    }

    /// Connects a client, and lets the workers that wake up accept one after the other.
    void serve_client()
    {
        const int client = connect_to(loop_.path("s"));
        wait_until_quiet();
        for (Worker& worker : workers_) {
            if (worker.is_held) {
                worker.is_held = false;
                checked(static_cast<int>(::write(worker.socket, "g", 1)), "write");
                wait_until_quiet();
            }
        }
        ::close(client);
    }

    [[nodiscard]] const Counts& counts() const { return counts_; }

private:
    static std::string conf_of(const std::string& how, int workers)
    {
        return "worker_processes " + std::to_string(workers) +
               "; events { worker_connections 16; accept_mutex_delay 1h; " +
               (how == "poll" ? "use poll; " : "use epoll; ") +
               (how == "mutex" ? "accept_mutex on; " : "") +
               "} stream { server { listen unix:DIR/s; return x; } }";
    }

    void start(int index)
    {
        int s[2];
        checked(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), "socketpair");
        const pid_t child = checked(::fork(), "fork");
        if (child == 0) {
            master = s[1];
            work(loop_, index);
        }
        ::close(s[1]);
        workers_.push_back({.pid = child, .socket = s[0]});
    }

    /// Reads a worker's reports. Returns whether it got any.
    bool listen_to(Worker& worker)
    {
        char what = 0;
        if (::recv(worker.socket, &what, 1, MSG_DONTWAIT) != 1) {
            return false;
        }
        worker.is_ready = true;
        worker.is_held = what == 'w';
        counts_.woken += what == 'w' ? 1 : 0;
        counts_.accepted += what == 'a' ? 1 : 0;
        counts_.failed += what == 'v' ? 1 : 0;
        return true;
    }

    /// Waits until every worker sleeps, in its wait or in hold(), and all reports are read.
    void wait_until_quiet()
    {
        for (int quiet = 0; quiet < 3;) {
            bool all = true;
            for (Worker& worker : workers_) {
                all = sleeps(worker.pid) && !listen_to(worker) && worker.is_ready && all;
            }
            quiet = all ? quiet + 1 : 0;
            ::sched_yield();
        }
    }

    Loop loop_;
    std::vector<Worker> workers_{};
    Counts counts_{};
};

Counts count(const std::string& how, int workers, int clients)
{
    Workers herd(how, workers);
    for (int i = 0; i < clients; i++) {
        herd.serve_client();
    }
    return herd.counts();
}

void show_counts(const char* title, const std::string& how)
{
    const Counts n = count(how, 4, 5);
    say("  %-24s woken %2d, accepted %d, failed %2d", title, n.woken, n.accepted, n.failed);
}

void show()
{
    say("Four workers, and five clients that connect one after the other:");
    show_counts("poll", "poll");
    show_counts("epoll, EPOLLEXCLUSIVE", "exclusive");
    show_counts("epoll, accept_mutex", "mutex");
}

void check(Checker& checker)
{
    for (const char* how : {"poll", "exclusive", "mutex"}) {
        for (const int workers : {2, 3}) {
            const Counts n = count(how, workers, 2);
            const std::string text = std::string(how) + ", " + std::to_string(workers) + " workers";
            checker.same(1, text + ", for one client", n.woken / 2, exercise::woken(how, workers));
            checker.same(2, text + ", 2 clients", n.failed,
                         exercise::failed_accepts(how, workers, 2));
        }
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
